package session

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// anyToken lets everybody in, under the token's own name.
type anyToken struct{}

func (anyToken) Verify(_ context.Context, token string, _ auth.Proof) (*auth.Identity, error) {
	return &auth.Identity{Grant: &auth.Grant{IssuerName: "main", Issuer: "issuer"}, Subject: token, Expires: time.Now().Add(time.Hour)}, nil
}

func newServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Authenticator == nil {
		cfg.Authenticator = anyToken{}
	}
	srv, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// connect serves nc and lets its client in.
func connect(t testing.TB, srv *Server, client, server net.Conn) (s *Session, in *bufio.Reader, ended chan wire.Code) {
	t.Helper()
	return connectAs(t, srv, client, server, "alice")
}

func connectAs(t testing.TB, srv *Server, client, server net.Conn, token string) (s *Session, in *bufio.Reader, ended chan wire.Code) {
	t.Helper()
	s, ended = srv.New(server, nil), make(chan wire.Code, 1)
	go func() { ended <- s.Serve() }()
	if _, err := io.WriteString(client, "AUTH "+token+"\n"); err != nil {
		t.Fatal(err)
	}
	in = bufio.NewReader(client)
	expect(t, in, "OK AUTH ")
	return s, in, ended
}

func expect(t testing.TB, in *bufio.Reader, prefix string) {
	t.Helper()
	line, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		t.Fatalf("got %q, %v; want %q...", line, err, prefix)
	}
}

// TestPipelineAndReadLater: a client that sends far more than the gateway
// keeps for it, and reads only when it can send no more, loses nothing.
func TestPipelineAndReadLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		pipelineAndRead(t, client, steady.New(server, time.Hour), func(sent <-chan error) {
			synctest.Wait() // until everybody is stuck
			select {
			case err := <-sent:
				t.Fatalf("everything went out unread: %v", err)
			default:
			}
		})
	})
	transports := map[string]func(testing.TB) (client, server net.Conn){"tcp": tcpPair, "tls": tlsPairs(t, tcpPair)}
	for name, pair := range transports {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			pipelineAndRead(t, client, server, func(<-chan error) {})
		})
	}
}

func pipelineAndRead(t *testing.T, client, server net.Conn, stall func(sent <-chan error)) {
	defer client.Close()
	srv := newServer(t, Config{Rules: Rules{MaxOutbound: 16 << 10}})
	_, in, ended := connect(t, srv, client, server)
	const lines = 50_000
	text := strings.Repeat("x", 100)
	sent := make(chan error, 1)
	go func() {
		out := bufio.NewWriter(client)
		for i := range lines {
			fmt.Fprintf(out, "%d %s\n", i, text)
		}
		sent <- out.Flush()
	}()
	stall(sent)
	for i := range lines {
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("from server: %d %s\n", i, text); err != nil || line != want {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	client.Close()
	if got := <-ended; got != wire.ClientClosed {
		t.Fatal(got)
	}
}

// TestSlowConsumer: a client that takes no byte for write_timeout is dropped,
// one that takes a byte now and then is not.
func TestSlowConsumer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration // between two bytes that the client takes
		want  wire.Code
	}{
		{"takes nothing", time.Hour, wire.SlowConsumer},
		{"takes a byte in 9 s", 9 * time.Second, wire.ClientClosed},
		{"takes a byte in 11 s", 11 * time.Second, wire.SlowConsumer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				srv := newServer(t, Config{Rules: Rules{IdleTimeout: time.Hour}})
				_, _, ended := connect(t, srv, client, steady.New(server, 10*time.Second))
				in := bytewise(client)
				go io.WriteString(client, "ten bytes.\n")
				for range len("from server: ten bytes.\n") {
					time.Sleep(tt.pause) // synctest's clock
					if _, err := in.ReadByte(); err != nil {
						break
					}
				}
				client.Close()
				if got := <-ended; got != tt.want {
					t.Fatalf("ended for %s", got)
				}
			})
		})
	}
}

// bytewise reads no byte before it is asked for.
func bytewise(client net.Conn) *bufio.Reader { return bufio.NewReader(iotest.OneByteReader(client)) }

// TestIdleStandsStillWhileNotReading: the gateway that waits for its client to
// take replies does not call the client idle.
func TestIdleStandsStillWhileNotReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{IdleTimeout: 30 * time.Second, MaxOutbound: 64}})
		_, in, ended := connect(t, srv, client, steady.New(server, time.Hour))
		text := strings.Repeat("x", 100)
		io.WriteString(client, text+"\n")
		time.Sleep(29 * time.Minute)
		expect(t, in, "from server: "+text)
		synctest.Wait() // it reads again
		time.Sleep(29 * time.Second)
		io.WriteString(client, "ping\n")
		expect(t, in, "pong")
		time.Sleep(30 * time.Second)
		expect(t, in, "BYE idle_timeout")
		client.Close()
		if got := <-ended; got != wire.IdleTimeout {
			t.Fatalf("ended for %s", got)
		}
	})
}

// TestExpiryWhileStalled: a session that is stuck writing ends at its expiry
// all the same.
func TestExpiryWhileStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{MaxOutbound: 64, IdleTimeout: 2 * time.Hour}})
		s, _, ended := connect(t, srv, client, steady.New(server, 2*time.Hour))
		start := time.Now()
		io.WriteString(client, strings.Repeat("x", 100)+"\n")
		if got := <-ended; got != wire.TokenExpired {
			t.Fatalf("ended for %s", got)
		}
		// The hour of the token, a second's spread, and write_timeout for what
		// is unsent.
		if took := time.Since(start); took > time.Hour+time.Second+s.machine.rules.WriteTimeout {
			t.Fatalf("took %v", took)
		}
	})
}

// pusher is a backend that pushes from goroutines of its own.
type pusher struct {
	Echo
	opened, closed chan *Session
}

func (p pusher) Opened(s *Session) { p.opened <- s }
func (p pusher) Closed(s *Session) { p.closed <- s }

// TestPush: lines pushed from many goroutines, while the client talks, arrive
// whole and in each goroutine's order; before and after the session there is
// nobody to push to.
func TestPush(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	backend := pusher{opened: make(chan *Session, 1), closed: make(chan *Session, 1)}
	srv := newServer(t, Config{Backend: backend})
	early := srv.New(server, nil)
	if err := early.Push([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Fatalf("before AUTH: %v", err)
	}
	s, in, ended := connect(t, srv, client, server)
	if <-backend.opened != s {
		t.Fatal("another session was opened")
	}
	for _, text := range []string{"a\nb", "a\rb", strings.Repeat("x", 8<<10+1)} {
		if err := s.Push([]byte(text)); !errors.Is(err, ErrText) {
			t.Errorf("Push(%.5q): %v", text, err)
		}
	}
	const each = 1000
	var pushing sync.WaitGroup
	for from := range 4 {
		pushing.Go(func() {
			for i := range each {
				if err := s.Push(fmt.Appendf(nil, "push %d %d", from, i)); err != nil {
					t.Errorf("push: %v", err)
				}
			}
		})
	}
	go io.WriteString(client, strings.Repeat("ping\n", each))
	var next [4]int
	for range 5 * each {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var from, i int
		if line == "pong\n" {
			continue
		}
		if _, err := fmt.Sscanf(line, "from server: push %d %d\n", &from, &i); err != nil || i != next[from] {
			t.Fatalf("got %q, %v", line, err)
		}
		next[from]++
	}
	pushing.Wait()
	client.Close()
	<-ended
	if <-backend.closed != s {
		t.Fatal("another session was closed")
	}
	if err := s.Push([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Fatalf("after the end: %v", err)
	}
}

// TestByeBehindWhatWasPushed: a client that reads too late for a pushed line gets all
// those that fitted, and then the BYE.
func TestByeBehindWhatWasPushed(t *testing.T) {
	transports := map[string]func(testing.TB) (client, server net.Conn){"tcp": tcpPair, "tls": tlsPairs(t, tcpPair)}
	for name, pair := range transports {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			defer client.Close()
			srv := newServer(t, Config{Rules: Rules{MaxOutbound: 64 << 10}})
			s, in, ended := connect(t, srv, client, server)
			fitted, text := 0, strings.Repeat("x", 8000)
			for {
				err := s.Push(fmt.Appendf(nil, "%d %s", fitted, text))
				if errors.Is(err, ErrSlow) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				fitted++
			}
			for i := range fitted {
				expect(t, in, fmt.Sprintf("from server: %d %s\n", i, text))
			}
			expect(t, in, "BYE slow_consumer ")
			if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
				t.Errorf("instead of the end: %q, %v", rest, err)
			}
			client.Close()
			if got := <-ended; got != wire.SlowConsumer {
				t.Fatal(got)
			}
		})
	}
}

// TestBatchIsBounded: a client that never pauses gets its replies all the
// same, and an order to end is heeded.
func TestBatchIsBounded(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	srv := newServer(t, Config{})
	s, in, ended := connect(t, srv, client, server)
	go client.Write(bytes.Repeat([]byte("ping\n"), 1_000_000))
	for range 100_000 {
		expect(t, in, "pong")
	}
	s.End(wire.TokenRevoked, 0)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		if strings.HasPrefix(line, "BYE token_revoked ") {
			break
		}
	}
	client.Close()
	if got := <-ended; got != wire.TokenRevoked {
		t.Fatal(got)
	}
}

// TestByeArrivesBeforeUnreadInput: what a client sends on and on after the
// BYE does not turn the close into a reset that takes the BYE along.
func TestByeArrivesBeforeUnreadInput(t *testing.T) {
	for range 50 {
		client, server := tcpPair(t)
		srv := newServer(t, Config{})
		ended := make(chan wire.Code, 1)
		go func() { ended <- srv.New(server, nil).Serve() }()
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

// TestAuthenticatorPanics ends one connection, by a panic that its gateway
// counts, and leaves nothing of the session behind.
func TestAuthenticatorPanics(t *testing.T) {
	client, server := net.Pipe()
	srv := newServer(t, Config{Authenticator: panicky{}})
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		srv.New(server, nil).Serve()
	}()
	io.WriteString(client, "AUTH a.secret.token\n")
	if said := <-panicked; said == nil || strings.Contains(fmt.Sprint(said), "secret") {
		t.Fatalf("panicked with %v", said)
	}
	if n := srv.sessions.len(); n != 0 {
		t.Fatalf("%d sessions left", n)
	}
}

type panicky struct{}

func (panicky) Verify(_ context.Context, token string, _ auth.Proof) (*auth.Identity, error) {
	panic("with " + token)
}

// TestNothingBehindTheBye: however a backend pushes while its session ends, the
// BYE is the last line.
func TestNothingBehindTheBye(t *testing.T) {
	srv := newServer(t, Config{})
	for range 200 {
		client, server := tcpPair(t)
		s, in, ended := connect(t, srv, client, server)
		var pushing sync.WaitGroup
		for range 2 {
			pushing.Go(func() {
				for s.Push([]byte("news")) == nil {
				}
			})
		}
		go s.End(wire.TokenRevoked, 0)
		said, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(said), "\n"), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "BYE token_revoked ") {
			t.Fatalf("the last line is %q", last)
		}
		pushing.Wait()
		client.Close()
		<-ended
	}
}

// TestStallIsTimedFromTheLastByte: a client that took some of a write and then
// nothing has write_timeout, not twice that, and the close waits no longer.
func TestStallIsTimedFromTheLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{IdleTimeout: time.Hour}})
		_, _, ended := connect(t, srv, client, steady.New(server, 8*time.Second))
		in := bytewise(client)
		go io.WriteString(client, "ten bytes.\n")
		time.Sleep(7 * time.Second)
		in.ReadByte()
		last := time.Now()
		if got := <-ended; got != wire.SlowConsumer {
			t.Fatalf("ended for %s", got)
		}
		if took := time.Since(last); took < 7*time.Second || took > 9*time.Second {
			t.Fatalf("ended %v after the last byte", took)
		}
	})
}

// TestSlowReaderAtTheEnd: a client that ended its stream and reads slowly,
// though steadily, still gets every answer.
func TestSlowReaderAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		srv := newServer(t, Config{Rules: Rules{IdleTimeout: time.Hour}})
		s, _, ended := connect(t, srv, client, steady.New(server, 10*time.Second))
		in := bytewise(client)
		const lines = 100
		io.WriteString(client, strings.Repeat("ping\n", lines))
		synctest.Wait()
		s.End(wire.Draining, time.Second)
		for range lines {
			time.Sleep(time.Second)
			expect(t, in, "pong\n")
		}
		expect(t, in, "BYE draining ")
		client.Close()
		<-ended
	})
}

// pausedConn is a connection on a machine that stands still now and then: the
// test says of each read whether it meets its deadline or looks at the socket.
type pausedConn struct {
	net.Conn
	reading  chan struct{} // told when a read begins
	deadline chan bool
}

func (c pausedConn) Read(b []byte) (int, error) {
	c.reading <- struct{}{}
	if <-c.deadline {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Conn.Read(b)
}

// TestPausedMachine: lines that wait when a deadline fires late are served,
// and their client is not idle.
func TestPausedMachine(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	clock := newTestClock()
	srv := castServer(t, Rules{}, clock, castAuth{now: clock.wall})
	paused := pausedConn{server, make(chan struct{}, 1), make(chan bool, 1)}
	ended := make(chan wire.Code, 1)
	go func() { ended <- srv.New(paused, nil).Serve() }()
	in := bufio.NewReader(client)
	io.WriteString(client, "AUTH alice.3000\n")
	<-paused.reading
	paused.deadline <- false
	expect(t, in, "OK AUTH ")
	for range 20 {
		io.WriteString(client, "ping\n")
		<-paused.reading // it has looked at the clock before
		clock.add(31*time.Second, 31*time.Second)
		paused.deadline <- true
		<-paused.reading
		paused.deadline <- false
		expect(t, in, "pong\n")
	}
	client.Close()
	<-paused.reading
	paused.deadline <- false
	if got := <-ended; got != wire.ClientClosed {
		t.Fatalf("ended for %s", got)
	}
}

// slowBackend needs 10 ms of its clock for a message.
type slowBackend struct {
	clock *testClock
	taken *int
}

func (b slowBackend) Message(*Session, []byte, *Reply) error {
	b.clock.add(10*time.Millisecond, 10*time.Millisecond)
	*b.taken++
	return nil
}

// TestExpiryWithinABatch: lines that came together are not all served because
// the first was in time.
func TestExpiryWithinABatch(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	clock, taken := newTestClock(), 0
	srv := castServer(t, Rules{}, clock, castAuth{now: clock.wall})
	srv.backend = slowBackend{clock, &taken}
	ended := make(chan wire.Code, 1)
	go func() { ended <- srv.New(server, nil).Serve() }()
	io.WriteString(client, "AUTH alice.1\n"+strings.Repeat("x\n", 1000))
	said, err := io.ReadAll(client)
	if err != nil || !strings.Contains(string(said), "BYE token_expired ") {
		t.Fatalf("%q, %v", said, err)
	}
	client.Close()
	<-ended
	if taken > 100+messagesPerLook {
		t.Errorf("%d messages of 10 ms were served in a second", taken)
	}
}
