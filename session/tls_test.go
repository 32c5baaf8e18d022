package session

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/internal/tlstest"
	"github.com/linegate/linegate/wire"
)

// forger is a client that makes its own records.
type forger struct {
	*tlstest.Client
	t *testing.T
}

// forged is a session under TLS 1.3 whose client is a forger and is in.
func forged(t *testing.T, srv *Server, auth string) (*forger, *Session, <-chan wire.Code) {
	t.Helper()
	server, client := certtest.New(t).Configs()
	near, far := tcpPair(t)
	t.Cleanup(func() { near.Close() })
	_ = near.SetDeadline(time.Now().Add(20 * time.Second))
	beneath := far.(*steady.Conn)
	_ = errors.Join(near.(*net.TCPConn).SetReadBuffer(4096), beneath.Conn.(*net.TCPConn).SetWriteBuffer(4096)) // so that it stalls soon
	conn, shaken := secured(far, server)
	f := &forger{tlstest.New(t, near, tls.VersionTLS13, client), t}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	s, ended := serve(srv, conn)
	f.Say(auth)
	f.expect("OK AUTH ")
	return f, s, ended
}

func (f *forger) expect(prefix string) {
	f.t.Helper()
	if line, err := f.ReadString('\n'); err != nil || !strings.HasPrefix(line, prefix) {
		f.t.Fatalf("got %q, %v; want %q...", line, err, prefix)
	}
}

// stall pushes to s until its client, which reads nothing, has to be waited for.
func stall(t *testing.T, s *Session) {
	t.Helper()
	for line := bytes.Repeat([]byte("x"), 8000); ; {
		if s.out.unsentBytes() > s.machine.rules.MaxOutbound/2 {
			return
		}
		if err := s.Push(line); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeyUpdateWhileStalled: a session whose client takes nothing, and has KeyUpdates
// answered meanwhile, still heeds its expiry.
func TestKeyUpdateWhileStalled(t *testing.T) {
	clock := newTestClock()
	srv := castServer(t, Rules{WriteTimeout: 50 * time.Millisecond}, clock, castAuth{castTrust: new(castTrust), now: clock.wall})
	client, s, ended := forged(t, srv, "AUTH alice.300\n")
	stall(t, s)
	for range 20 {
		client.Write(append(client.KeyUpdate(true), client.Record(tlstest.Data, "x")...))
	}
	clock.add(300*time.Second, 300*time.Second)
	s.wake()
	s.awaitHeeded()
	clock.add(time.Second, time.Second)
	s.wake()
	if end := <-ended; end != wire.TokenExpired {
		t.Errorf("ended for %s", end)
	}
}

// TestKeyUpdatesOnly: updates without end, asked to be answered and answered to
// nobody, end the session.
func TestKeyUpdatesOnly(t *testing.T) {
	srv := newServer(t, Config{Rules: Rules{WriteTimeout: 50 * time.Millisecond, IdleTimeout: time.Hour}})
	client, s, ended := forged(t, srv, "AUTH alice\n")
	stall(t, s)
	for {
		var packet []byte
		for range 10 {
			packet = append(packet, client.KeyUpdate(true)...)
		}
		if _, err := client.Write(append(packet, client.Record(tlstest.Data, "x")...)); err != nil {
			break
		}
	}
	if end := <-ended; end != wire.SlowConsumer {
		t.Errorf("ended for %s", end)
	}
}

// TestManyKeyUpdates: a client that updates its keys between any two lines is served.
func TestManyKeyUpdates(t *testing.T) {
	client, _, _ := forged(t, newServer(t, Config{}), "AUTH alice\n")
	for i := range 50 {
		client.Write(append(client.KeyUpdate(i%2 == 0), client.Record(tlstest.Data, "ping\n")...))
		client.expect("pong\n")
	}
}

// TestNoRenegotiation: a second handshake ends the session without a word.
func TestNoRenegotiation(t *testing.T) {
	client, _, ended := forged(t, newServer(t, Config{}), "AUTH alice\n")
	client.Write(client.Record(tlstest.Handshake, "\x01\x00\x00\x00"))
	if line, err := client.ReadString('\n'); !errors.As(err, new(tls.AlertError)) {
		t.Errorf("got %q, %v", line, err)
	}
	client.Close()
	if end := <-ended; end != wire.ClientReset {
		t.Errorf("ended for %s", end)
	}
}
