package session

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// TestByeArrivesBeforeUnreadInput: what a client sends on and on after the
// BYE does not turn the close into a reset that takes the BYE along.
func TestByeArrivesBeforeUnreadInput(t *testing.T) {
	for range 50 {
		client, server := tcpPair(t)
		srv := newServer(t, Config{})
		_, ended := serve(srv, server)
		if _, err := io.WriteString(client, "HELLO\n"+strings.Repeat("more\n", 2000)); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(client)
		if err != nil || !strings.HasPrefix(string(said), "BYE invalid_request ") {
			t.Fatalf("%q, %v", said, err)
		}
		client.Close()
		<-ended
	}
}

// The tests that follow have synctest's clock, and of these lines, sent at once, a
// client that has read nothing yet.
const pings = 100

// TestSlowReaderAtTheEnd: a client that reads slowly, though steadily, gets every
// answer that it was promised before the session ended, and the BYE.
func TestSlowReaderAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := late(t, Rules{IdleTimeout: time.Hour})
		l.s.End(wire.Draining, time.Second)
		l.readSlowly(t)
		expect(t, l.in, "BYE draining ")
		l.client.Close()
		<-l.ended
	})
}

// TestFarewell: one that reads a byte now and then is not waited for without end.
func TestFarewell(t *testing.T) {
	for _, tt := range []struct {
		reason wire.Code
		end    func(s *Session) // nil: the client is idle
		want   time.Duration
	}{
		{wire.IdleTimeout, nil, 30*time.Second + 2*time.Minute},
		{wire.Draining, func(s *Session) { s.End(wire.Draining, 0) }, 2 * time.Minute},
		{wire.Replaced, func(s *Session) { s.End(wire.Replaced, 0) }, 2 * time.Minute},
		{wire.TokenRevoked, func(s *Session) { s.End(wire.TokenRevoked, 0) }, 10 * time.Second},
	} {
		t.Run(tt.reason.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := late(t, Rules{})
				start := time.Now()
				if tt.end != nil {
					tt.end(l.s)
				}
				l.dripping.Go(l.drip)
				l.endsFor(t, tt.reason)
				if took := time.Since(start); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
				l.dripping.Wait()
			})
		})
	}
}

// TestNoFarewell: one that takes nothing is not waited for any longer than else.
func TestNoFarewell(t *testing.T) {
	for _, reason := range []wire.Code{wire.Draining, wire.Replaced} {
		t.Run(reason.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := late(t, Rules{})
				start := time.Now()
				time.Sleep(time.Second)
				l.s.End(reason, 0)
				l.endsFor(t, reason)
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestEndedStream: a client that ended its stream gets every answer, and is in
// session until it has them.
func TestEndedStream(t *testing.T) {
	for name, play := range map[string]func(t *testing.T, l *lateReader){
		"reads slowly": func(t *testing.T, l *lateReader) {
			l.readSlowly(t)
			if rest, err := io.ReadAll(l.in); len(rest) > 0 || err != nil {
				t.Errorf("instead of the end: %q, %v", rest, err)
			}
			l.endsFor(t, wire.ClientClosed)
		},
		"reads nothing": func(t *testing.T, l *lateReader) { l.endsFor(t, wire.SlowConsumer) },
		"goes away": func(t *testing.T, l *lateReader) {
			l.client.Close()
			l.endsFor(t, wire.ClientReset)
		},
		"is ended": func(t *testing.T, l *lateReader) {
			l.s.End(wire.TokenRevoked, 0)
			for range pings {
				expect(t, l.in, "pong\n")
			}
			expect(t, l.in, "BYE token_revoked ")
			l.client.Close()
			l.endsFor(t, wire.TokenRevoked)
		},
		"is revoked by a review": func(t *testing.T, l *lateReader) {
			l.trust.set("k1 withdrawn")
			if n := l.srv.Review(); n != 1 {
				t.Errorf("withdrew %d sessions, want 1", n)
			}
			for range pings {
				expect(t, l.in, "pong\n")
			}
			expect(t, l.in, "BYE token_revoked ")
			l.client.Close()
			l.endsFor(t, wire.TokenRevoked)
		},
		"reads for longer than its token lasts": func(t *testing.T, l *lateReader) {
			start := time.Now()
			l.dripping.Go(l.drip)
			l.endsFor(t, wire.TokenExpired)
			// The token's hour, a second's spread, and write_timeout.
			if took := time.Since(start); took > time.Hour+11*time.Second {
				t.Errorf("took %v", took)
			}
			l.dripping.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := late(t, Rules{})
				l.client.CloseWrite()
				synctest.Wait()
				if l.srv.Session(l.s.ID()) != l.s {
					t.Error("it is over")
				}
				if err := l.s.Push([]byte("more")); !errors.Is(err, ErrClosed) {
					t.Errorf("push: %v", err)
				}
				play(t, l)
				if n := l.srv.Open(); n != 0 {
					t.Errorf("%d sessions are left", n)
				}
			})
		})
	}
}

// TestEndedStreamOverSockets: so it is over real TCP and TLS.
func TestEndedStreamOverSockets(t *testing.T) {
	for name, pair := range transports(t) {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			defer client.Close()
			const lines = 1000 // of which sockets take in a part
			text := strings.Repeat("x", 8000) + "\n"
			srv := newServer(t, Config{Rules: Rules{MaxOutbound: 16 << 20}})
			s, in, ended := connect(t, srv, client, server)
			for range lines {
				if _, err := io.WriteString(client, text); err != nil {
					t.Fatal(err)
				}
			}
			steady.EndStream(client)
			s.awaitMute()
			if n := srv.Open(); n != 1 {
				t.Error("it is over")
			}
			for i := range lines {
				if line, err := in.ReadString('\n'); err != nil || line != "from server: "+text {
					t.Fatalf("line %d: %q, %v", i, line, err)
				}
			}
			if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
				t.Errorf("instead of the end: %q, %v", rest, err)
			}
			if got := <-ended; got != wire.ClientClosed {
				t.Errorf("ended for %s", got)
			}
		})
	}
}

// awaitMute returns when the session has read the end of its client's stream.
func (s *Session) awaitMute() {
	for mute := false; !mute; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		mute = s.orders.mute
		s.mu.Unlock()
	}
}

// lateReader is a client that has read its OK, and none of its pongs yet.
type lateReader struct {
	trust    *trusted // its token is of k1
	srv      *Server
	s        *Session
	client   halves
	in       *bufio.Reader // reads no byte before it is asked for
	ended    <-chan wire.Code
	dripping sync.WaitGroup
}

func late(t *testing.T, rules Rules) *lateReader {
	t.Helper()
	client, server := halfPipes()
	trust := new(trusted)
	srv := newServer(t, Config{Authenticator: trust, Rules: rules})
	s, _, ended := connect(t, srv, client, steady.New(server, 10*time.Second))
	io.WriteString(client, strings.Repeat("ping\n", pings))
	synctest.Wait()
	return &lateReader{trust: trust, srv: srv, s: s, client: client, in: bytewise(client), ended: ended}
}

// readSlowly reads the pongs.
func (l *lateReader) readSlowly(t *testing.T) {
	t.Helper()
	for range pings {
		time.Sleep(time.Second)
		expect(t, l.in, "pong\n")
	}
}

// drip reads a byte just before it would be late.
func (l *lateReader) drip() {
	for err := error(nil); err == nil; _, err = l.in.ReadByte() {
		time.Sleep(9 * time.Second)
	}
}

func (l *lateReader) endsFor(t *testing.T, want wire.Code) {
	t.Helper()
	if got := <-l.ended; got != want {
		t.Errorf("ended for %s, want %s", got, want)
	}
}

// halves are one end of two pipes: either can be ended by itself.
type halves struct {
	net.Conn
	in net.Conn
}

func halfPipes() (client, server halves) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	return halves{Conn: a, in: d}, halves{Conn: c, in: b}
}

func (h halves) Read(b []byte) (int, error)        { return h.in.Read(b) }
func (h halves) SetReadDeadline(t time.Time) error { return h.in.SetReadDeadline(t) }
func (h halves) CloseWrite() error                 { return h.Conn.Close() }
func (h halves) Close() error                      { return errors.Join(h.in.Close(), h.Conn.Close()) }
