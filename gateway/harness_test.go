package gateway

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linegate/linegate/wire"
)

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

// piped is a gateway whose clients come through pipes: in a bubble of synctest, its
// time is the bubble's.
type piped struct {
	*Gateway
	t      testing.TB
	socket *stubListener
	served chan error
}

func startPiped(t testing.TB, cfg Config, l *Listener) *piped {
	t.Helper()
	p := &piped{t: t, socket: newStubListener(), served: make(chan error, 1)}
	cfg.Handler = serveLines
	var err error
	if p.Gateway, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	l.Listener, l.Name = p.socket, "stub"
	go func() { p.served <- p.Serve(l) }()
	t.Cleanup(p.Close)
	return p
}

// dial is a client that the gateway has accepted, by TCP as far as it can tell.
func (p *piped) dial() *client {
	near, far := net.Pipe()
	p.socket.conns <- peer{far, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
	return &client{near, p.t, bufio.NewReader(near)}
}

// closed returns how many connections ended for reason.
func (g *Gateway) closed(reason wire.Code) int64 { return g.metrics.closed[reason].Load() }

// peer is a connection from somewhere.
type peer struct {
	net.Conn
	addr net.Addr
}

func (p peer) RemoteAddr() net.Addr { return p.addr }

// stubListener hands over what it is given, and fails when told to.
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

// client talks in whole lines.
type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
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

// trickle has a byte a second.
type trickle struct{ text string }

func (r *trickle) Read(b []byte) (int, error) {
	if r.text == "" {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := copy(b[:1], r.text)
	r.text = r.text[n:]
	return n, nil
}

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
