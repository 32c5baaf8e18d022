package session

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// BenchmarkMachine serves batches of 32 lines without I/O; the time is for a
// batch.
func BenchmarkMachine(b *testing.B) {
	for name, line := range map[string]string{
		"ping": "ping\n",
		"echo": "a message of thirty-six bytes in all\n",
	} {
		b.Run(name, func(b *testing.B) {
			bench := newBench(Rules{IdleTimeout: time.Hour})
			bench.in = []byte("AUTH alice.1000000\n")
			bench.run()
			batch := bytes.Repeat([]byte(line), 32)
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				bench.reply.buf = bench.reply.buf[:0]
				for rest := batch; len(rest) > 0; {
					taken, _ := bench.m.input(bench.now, rest, &bench.reply)
					if taken == 0 {
						b.Fatalf("left %d of %d bytes", len(rest), len(batch))
					}
					rest = rest[taken:]
				}
			}
		})
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
