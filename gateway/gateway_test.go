package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/linegate/linegate/wire"
)

// liner is a Conn that lets whoever says "in" in, and ends when told so.
type liner struct {
	nc       net.Conn
	in       *bufio.Reader
	stranger Stranger

	mu  sync.Mutex
	end wire.Code
}

func serveLines(nc net.Conn, stranger Stranger) Conn {
	return &liner{nc: nc, in: bufio.NewReader(nc), stranger: stranger}
}

func (l *liner) Attend() wire.Code {
	for {
		line, err := l.in.ReadString('\n')
		l.mu.Lock()
		end := l.end
		l.mu.Unlock()
		switch {
		case end != 0:
			l.nc.Write(wire.AppendBye(nil, end, 0))
			return end
		case err != nil:
			return wire.ClientClosed
		case line == "panic\n":
			panic("with a secret")
		case line == "in\n":
			l.stranger.Authenticated()
			io.WriteString(l.nc, "welcome\n")
			return 0
		case line == "check\n":
			l.stranger.Checking()
			io.WriteString(l.nc, "checking\n")
		case line == "refuse\n":
			l.stranger.Refused()
			io.WriteString(l.nc, "refused\n")
		default:
			io.WriteString(l.nc, line)
		}
	}
}

func (l *liner) Announce(time.Duration) { io.WriteString(l.nc, "NOTICE draining retry_after=1\n") }

func (l *liner) End(code wire.Code, _ time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = code
	l.nc.SetReadDeadline(time.Unix(1, 0))
}

// fixture is a gateway behind one socket.
type fixture struct {
	*Gateway
	t        testing.TB
	registry *prometheus.Registry
	listener *Listener
	served   chan error
	log      *strings.Builder
}

func start(t testing.TB, cfg Config, secure *TLS) *fixture {
	t.Helper()
	f := &fixture{t: t, registry: prometheus.NewRegistry(), served: make(chan error, 1), log: new(strings.Builder)}
	if cfg.Handler == nil {
		cfg.Handler = serveLines
	}
	cfg.Metrics = NewMetrics(f.registry)
	cfg.Log = slog.New(slog.NewTextHandler(f.log, nil))
	var err error
	if f.Gateway, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.listener = &Listener{Listener: socket, Name: "devices", TLS: secure}
	go func() { f.served <- f.Serve(f.listener) }()
	t.Cleanup(f.Close)
	return f
}

type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (f *fixture) dial() *client {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	f.t.Cleanup(func() { nc.Close() })
	return &client{nc, f.t, bufio.NewReader(nc)}
}

func (c *client) exchange(line, want string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	c.expect(want)
}

func (c *client) expect(prefix string) {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("got %q, %v; want %q...", line, err, prefix)
	}
}

func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Fatalf("instead of the end: %q, %v", rest, err)
	}
}

// closed returns how many connections ended for reason.
func (f *fixture) closed(reason wire.Code) int64 { return f.metrics.closed[reason].Load() }

// drained ends the gateway, so that every count is final.
func (f *fixture) drained() {
	f.t.Helper()
	if err := f.Shutdown(f.t.Context(), 0); err != nil {
		f.t.Fatal(err)
	}
	if err := <-f.served; !errors.Is(err, ErrClosed) {
		f.t.Fatalf("Serve returned %v", err)
	}
}

// TestConnectionsInExcess are accepted, told and closed, also when they have
// sent something already; those within the limit notice nothing.
func TestConnectionsInExcess(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 2, Unauthenticated: 2}}, nil)
	first, second := f.dial(), f.dial()
	first.exchange("in", "welcome")
	second.exchange("in", "welcome")
	for range 2 * maxPolite {
		third := f.dial()
		io.WriteString(third, "AUTH something\n")
		third.expect("BYE too_many_sessions action=retry retry_after=")
		third.expectEnd()
		third.Close()
	}
	first.exchange("still here", "still here")
	second.Close()
	// The place is free as soon as the gateway has seen the close.
	for {
		next := f.dial()
		io.WriteString(next, "in\n")
		line, _ := next.in.ReadString('\n')
		next.Close()
		if line == "welcome\n" {
			break
		}
	}
	f.drained()
	if n := f.closed(wire.TooManySessions); n < 2*maxPolite {
		t.Errorf("%d refused", n)
	}
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(`
# HELP linegate_connections_open Connections accepted and not yet closed.
# TYPE linegate_connections_open gauge
linegate_connections_open 0
`), "linegate_connections_open"); err != nil {
		t.Error(err)
	}
}

// TestManyInExcessAtOnce: beyond those that are kept a moment, the BYE arrives
// too where the client has said nothing unread.
func TestManyInExcessAtOnce(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 1, Unauthenticated: 1}}, nil)
	f.dial().exchange("in", "welcome")
	var all []*client
	for range 3 * maxPolite { // none closes: each is kept as long as it may
		c := f.dial()
		io.WriteString(c, "AUTH something\n")
		all = append(all, c)
	}
	for _, c := range all {
		c.expect("BYE too_many_sessions action=retry retry_after=")
		c.expectEnd()
	}
}

// TestShutdownWaitsForAccepted: a connection that was accepted when Shutdown
// began gets its BYE before Shutdown returns.
func TestShutdownWaitsForAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{Handler: serveLines})
		if err != nil {
			t.Fatal(err)
		}
		l := &lateListener{stubListener: newStubListener(), late: make(chan net.Conn)}
		go g.Serve(&Listener{Listener: l, Name: "stub"})
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- g.Shutdown(t.Context(), 0) }()
		synctest.Wait()
		select {
		case err := <-down:
			t.Fatalf("Shutdown returned %v while Accept was still under way", err)
		default:
		}
		client, server := net.Pipe()
		l.late <- server // Accept had it when the listener was closed
		if line, err := bufio.NewReader(client).ReadString('\n'); !strings.HasPrefix(line, "BYE draining ") {
			t.Fatal(line, err)
		}
		if err := <-down; err != nil {
			t.Fatal(err)
		}
	})
}

// lateListener hands one more connection over when it is closed.
type lateListener struct {
	*stubListener
	late chan net.Conn
	done bool
}

func (l *lateListener) Accept() (net.Conn, error) {
	nc, err := l.stubListener.Accept()
	if err != nil && !l.done {
		l.done = true
		return <-l.late, nil
	}
	return nc, err
}

// TestExcessUnderTLS is closed without a line, and without a handshake.
func TestExcessUnderTLS(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 1}}, newTestTLS(t))
	f.dial() // holds the only place, silently
	for {    // it may be accepted after the next
		second := f.dial()
		if rest, _ := io.ReadAll(second.in); len(rest) > 0 {
			t.Fatalf("said %q", rest)
		}
		if f.closed(wire.TooManySessions) > 0 {
			return
		}
	}
}

// TestStrangersGiveWay: when the strangers' places are full, the one that has
// waited longest goes, and those who came in stay.
func TestStrangersGiveWay(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 10, Unauthenticated: 2}}, nil)
	guest := f.dial()
	guest.exchange("in", "welcome")
	var strangers []*client
	for range 5 {
		s := f.dial()
		s.exchange("hello", "hello")
		strangers = append(strangers, s)
	}
	for _, s := range strangers[:3] {
		s.expect("BYE temporarily_unavailable action=retry")
		s.expectEnd()
	}
	for _, s := range strangers[3:] {
		s.exchange("hello", "hello")
	}
	guest.exchange("hello", "hello")
}

// TestLoginsStay: a stranger whose login is being checked does not give way, those
// do who came later and ask for nothing; and who was refused goes before these.
// When all are being checked, whoever comes is told to come back.
func TestLoginsStay(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 10, Unauthenticated: 3}}, nil)
	come := func() *client {
		c := f.dial()
		c.exchange("hello", "hello")
		return c
	}
	gone := func(c *client) {
		t.Helper()
		c.expect("BYE temporarily_unavailable action=retry")
		c.expectEnd()
	}
	login := come()
	login.exchange("check", "checking")
	silent, other := come(), come()
	third := come()
	gone(silent)
	third.exchange("refuse", "refused")
	fourth := come()
	gone(third) // though the other has waited longer
	other.exchange("check", "checking")
	fourth.exchange("check", "checking")
	late := f.dial()
	gone(late)
	login.exchange("in", "welcome")
	last := come()
	for _, c := range []*client{login, other, fourth, last} {
		c.exchange("still here", "still here")
	}
	other.exchange("refuse", "refused")
	other.Close()
	fourth.Close()
	last.Close()
	f.drained()
	if f.checking != 0 || f.strangers.Len() != 0 || f.evicted != 0 || f.refused != 0 {
		t.Errorf("left: %d checking, %d strangers, %d evicted, %d refused", f.checking, f.strangers.Len(), f.evicted, f.refused)
	}
}

// TestEvictedAreNotWaitedFor: strangers that give way, and neither read nor close,
// leave their connections to others all the same. If each were kept for a second,
// they would soon have them all.
func TestEvictedAreNotWaitedFor(t *testing.T) {
	const connections = maxPolite + 200
	f := start(t, Config{Limits: Limits{Connections: connections, Unauthenticated: 2}}, nil)
	served, refused := 0, 0
	for range 3 * connections {
		c := f.dial()
		io.WriteString(c, "hello\n")
		switch line, err := c.in.ReadString('\n'); {
		case line == "hello\n":
			served++
		case strings.HasPrefix(line, "BYE too_many_sessions "):
			refused++
		default:
			t.Fatalf("answer %q, %v", line, err)
		}
	}
	if refused > served/10 { // a machine that stands still may be behind for a moment
		t.Errorf("%d were served, and for %d there was no room", served, refused)
	}
}

// TestRefusedAreBounded: of connections in excess no more are there at once than
// descriptors are kept back for, however many come; the next are refused as soon as
// some of them have gone.
func TestRefusedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{Handler: serveLines, Limits: Limits{Connections: 1, Unauthenticated: 1}})
		if err != nil {
			t.Fatal(err)
		}
		l := newStubListener()
		go g.Serve(&Listener{Listener: l, Name: "stub"})
		const excess = 3 * maxRefused
		go func() {
			for range 1 + excess {
				_, server := net.Pipe() // of which nobody reads the other end
				l.conns <- server
			}
		}()
		synctest.Wait()
		g.mu.Lock()
		if g.refused != maxRefused {
			t.Errorf("%d at once, want %d", g.refused, maxRefused)
		}
		g.mu.Unlock()
		time.Sleep(10 * time.Second) // each has a second
		if n := g.metrics.closed[wire.TooManySessions].Load(); n != excess {
			t.Errorf("%d were refused, want %d", n, excess)
		}
		g.Close()
	})
}

// TestStrangersGiveWayBeforeTheyAreServed: who has to give way in the moment
// between its accept and its service is told so like anybody else.
func TestStrangersGiveWayBeforeTheyAreServed(t *testing.T) {
	begun, serve := make(chan struct{}), make(chan struct{})
	f := start(t, Config{
		Limits: Limits{Connections: 10, Unauthenticated: 1},
		Handler: func(nc net.Conn, stranger Stranger) Conn {
			begun <- struct{}{}
			<-serve
			return serveLines(nc, stranger)
		},
	}, nil)
	first := f.dial()
	<-begun
	second := f.dial()
	<-begun // so the first has been told
	close(serve)
	first.expect("BYE temporarily_unavailable action=retry")
	first.expectEnd()
	second.exchange("hello", "hello")
}

// TestPanic ends one connection alone, and what it says is not logged.
func TestPanic(t *testing.T) {
	f := start(t, Config{}, nil)
	other := f.dial()
	other.exchange("in", "welcome")
	c := f.dial()
	io.WriteString(c, "panic\n")
	c.expectEnd()
	other.exchange("hello", "hello")
	f.drained()
	if f.closed(wire.Panic) != 1 || f.metrics.panics.Load() != 1 {
		t.Errorf("closed %d, panics %d", f.closed(wire.Panic), f.metrics.panics.Load())
	}
	if log := f.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, "gateway_test.go") {
		t.Errorf("the log: %s", log)
	}
}

// TestClose ends everything without a word.
func TestClose(t *testing.T) {
	f := start(t, Config{}, nil)
	c := f.dial()
	c.exchange("in", "welcome")
	f.Close()
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the connection is still there")
	}
	if err := <-f.served; !errors.Is(err, ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	if err := f.Serve(f.listener); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Close returned %v", err)
	}
}

// stubListener hands over pipes, and fails when told to.
type stubListener struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

func newStubListener() *stubListener {
	return &stubListener{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

func (l *stubListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *stubListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *stubListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestAcceptBackoff: while accepting fails, it is tried again at growing
// distances, and a success resets them.
func TestAcceptBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{Handler: serveLines})
		if err != nil {
			t.Fatal(err)
		}
		l := newStubListener()
		served := make(chan error, 1)
		go func() { served <- g.Serve(&Listener{Listener: l, Name: "stub"}) }()
		fail := func(n int) (took time.Duration) {
			start := time.Now()
			for range n {
				l.errs <- syscall.EMFILE
			}
			synctest.Wait()
			return time.Since(start)
		}
		if got, want := fail(4), (5+10+20)*time.Millisecond; got != want {
			t.Errorf("four failures took %v, want %v", got, want)
		}
		client, server := net.Pipe()
		l.conns <- server
		client.Close()
		if got, want := fail(2), 5*time.Millisecond; got != want {
			t.Errorf("two failures after a success took %v, want %v", got, want)
		}
		fail(20)
		start := time.Now()
		l.errs <- syscall.EMFILE
		if got := time.Since(start); got != maxBackoff {
			t.Errorf("after many failures it waits %v", got)
		}
		if got := g.metrics.acceptErrors.Load(); got != 27 {
			t.Errorf("%d accept errors", got)
		}
		g.Close()
		if err := <-served; !errors.Is(err, ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// TestHandshakeTimeout: a stranger who trickles its way through a TLS
// handshake is cut off by an absolute deadline.
func TestHandshakeTimeout(t *testing.T) {
	secure := newTestTLS(t)
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{Handler: serveLines, Timeouts: Timeouts{Handshake: 10 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		l := newStubListener()
		go g.Serve(&Listener{Listener: l, Name: "stub", TLS: secure})
		client, server := net.Pipe()
		l.conns <- server
		start := time.Now()
		hello := []byte{0x16, 0x03, 0x01, 0x00, 0xff}
		for i := 0; ; i++ {
			b := byte(1)
			if i < len(hello) {
				b = hello[i]
			}
			if _, err := client.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("cut off after %v", took)
		}
		g.Close()
		if n := g.metrics.closed[wire.TLSFailed].Load(); n != 1 {
			t.Errorf("%d failed handshakes", n)
		}
	})
}

// TestShutdownOfAThousand: in each tenth of the window between half and twice as
// many end as would if all tenths were alike, and the last before it is over.
func TestShutdownOfAThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, window = 1000, 25 * time.Second
		g, err := New(Config{Handler: serveLines, Limits: Limits{Connections: clients}})
		if err != nil {
			t.Fatal(err)
		}
		l := newStubListener()
		go g.Serve(&Listener{Listener: l, Name: "stub"})
		var start time.Time
		ends := make(chan time.Duration, clients)
		for range clients {
			nc, server := net.Pipe()
			l.conns <- server
			io.WriteString(nc, "in\n")
			in := bufio.NewReader(nc)
			if line, err := in.ReadString('\n'); line != "welcome\n" {
				t.Fatal(line, err)
			}
			go func() {
				io.ReadAll(in)
				ends <- time.Since(start)
			}()
		}
		start = time.Now()
		if err := g.Shutdown(t.Context(), window); err != nil {
			t.Fatal(err)
		}
		var tenths [10]int
		for range clients {
			tenths[<-ends*10/window]++ // no index for what is late
		}
		for i, n := range tenths {
			if n < clients/10/2 || n > clients/10*2 {
				t.Errorf("%d end in tenth %d: %v", n, i+1, tenths)
			}
		}
	})
}

// TestShutdownSpreads the ends of connections evenly over the window, and
// closes what does not end.
func TestShutdownSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{Handler: serveLines})
		if err != nil {
			t.Fatal(err)
		}
		l := newStubListener()
		go g.Serve(&Listener{Listener: l, Name: "stub"})
		ends := make(chan time.Duration, 9)
		var start time.Time
		for range cap(ends) {
			nc, server := net.Pipe()
			l.conns <- server
			io.WriteString(nc, "in\n")
			in := bufio.NewReader(nc)
			if line, err := in.ReadString('\n'); line != "welcome\n" {
				t.Fatal(line, err)
			}
			go func() {
				io.ReadAll(in)
				ends <- time.Since(start)
			}()
		}
		start = time.Now()
		if err := g.Shutdown(t.Context(), 20*time.Second); err != nil {
			t.Fatal(err)
		}
		for i := range cap(ends) {
			// Nine of them in 24 of 25 parts of 20 s.
			if got, want := <-ends, time.Duration(i+1)*1920*time.Millisecond; got != want {
				t.Errorf("end %d at %v, want %v", i+1, got, want)
			}
		}
		if n := g.metrics.closed[wire.Draining].Load(); n != 9 {
			t.Errorf("%d drained", n)
		}
	})
	t.Run("what does not end is closed", func(t *testing.T) {
		f := start(t, Config{Handler: func(nc net.Conn, stranger Stranger) Conn {
			stranger.Authenticated()
			return stubborn{nc}
		}}, nil)
		c := f.dial()
		c.exchange("in", "in")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := f.Shutdown(ctx, 10*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Shutdown: %v", err)
		}
		if n := f.closed(wire.Forced); n != 1 {
			t.Errorf("%d forced", n)
		}
	})
}

// stubborn ends for nobody.
type stubborn struct{ nc net.Conn }

func (s stubborn) Attend() wire.Code {
	io.Copy(s.nc, s.nc)
	return wire.Forced
}
func (stubborn) Announce(time.Duration)       {}
func (stubborn) End(wire.Code, time.Duration) {}
