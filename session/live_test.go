package session

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/secure"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// TestDialoguesOverSockets plays every dialogue against a session behind real
// TCP and real TLS: whole, and with every byte sent by itself, under TLS those of
// its records as well.
func TestDialoguesOverSockets(t *testing.T) {
	transports := map[string]func(testing.TB) (client, server net.Conn){
		"tcp": tcpPair, "tls": tlsPairs(t, tcpPair), "tls in bytes": tlsPairs(t, bytePair),
	}
	for transport, pair := range transports {
		for _, d := range dialogues(t) {
			t.Run(transport+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				playLive(t, d, pair, func(text string) []string { return []string{text} })
				playLive(t, d, pair, func(text string) []string { return strings.Split(text, "") })
			})
		}
	}
}

// testClock is both clocks, set by hand.
type testClock struct {
	mu  sync.Mutex
	now moment
}

func newTestClock() *testClock { return &testClock{now: moment{wall: epoch.UnixNano()}} }

func (c *testClock) read() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) wall() time.Time { return time.Unix(0, c.read().wall) }

func (c *testClock) add(mono, wall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.mono += mono
	c.now.wall += int64(wall)
}

// castServer is a server whose clock, chance and cast are the dialogues'.
func castServer(t testing.TB, rules Rules, clock *testClock, cast castAuth) *Server {
	t.Helper()
	srv, err := NewServer(Config{
		Authenticator: cast,
		Backend:       castBackend{},
		Rules:         rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.clock = clock.read
	srv.newID = func() string { return "S" }
	srv.jitter = func(int64) int64 { return 0 }
	return srv
}

func playLive(t *testing.T, d dialogue, pair func(testing.TB) (client, server net.Conn), cut func(string) []string) {
	t.Helper()
	clock := newTestClock()
	cast := castAuth{
		castTrust: new(castTrust), now: clock.wall, asked: make(chan struct{}, 1), judge: make(chan struct{}),
	}
	srv := castServer(t, d.rules, clock, cast)
	srv.jitter = func(n int64) int64 { return int64(d.chance * float64(n)) }
	srv.SetLimits(d.limits)
	var other atomic.Bool // it is another session that is let in
	srv.newID = func() string {
		if other.Load() {
			return rand.Text()
		}
		return "S"
	}
	client, server := pair(t)
	defer client.Close()
	// Nothing in a dialogue takes this long in earnest.
	if err := client.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s := srv.New(server, nil)
	ended := make(chan wire.Code, 1)
	go func() { ended <- s.Serve() }()
	in := bufio.NewReader(client)
	for _, step := range d.steps {
		fatal := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("line %d: %s %q: "+format, append([]any{step.line, step.verb, step.text}, args...)...)
		}
		switch step.verb {
		case "C:", "C>":
			for _, part := range cut(step.text) {
				if _, err := io.WriteString(client, part); err != nil {
					fatal("%v", err)
				}
			}
			// Time must not pass before the session has come so far.
			if strings.Contains(step.text, "AUTH slow-") {
				<-cast.asked
			}
		case "FIN":
			steady.EndStream(client)
		case "S:":
			if line, err := in.ReadString('\n'); err != nil || line != step.text+"\n" {
				fatal("got %q, %v", line, err)
			}
		case "T:", "WALL:":
			by, err := time.ParseDuration(step.text)
			if err != nil {
				fatal("%v", err)
			}
			if step.verb == "T:" {
				clock.add(by, by)
			} else {
				clock.add(0, by)
			}
			s.wake()
			s.awaitHeeded()
		case "VERDICT":
			cast.judge <- struct{}{}
		case "PUSH":
			if err := s.Push([]byte(step.text)); err != nil && !errors.Is(err, ErrSlow) && !errors.Is(err, ErrClosed) {
				fatal("%v", err)
			}
		case "TRUST":
			cast.set(step.text)
			srv.Review()
			s.awaitHeeded()
		case "OTHER":
			other.Store(true)
			near, far := pair(t)
			defer near.Close()
			connectAs(t, srv, near, far, step.text)
			other.Store(false)
		case "ANNOUNCE":
			n, _ := strconv.Atoi(step.text)
			s.Announce(time.Duration(n) * time.Second)
		case "STOP":
			s.End(stopOrder(step.text))
		case "END":
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				fatal("unread: %q, %v", rest, err)
			}
			client.Close()
			if got := (<-ended).String(); got != step.text {
				fatal("ended for %s", got)
			}
		}
	}
}

// awaitHeeded returns when the session has looked at its orders and the clock,
// or ended.
func (s *Session) awaitHeeded() {
	for {
		s.mu.Lock()
		heeded := !s.orders.any || s.orders.deaf
		s.mu.Unlock()
		if heeded {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, steady.New(server, 10*time.Second)
}

// bytePair is a tcpPair whose client sends every byte by itself.
func bytePair(t testing.TB) (client, server net.Conn) {
	client, server = tcpPair(t)
	return bytesWriter{client}, server
}

type bytesWriter struct{ net.Conn }

func (w bytesWriter) Write(b []byte) (n int, err error) {
	for i := range b {
		if _, err := w.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// CloseWrite ends the stream, as the net.Conn's does.
func (w bytesWriter) CloseWrite() error { return w.Conn.(*net.TCPConn).CloseWrite() }

// tlsPairs puts pairs behind TLS.
func tlsPairs(t testing.TB, pair func(testing.TB) (client, server net.Conn)) func(testing.TB) (client, server net.Conn) {
	t.Helper()
	authority := certtest.New(t)
	serverConfig := &tls.Config{Certificates: []tls.Certificate{authority.Issue("localhost")}}
	clientConfig := &tls.Config{RootCAs: authority.Roots(), ServerName: "localhost"}
	return func(t testing.TB) (client, server net.Conn) {
		c, s := pair(t)
		tlsClient, tlsServer := tls.Client(c, clientConfig), secure.Server(s.(*steady.Conn), serverConfig)
		done := make(chan error, 1)
		go func() { done <- tlsServer.Handshake(noTurn{}) }()
		if err := errors.Join(tlsClient.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		return tlsClient, tlsServer
	}
}
