package gateway

import (
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

const (
	// maxPolite is how many connections that are sent away are kept up to a
	// second, so that the BYE arrives whatever the client still sends.
	maxPolite = 64
	// hastyWait is how long each of those beyond is kept.
	hastyWait = 5 * time.Millisecond
	// maxRefused is how many are refused at once. Above that, accepting waits:
	// not long, as all but maxPolite are gone in a moment.
	maxRefused = maxPolite + 32
)

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
	bye := wire.AppendBye(nil, code, wire.Seconds(comeBack()))
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

// giveWay sends a stranger away. When many go at once, and stay until they have
// read why, they would hold the connections that they were to leave to others.
func (c *conn) giveWay() {
	c.end(wire.TemporarilyUnavailable, comeBack())
	if c.hasty {
		time.AfterFunc(hastyWait, func() { c.socket().Close() })
	}
}
