package gateway

import (
	"container/list"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/linegate/linegate/internal/secure"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// conn is a connection on its way from accept to its end.
type conn struct {
	gateway  *Gateway
	listener *Listener
	nc       net.Conn      // the socket; guarded by mu where others than run use it
	waiting  *list.Element // in gateway.strangers; guarded by gateway.mu
	place    int32         // in gateway.conns; guarded by gateway.mu
	checking bool          // counted in gateway.checking; guarded by gateway.mu
	hasty    bool          // sent away, and not to be waited for
	evicted  bool          // counted in gateway.evicted; guarded by gateway.mu

	ended      wire.Code // why it must end, if that came before served; guarded by mu
	retryAfter time.Duration
	mu         sync.Mutex
	served     Conn // once there is one; then it stays
}

// run is a connection's life. It was counted and tracked by admit.
func (c *conn) run() {
	reason := wire.Panic
	defer func() { c.done(reason, recover()) }()
	until := time.Now().Add(c.gateway.timeouts.Load().Handshake)
	if failure := c.proxyHeader(until); failure != 0 {
		reason = failure
		return
	}
	nc, failure := c.handshake(until)
	if failure != 0 {
		reason = failure
		return
	}
	served := c.serve(nc)
	if reason = served.Attend(); reason == 0 {
		go c.attend()
	}
}

// attend is the rest of a connection's life, on a goroutine of its own: the
// stack that handshake and login needed is not kept for as long as it lasts.
func (c *conn) attend() {
	reason := wire.Panic
	defer func() { c.done(reason, recover()) }()
	if reason = c.served.Attend(); reason == 0 {
		go c.attend()
	}
}

// done ends c for reason, unless there is none yet.
func (c *conn) done(reason wire.Code, panicked any) {
	if reason == 0 {
		return
	}
	if reason == wire.Panic {
		c.panicked(panicked)
	}
	c.nc.Close()
	c.gateway.untrack(c, reason)
}

// handshake brings c behind TLS where its listener has it.
func (c *conn) handshake(until time.Time) (nc net.Conn, failure wire.Code) {
	plain := steady.New(c.nc, c.gateway.timeouts.Load().Write)
	if c.listener.TLS == nil {
		return plain, 0
	}
	tlsConn := secure.Server(plain, c.listener.TLS.Config())
	_ = tlsConn.SetDeadline(until)
	turns := &turn{handshakes: &c.gateway.handshakes, conn: c, until: until}
	if err := tlsConn.Handshake(turns); err != nil {
		if code := c.endedFor(); code != 0 {
			return nil, code
		}
		if errors.Is(err, errBusy) {
			c.gateway.log.Warn("TLS handshake given up", slog.String("listener", c.listener.Name), slog.Any("error", err))
			return nil, wire.TemporarilyUnavailable
		}
		// A stranger who speaks no TLS is not an error of this gateway.
		c.gateway.log.Debug("TLS handshake failed", slog.String("listener", c.listener.Name),
			slog.String("remote", c.nc.RemoteAddr().String()), slog.Any("error", err))
		return nil, wire.TLSFailed
	}
	turns.succeeded()
	_ = tlsConn.SetDeadline(time.Time{})
	return tlsConn, 0
}

// serve makes the Conn that serves nc. It is told at once what c was told meanwhile.
func (c *conn) serve(nc net.Conn) Conn {
	served := c.gateway.handler(nc, c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served = served
	if c.ended != 0 {
		served.End(c.ended, c.retryAfter)
	}
	return served
}

// end asks the connection to end for code. In a TLS handshake, or before it, there
// is no telling the client.
func (c *conn) end(code wire.Code, retryAfter time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.served != nil:
		c.served.End(code, retryAfter)
	case c.ended == 0:
		c.ended, c.retryAfter = code, retryAfter
		if c.listener.TLS != nil {
			c.nc.Close()
		} else if len(c.listener.Proxy) > 0 {
			_ = c.nc.SetReadDeadline(past) // there may be a header that it waits for
		}
	}
}

// socket returns the socket, for others than run.
func (c *conn) socket() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc
}

func (c *conn) announce(retryAfter time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served != nil {
		c.served.Announce(retryAfter)
	}
}

func (c *conn) endedFor() wire.Code {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// panicked records a panic that ended this connection alone. What the panic
// says is logged only where the runtime said it: anything else may hold what a
// client sent.
func (c *conn) panicked(value any) {
	c.gateway.metrics.panics.Add(1)
	said := fmt.Sprintf("%T", value)
	if err, ok := value.(runtime.Error); ok {
		said = err.Error()
	}
	c.gateway.log.Error("serving a connection panicked", slog.String("listener", c.listener.Name),
		slog.String("remote", c.nc.RemoteAddr().String()), slog.String("panic", said),
		slog.String("stack", string(debug.Stack())))
}
