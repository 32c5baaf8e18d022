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
	// Connections is how many are served at once: by default, and at most, what
	// the process's file limit allows, less a reserve for the operator's HTTP,
	// key fetches and connections that are told to come back.
	Connections int
	// Unauthenticated is how many of them may be strangers: by default a
	// quarter. When full, the one that has waited longest gives way, unless
	// its AUTH is being checked.
	Unauthenticated int
}

const (
	// maxPolite is how many connections that are sent away are kept up to a
	// second, so that the BYE arrives whatever the client still sends.
	maxPolite = 64
	// hastyWait is how long each of those beyond is kept.
	hastyWait = 5 * time.Millisecond
	// maxRefused is how many are refused at once. Above that, accepting waits:
	// not long, as all but maxPolite are gone in a moment.
	maxRefused = maxPolite + 32
	// reserve is how many descriptors are kept back for what is no connection
	// that is served: those that are refused, the operator's HTTP and the admin
	// API, whose connections internal/app bounds, fetches of keys, files.
	reserve = maxRefused + 128
)

func (l Limits) withDefaults() Limits {
	most := connectionsFromFileLimit()
	if l.Connections == 0 || l.Connections > most {
		l.Connections = most
	}
	if l.Unauthenticated == 0 {
		l.Unauthenticated = max(1, l.Connections/4)
	}
	return l
}

// connectionsFromFileLimit keeps back one descriptor in 50, and the reserve.
func connectionsFromFileLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1000
	}
	const plenty = 1 << 20
	files := int(min(limit.Cur, plenty))
	return max(1, files-files/50-reserve)
}

// SetLimits replaces the limits. Connections that are there stay.
func (g *Gateway) SetLimits(l Limits) {
	l = l.withDefaults()
	g.metrics.limit.Store(int64(l.Connections))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = l
}

// SetMemoryShort has all that connect told to come back, until it is called with
// false. Connections that are there stay.
func (g *Gateway) SetMemoryShort(short bool) {
	g.metrics.memoryShort.Store(short)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.short = short
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
		evicted.giveWay()
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
	for {
		if refusal = g.refusal(); refusal == 0 || g.refused < maxRefused {
			break
		}
		g.told.Wait()
	}
	if refusal != 0 {
		g.refused++
		c.hasty = g.refused > maxPolite
		return nil, refusal
	}
	c.place = int32(len(g.conns))
	g.conns = append(g.conns, c)
	if g.strangersFull() {
		evicted = g.strangers.removeFirst()
		g.evicted++
		evicted.evicted, evicted.hasty = true, g.evicted > maxPolite
	}
	g.strangers.add(c)
	return evicted, 0
}

// refusal says why no further connection is served; 0: one is.
func (g *Gateway) refusal() wire.Code {
	switch {
	case g.closed:
		return wire.Draining
	case g.short:
		return wire.TemporarilyUnavailable
	case len(g.conns) >= g.limits.Connections:
		return wire.TooManySessions
	case g.strangersFull() && g.strangers.Len() == 0: // they are all being checked
		return wire.TemporarilyUnavailable
	}
	return 0
}

func (g *Gateway) strangersFull() bool {
	return g.strangers.Len()+g.checking >= g.limits.Unauthenticated
}

// giveWay sends a stranger away. When many go at once, and stay until they have
// read why, they would hold the connections that they were to leave to others.
func (c *conn) giveWay() {
	c.end(wire.TemporarilyUnavailable, comeBack())
	if c.hasty {
		time.AfterFunc(hastyWait, func() { c.socket().Close() })
	}
}

// untrack is the end of a connection that was served.
func (g *Gateway) untrack(c *conn, reason wire.Code) {
	g.mu.Lock()
	last := g.conns[len(g.conns)-1]
	g.conns[c.place], last.place = last, c.place
	g.conns[len(g.conns)-1] = nil
	g.conns = g.conns[:len(g.conns)-1]
	g.forget(c)
	if c.evicted {
		g.evicted--
	}
	g.mu.Unlock()
	g.metrics.close(reason)
	g.serving.Done()
}

// Checking implements Stranger.
func (c *conn) Checking() {
	g := c.gateway
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.waiting != nil { // else it has given way
		g.strangers.remove(c)
		c.checking = true
		g.checking++
	}
}

// Refused implements Stranger.
func (c *conn) Refused() {
	g := c.gateway
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.forget(c) {
		g.strangers.addFirst(c)
	}
}

// Authenticated implements Stranger.
func (c *conn) Authenticated() {
	c.gateway.mu.Lock()
	defer c.gateway.mu.Unlock()
	c.gateway.forget(c)
}

// forget takes c out of the strangers, and tells whether it was one.
func (g *Gateway) forget(c *conn) bool {
	switch {
	case c.checking:
		c.checking = false
		g.checking--
	case c.waiting != nil:
		g.strangers.remove(c)
	default:
		return false
	}
	return true
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
		g.told.Broadcast()
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

// queue holds strangers in the order in which they give way.
type queue struct{ list.List }

func (q *queue) add(c *conn) { c.waiting = q.PushBack(c) }

func (q *queue) addFirst(c *conn) { c.waiting = q.PushFront(c) }

func (q *queue) remove(c *conn) {
	q.Remove(c.waiting)
	c.waiting = nil
}

func (q *queue) removeFirst() *conn {
	c := q.Front().Value.(*conn)
	q.remove(c)
	return c
}
