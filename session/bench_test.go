package session

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"
)

// BenchmarkMachine serves batches of lines without I/O; the time is for a batch.
func BenchmarkMachine(b *testing.B) {
	for _, e := range exchanges {
		for _, lines := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/%d", e.name, lines), func(b *testing.B) {
				bench := openBench()
				batch := bytes.Repeat([]byte(e.line), lines)
				b.SetBytes(int64(len(batch)))
				b.ReportAllocs()
				for b.Loop() {
					bench.batch(b, batch)
				}
			})
		}
	}
}

// exchanges are what a session does all day.
var exchanges = []struct{ name, line, reply string }{
	{"ping", "ping\n", "pong\n"},
	{"echo", "a message of thirty-six bytes in all\n", "from server: a message of thirty-six bytes in all\n"},
}

// openBench is a machine that is logged in.
func openBench() *bench {
	bench := newBench(Rules{IdleTimeout: time.Hour})
	bench.in = []byte("AUTH alice.1000000\n")
	bench.run()
	return bench
}

// batch serves whole lines, and leaves the replies where they are.
func (b *bench) batch(t testing.TB, lines []byte) {
	b.reply.buf = b.reply.buf[:0]
	for rest := lines; len(rest) > 0; {
		taken, _ := b.m.input(b.now, rest, &b.reply)
		if taken == 0 {
			t.Fatalf("left %d of %d bytes", len(rest), len(lines))
		}
		rest = rest[taken:]
	}
}

// BenchmarkSession is a ping and its pong over loopback TCP, one outstanding,
// the client's share included.
func BenchmarkSession(b *testing.B) {
	client, server := tcpPair(b)
	defer client.Close()
	_, _, ended := connect(b, newServer(b, Config{}), client, server)
	ping, pong := []byte("ping\n"), make([]byte, len("pong\n"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(ping); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, pong); err != nil {
			b.Fatal(err)
		}
	}
	client.Close()
	<-ended
}
