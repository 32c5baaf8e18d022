package gateway

import (
	"container/list"
	"net"
	"syscall"
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// Limits bound what is admitted. A zero field takes its default.
type Limits struct {
	// Connections is how many are served at once: by default what the
	// process's file limit allows, less a reserve for the operator's HTTP,
	// key fetches and connections that are told to come back.
	Connections int
	// Unauthenticated is how many of them may be strangers: by default a
	// quarter. When full, the one that has waited longest gives way.
	Unauthenticated int
}

const (
	// maxRefused is how many connections in excess are kept up to a second,
	// so that the BYE arrives whatever the client still sends.
	maxRefused = 64
	// hastyWait is how long each of those beyond is kept.
	hastyWait = 5 * time.Millisecond
)

func (l Limits) withDefaults() Limits {
	if l.Connections == 0 {
		l.Connections = connectionsFromFileLimit()
	}
	if l.Unauthenticated == 0 {
		l.Unauthenticated = max(1, l.Connections/4)
	}
	return l
}

// connectionsFromFileLimit keeps back one descriptor in 50, and 32 besides
// those that refused connections use.
func connectionsFromFileLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1000
	}
	const plenty = 1 << 20
	files := int(min(limit.Cur, plenty))
	return max(1, files-files/50-maxRefused-32)
}

// SetLimits replaces the limits. Connections that are there stay.
func (g *Gateway) SetLimits(l Limits) {
	l = l.withDefaults()
	g.metrics.limit.Store(int64(l.Connections))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = l
}

// Limits returns the limits in force, defaults filled in.
func (g *Gateway) Limits() Limits {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limits
}

// admit counts a connection, tracks it before its goroutine starts, so that
// neither Shutdown nor a limit misses it, and has it served or sent away.
func (g *Gateway) admit(l *Listener, nc net.Conn) {
	g.metrics.accept(l)
	c := &conn{gateway: g, listener: l, nc: nc}
	evicted, refusal := g.track(c)
	if evicted != nil {
		evicted.end(wire.TemporarilyUnavailable, comeBack())
	}
	if refusal != 0 {
		go g.refuse(c, refusal)
		return
	}
	go c.run()
}

// track adds c to what is served, or says why not. The stranger that has to
// give way for it is returned.
func (g *Gateway) track(c *conn) (evicted *conn, refusal wire.Code) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serving.Add(1)
	switch {
	case g.closed:
		refusal = wire.Draining
	case len(g.conns) >= g.limits.Connections:
		refusal = wire.TooManySessions
	}
	if refusal != 0 {
		g.refused++
		c.hasty = g.refused > maxRefused
		return nil, refusal
	}
	c.place = int32(len(g.conns))
	g.conns = append(g.conns, c)
	if g.strangers.Len() >= g.limits.Unauthenticated {
		evicted = g.strangers.removeOldest()
	}
	g.strangers.add(c)
	return evicted, 0
}

// untrack is the end of a connection that was served.
func (g *Gateway) untrack(c *conn, reason wire.Code) {
	g.mu.Lock()
	last := g.conns[len(g.conns)-1]
	g.conns[c.place], last.place = last, c.place
	g.conns[len(g.conns)-1] = nil
	g.conns = g.conns[:len(g.conns)-1]
	g.strangers.remove(c)
	g.mu.Unlock()
	g.metrics.close(reason)
	g.serving.Done()
}

// authenticated takes c out of the strangers.
func (g *Gateway) authenticated(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strangers.remove(c)
}

// refuse sends a connection in excess away. Under TLS it is closed without a
// line: a handshake is what a flood would buy.
func (g *Gateway) refuse(c *conn, code wire.Code) {
	defer g.serving.Done()
	defer func() {
		if panicked := recover(); panicked != nil {
			code = wire.Panic
			c.panicked(panicked)
		}
		c.nc.Close()
		g.metrics.close(code)
		g.mu.Lock()
		g.refused--
		g.mu.Unlock()
	}()
	if c.listener.TLS != nil {
		return
	}
	bye := wire.AppendBye(nil, code, int64((comeBack()+time.Second-1)/time.Second))
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := c.nc.Write(bye); err != nil {
		return
	}
	if c.hasty {
		steady.HangupWithin(c.nc, hastyWait)
		return
	}
	steady.Hangup(c.nc)
}

// queue holds strangers in the order of their arrival.
type queue struct{ list.List }

func (q *queue) add(c *conn) { c.waiting = q.PushBack(c) }

func (q *queue) remove(c *conn) {
	if c.waiting != nil {
		q.Remove(c.waiting)
		c.waiting = nil
	}
}

func (q *queue) removeOldest() *conn {
	c := q.Front().Value.(*conn)
	q.remove(c)
	return c
}
