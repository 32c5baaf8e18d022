//go:build !race

package session

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// What lines allocate, by the runtime's own count. The race detector makes pools
// forget at random, so it is not asked for.

// TestMachineAllocatesNothing: nor does the echo.
func TestMachineAllocatesNothing(t *testing.T) {
	for _, e := range exchanges {
		bench, batch := openBench(), bytes.Repeat([]byte(e.line), 32)
		if n := testing.AllocsPerRun(100, func() { bench.batch(t, batch) }); n != 0 {
			t.Errorf("%s: %v allocations a batch", e.name, n)
		}
	}
}

// TestLinesAllocateNothing: a session on a real socket allocates nothing for a
// line that it answers, whether it comes alone or with others. Under TLS that
// holds for what is linegate's: crypto/tls makes a small object each time that it
// is asked for a record, and it is asked once more than there are.
func TestLinesAllocateNothing(t *testing.T) {
	const writes = 3000
	for _, transport := range []struct {
		name      string
		connected func(testing.TB) *exchanger
		most      float64 // allocations a write
	}{
		{"tcp", plainExchanger, 0},
		{"tls", sealedExchanger(t), 2},
	} {
		for _, e := range exchanges {
			for _, lines := range []int{1, 32} {
				t.Run(fmt.Sprintf("%s/%s/%d", transport.name, e.name, lines), func(t *testing.T) {
					x := transport.connected(t)
					x.prepare(t, strings.Repeat(e.line, lines), writes*(tries+1))
					answer := lines * len(e.reply)
					made := allocsPer(writes, func() { x.exchange(t, answer) })
					// A pool that a collection has emptied is filled again.
					if made > transport.most+0.01 {
						t.Errorf("%.3f allocations for %d lines in one write, want %v", made, lines, transport.most)
					}
				})
			}
		}
	}
}

// tries is how often it is counted, after a first time to warm up: what else goes
// on in the process allocates, too.
const tries = 3

// allocsPer returns how many allocations the process makes for one of n calls of
// f, the least of several counts.
func allocsPer(n int, f func()) float64 {
	least := -1.0
	for range tries + 1 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			f()
		}
		runtime.ReadMemStats(&after)
		if made := float64(after.Mallocs-before.Mallocs) / float64(n); least < 0 || made < least {
			least = made
		}
	}
	return least
}

// exchanger is a client that allocates nothing while it talks: what it says was
// made before, and what it hears is only counted.
type exchanger struct {
	nc     net.Conn
	said   func(text string) []byte // as it goes over the wire
	sealed bool
	writes [][]byte
	room   []byte
}

func (x *exchanger) prepare(t testing.TB, text string, n int) {
	t.Helper()
	x.room = make([]byte, 32<<10)
	for range n {
		x.writes = append(x.writes, x.said(text))
	}
}

// exchange says the next text, and reads n bytes of answer.
func (x *exchanger) exchange(t testing.TB, n int) {
	_, err := x.nc.Write(x.writes[0])
	x.writes = x.writes[1:]
	for err == nil && n > 0 {
		part := n
		if x.sealed { // TLS 1.3: a header of 5 bytes; type and tag are 17
			_, err = io.ReadFull(x.nc, x.room[:5])
			part = int(binary.BigEndian.Uint16(x.room[3:]))
			n += 17
		}
		if err == nil {
			_, err = io.ReadFull(x.nc, x.room[:part])
		}
		n -= part
	}
	if err != nil || n != 0 {
		t.Fatalf("%v, %d bytes left", err, n)
	}
}

func plainExchanger(t testing.TB) *exchanger {
	client, server := tcpPair(t)
	enterQuietly(t, client, client, server)
	return &exchanger{nc: client, said: func(text string) []byte { return []byte(text) }}
}

// sealedExchanger has the client's records made beforehand: what crypto/tls
// allocates to read would be counted with the session's.
func sealedExchanger(t testing.TB) func(testing.TB) *exchanger {
	var wire *recorder
	pair := tlsPairs(t, func(t testing.TB) (client, server net.Conn) {
		client, server = tcpPair(t)
		wire = &recorder{Conn: client}
		return wire, server
	})
	return func(t testing.TB) *exchanger {
		client, server := pair(t)
		if version := client.(*tls.Conn).ConnectionState().Version; version != tls.VersionTLS13 {
			t.Fatalf("TLS version %#x", version)
		}
		own := wire
		enterQuietly(t, own, client, server)
		own.recording = true
		return &exchanger{nc: own.Conn, sealed: true, said: func(text string) []byte {
			own.records = nil
			if _, err := io.WriteString(client, text); err != nil {
				t.Fatal(err)
			}
			return own.records
		}}
	}
}

// enterQuietly logs in on a connection that ends with the test.
func enterQuietly(t testing.TB, wire, client, server net.Conn) {
	t.Helper()
	_, _, ended := connect(t, newServer(t, Config{}), client, server)
	t.Cleanup(func() {
		wire.Close()
		<-ended
	})
}

// recorder keeps what is written to it, once told to.
type recorder struct {
	net.Conn
	recording bool
	records   []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	if !r.recording {
		return r.Conn.Write(b)
	}
	r.records = append(r.records, b...)
	return len(b), nil
}
