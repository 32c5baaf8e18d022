package secure

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/tlstest"
)

// FuzzHandshake: whatever a stranger sends before it has shown who it is, in
// whatever pieces, the handshake fails, and the turn to compute is given back. What
// it may send unanswered is bounded.
func FuzzHandshake(f *testing.F) {
	a := certtest.New(f)
	cfg := &tls.Config{Certificates: []tls.Certificate{a.Issue("localhost")}, ClientCAs: a.Roots(), ClientAuth: tls.RequireAndVerifyClientCert}
	for _, version := range versions {
		for _, curves := range [][]tls.CurveID{nil, {tls.X25519, tls.CurveP256}} {
			flight := clientsFlights(f, cfg, &tls.Config{
				RootCAs: a.Roots(), ServerName: "localhost", Certificates: []tls.Certificate{a.Issue("device")},
				MinVersion: version, MaxVersion: version, CurvePreferences: curves,
			})
			f.Add(flight, uint16(0))
			f.Add(flight, uint16(1))
			f.Add(flight[:len(flight)/2], uint16(100))
		}
	}
	f.Add([]byte("AUTH eyJhbGciOiJFUzI1NiJ9.e30.AA\nping\n"), uint16(0))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"), uint16(0))
	f.Add([]byte("SSH-2.0-OpenSSH_9.9\r\n"), uint16(0))
	f.Add([]byte("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"), uint16(0)) // of SSL 2
	f.Add(bytes.Repeat([]byte("\x14\x03\x03\x00\x01\x01"), 100), uint16(0))
	f.Add(bytes.Repeat([]byte("\x15\x03\x03\x00\x02\x01\x5a"), 100), uint16(0))
	f.Add(longHello(60_000), uint16(0))
	f.Fuzz(func(t *testing.T, sent []byte, size uint16) {
		client, far := socketPair(t)
		client.say(t, sent)
		heard := &counted{UnixConn: far, size: int(size) + 1}
		turn := new(ledger)
		server, done := handshake(heard, cfg, turn)
		err := <-done
		server.Close()
		answer, _ := io.ReadAll(client)
		flights := 1
		if len(answer) > 64 { // more than an alert
			flights = 3 // two hellos and what comes behind the second
		}
		switch {
		case err == nil:
			t.Fatal("a handshake with nobody")
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("hangs: %v", err)
		case turn.taken.Load():
			t.Fatalf("kept its turn: %v", err)
		case heard.read > flights*maxUnanswered:
			t.Fatalf("read %d bytes of a stranger, and answered %d", heard.read, len(answer))
		}
	})
}

// maxUnanswered is what a stranger can have read before it is answered: 16 KiB, and
// one read of TLS, which is of a record's size at most.
const maxUnanswered = 34 << 10

// clientsFlights is all that a real client says in its handshake.
func clientsFlights(f *testing.F, server, client *tls.Config) []byte {
	f.Helper()
	near, far := socketPair(f)
	said := &recorder{Conn: near}
	_, done := handshake(far, server, tlstest.NoTurn{})
	if err := errors.Join(tls.Client(said, client).Handshake(), <-done); err != nil {
		f.Fatal(err)
	}
	return bytes.Join(said.parts, nil)
}

// longHello is one of size bytes, in records of 200.
func longHello(size int) (sent []byte) {
	hello := append([]byte{1, 0, byte(size >> 8), byte(size), 3, 3}, make([]byte, size-2)...)
	for len(hello) > 0 {
		n := min(len(hello), 200)
		sent = append(append(sent, 22, 3, 1, 0, byte(n)), hello[:n]...)
		hello = hello[n:]
	}
	return sent
}

// FuzzRecords: behind a good handshake, a client sends data, then anything: as it
// is, or as the content of a record of any type with good keys. The data arrives,
// nothing is made up behind it, and the connection ends. A good record behind bad
// bytes is not read any more.
func FuzzRecords(f *testing.F) {
	for _, anything := range []string{
		"", "ping\n", "\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "\x17\x03\x03\xff\xff", "\x17\x03\x03\x00\x00", "\x15\x03\x03\x00\x02\x02\x28",
		"\x01\x00", "\x02\x50", "\x18\x00\x00\x01\x01", "\x18\x00\x00\x01\x02", "\x00\x00\x00\x00", "\x01\x00\x00\x02\x03\x03", "\x0b\x00\xff\xff", "\x04\x00\x00\x00",
		strings.Repeat("\x18\x00\x00\x01\x01", 40), strings.Repeat("x", 16<<10), strings.Repeat("x", 16<<10+1),
	} {
		for kind := byte(19); kind < 25; kind++ {
			f.Add([]byte(anything), kind, uint8(2), uint16(4095), false)
			f.Add([]byte(anything), kind, uint8(1), uint16(3), true)
		}
	}
	server, client := certtest.New(f).Configs()
	f.Fuzz(func(t *testing.T, anything []byte, kind byte, good uint8, room uint16, old bool) {
		version := uint16(tls.VersionTLS13)
		if old {
			version = tls.VersionTLS12
		}
		near, far := socketPair(t)
		c, conn := secured(t, near, far, version, server, client)
		var sent []byte
		want := strings.Repeat("hello\n", int(good%8))
		for range good % 8 {
			sent = append(sent, c.Record(tlstest.Data, "hello\n")...)
		}
		authentic := kind > 19 && kind < 25 && len(anything) <= 17<<10
		switch {
		case authentic:
			sent = append(sent, c.Record(kind, string(anything))...)
			if kind == tlstest.Data && len(anything) <= 16<<10 {
				want += string(anything)
			}
		default:
			sent = append(sent, anything...)
			// A ChangeCipherSpec in clear is ignored (RFC 8446 section 5).
			if len(anything) > 0 && anything[0] != 20 {
				sent = append(sent, c.Record(tlstest.Data, "injected\n")...)
			}
		}
		near.say(t, sent)
		got, err := readAll(t, conn, len(sent)+1, int(room)+1)
		switch {
		case got != want:
			t.Fatalf("read %q, want %q (%v)", got, want, err)
		case err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EAGAIN):
			t.Fatalf("hangs: %v", err)
		case len(conn.beneath.input) > bufferSize || len(conn.beneath.queue) > maxQueue:
			t.Fatalf("keeps %d bytes read, %d to be written", len(conn.beneath.input), len(conn.beneath.queue))
		}
	})
}

// counted reads size bytes at a time at most, and counts them.
type counted struct {
	*net.UnixConn
	size, read int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.UnixConn.Read(b[:min(len(b), c.size)])
	c.read += n
	return n, err
}
