// Package gateway brings connections to whoever serves them: listeners, TLS,
// admission, accept loops and drain. It knows sockets, and neither tokens nor
// lines.
package gateway

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linegate/linegate/wire"
)

// Conn serves one connection.
type Conn interface {
	// Attend serves the connection to its end, closes it, and returns why it
	// ended; or it returns 0, and another goroutine is to call it again: the
	// stack that the connection needed so far is not kept. The other methods
	// may be called from any goroutine and do not wait.
	Attend() wire.Code
	// Announce tells the client that the gateway goes away, and when to come
	// back, counted from the close.
	Announce(retryAfter time.Duration)
	// End asks the connection to end for code.
	End(code wire.Code, retryAfter time.Duration)
}

// Handler makes the Conn that serves nc, which is behind TLS already where the
// listener has it. A Write to nc fails with os.ErrDeadlineExceeded once the
// client has taken no byte for Timeouts.Write. The handler tells the stranger's
// progress.
type Handler func(nc net.Conn, stranger Stranger) Conn

// Stranger is a client until it is authenticated. When there are too many, some
// give way: first those who are on their way out, then those who have asked for
// nothing, the one that has waited longest first. Its methods may be called from
// any goroutine, and do not wait.
type Stranger interface {
	Checking()      // it has said who it is, which is being checked: it stays
	Refused()       // it is sent away
	Authenticated() // it is a stranger no longer
}

// Config makes a Gateway. A zero duration takes its default.
type Config struct {
	Handler  Handler // required
	Timeouts Timeouts
	Limits   Limits
	Metrics  *Metrics     // nil: not counted anywhere
	Log      *slog.Logger // nil: discarded
}

// Timeouts bound what a client may keep the gateway waiting for.
type Timeouts struct {
	Handshake time.Duration // PROXY header and TLS together, absolute; 10 s
	Write     time.Duration // in which a client takes no byte; 10 s
}

// Gateway accepts connections and has them served.
type Gateway struct {
	handler  Handler
	timeouts atomic.Pointer[Timeouts]
	metrics  *Metrics
	log      *slog.Logger

	handshakes handshakes
	started    time.Time

	serving  sync.WaitGroup // connections, tracked and refused, and accept loops
	stopping chan struct{}  // closed by Shutdown and Close

	mu        sync.Mutex
	limits    Limits
	listeners map[*Listener]struct{}
	conns     []*conn   // tracked, each at its place
	strangers queue     // tracked and neither checked nor authenticated, in the order in which they give way
	checking  int       // strangers that are being checked
	evicted   int       // tracked, and told to give way
	refused   int       // connections that are being told to come back
	told      sync.Cond // refused has become less
	short     bool      // of memory
}

// ErrClosed is what Serve returns after Shutdown or Close.
var ErrClosed = errors.New("gateway: closed")

// Listener is a socket that Serve accepts from.
type Listener struct {
	net.Listener
	Name  string         // label in metrics and logs
	TLS   *TLS           // nil: plain TCP
	Proxy []netip.Prefix // peers who must say for whom they connect, by a PROXY header

	round round
}

// New returns a gateway that accepts nothing yet.
func New(cfg Config) (*Gateway, error) {
	if cfg.Handler == nil {
		return nil, errors.New("gateway: a Handler is required")
	}
	g := &Gateway{
		handler:   cfg.Handler,
		metrics:   cfg.Metrics,
		log:       cfg.Log,
		listeners: make(map[*Listener]struct{}),
		stopping:  make(chan struct{}),
		started:   time.Now(),
	}
	g.handshakes.max = runtime.GOMAXPROCS(0)
	g.told.L = &g.mu
	if g.metrics == nil {
		g.metrics = NewMetrics(nil)
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.SetLimits(cfg.Limits)
	g.SetTimeouts(cfg.Timeouts)
	return g, nil
}

// SetTimeouts replaces the time-outs for connections that come later.
func (g *Gateway) SetTimeouts(t Timeouts) {
	const standard = 10 * time.Second
	if t.Handshake == 0 {
		t.Handshake = standard
	}
	if t.Write == 0 {
		t.Write = standard
	}
	g.timeouts.Store(&t)
}

// Close ends everything at once: listeners and connections are closed without
// a word. It returns when all of them are gone.
func (g *Gateway) Close() {
	g.stopListening()
	g.mu.Lock()
	conns := slices.Clone(g.conns)
	g.mu.Unlock()
	for _, c := range conns {
		c.end(wire.Forced, 0) // it may wait for something else than its socket
		c.socket().Close()
	}
	g.serving.Wait()
}

// stopListening closes the listeners; what they still bring is refused.
func (g *Gateway) stopListening() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isClosed() {
		return
	}
	close(g.stopping)
	for l := range g.listeners {
		l.Close()
	}
}

func (g *Gateway) isClosed() bool {
	select {
	case <-g.stopping:
		return true
	default:
		return false
	}
}

// comeBack is when a client that is sent away should come back: spread, so
// that those sent away together do not return together.
func comeBack() time.Duration {
	return time.Second + rand.N(4*time.Second)
}
