package gateway

import (
	"container/list"
	"net"

	"github.com/linegate/linegate/wire"
)

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
	case g.isClosed():
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
