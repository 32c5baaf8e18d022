// Package steady gives connections a write time-out that means "the peer took
// no byte for so long", not "the whole of this write took too long". It goes
// beneath TLS, because a TLS connection whose write timed out is lost.
package steady

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is a connection whose Write fails with os.ErrDeadlineExceeded only when
// the peer took no byte for the whole time-out, give or take an eighth of it,
// or past the deadline set by SetWriteDeadline, which bounds all writes
// together. Once a write has failed, all later ones do, at once.
type Conn struct {
	net.Conn
	timeout time.Duration

	mu      sync.Mutex
	limits  *limits // nil: none
	writing bool    // a Write has set a deadline of its own
}

// limits are what few connections have before they end: together they are not
// kept for those that have none.
type limits struct {
	bound  time.Time // of all writes; zero: none
	failed error     // what a write ended with
}

// New wraps nc; timeout must be above 0.
func New(nc net.Conn, timeout time.Duration) *Conn {
	return &Conn{Conn: nc, timeout: timeout}
}

// Write writes b whole, or fails.
func (c *Conn) Write(b []byte) (done int, err error) {
	defer c.disarm()
	progress := time.Now()
	for {
		if err := c.arm(); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(b[done:])
		done += n
		now := time.Now()
		if n > 0 {
			progress = now
		}
		if err == nil {
			return done, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || now.Sub(progress) >= c.timeout || c.passed(now) {
			c.fail(err)
			return done, err
		}
	}
}

// arm sets the deadline of the next write: short of the time-out, so that a
// stall is timed from the last byte taken and not from the last call.
func (c *Conn) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.limited()
	if l.failed != nil {
		return l.failed
	}
	deadline := time.Now().Add(c.timeout / 8)
	if !l.bound.IsZero() && l.bound.Before(deadline) {
		deadline = l.bound
	}
	c.writing = true
	// It fails on a closed connection only, and so does the write.
	_ = c.Conn.SetWriteDeadline(deadline)
	return nil
}

// disarm takes this write's own deadline away: once passed, it would fail
// whoever writes to the socket beneath.
func (c *Conn) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	_ = c.Conn.SetWriteDeadline(c.limited().bound)
}

func (c *Conn) passed(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	bound := c.limited().bound
	return !bound.IsZero() && !now.Before(bound)
}

func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits = &limits{bound: c.limited().bound, failed: err}
}

// limited returns what limits there are. Called with mu held.
func (c *Conn) limited() limits {
	if c.limits == nil {
		return limits{}
	}
	return *c.limits
}

// SetWriteDeadline bounds this and all later writes; a zero t lifts the bound. A
// write that waits for the peer is not given more time than it has.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed := c.limited().failed; t.IsZero() && failed == nil {
		c.limits = nil
	} else {
		c.limits = &limits{bound: t, failed: failed}
	}
	if c.writing && (t.IsZero() || time.Until(t) > c.timeout/8) {
		return nil // the write looks at its bound again before that
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// CloseWrite ends the stream to the peer, where the connection has such a half.
func (c *Conn) CloseWrite() error { return CloseWrite(c.Conn) }

// SyscallConn gives access to the socket beneath, where there is one.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return SyscallConn(c.Conn) }

// CloseWrite ends the stream to nc's peer, where nc can.
func CloseWrite(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn gives access to the socket beneath nc, where there is one.
func SyscallConn(nc net.Conn) (syscall.RawConn, error) {
	if sc, ok := nc.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
