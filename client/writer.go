package client

import (
	"context"
	"net"
	"time"

	"github.com/linegate/linegate/wire"
)

// lastWords is how long a connection on which writing failed is still read: a
// BYE may be on its way.
const lastWords = time.Second

// write sends one line. A ping gets its place in the queue of those that await
// a pong in the same turn, so that both are in the same order.
func (c *Conn) write(ctx context.Context, line []byte, ping bool, pong chan struct{}) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-c.ctx.Done():
		return c.over()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.sendable(); err != nil {
		return err
	}
	if ping {
		c.mu.Lock()
		c.pings = append(c.pings, pong)
		c.mu.Unlock()
	}
	c.cfg.Hooks.Sent(masked(line))
	if err := writeLine(c.nc, line, c.cfg.WriteTimeout); err != nil {
		c.breakOff(err)
		return asEnd(err)
	}
	return nil
}

// sendable returns why nothing can be written any more.
func (c *Conn) sendable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil && c.broken != nil {
		return asEnd(c.broken)
	}
	return c.end
}

func writeLine(nc net.Conn, line []byte, timeout time.Duration) error {
	if err := nc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	buf := make([]byte, 0, len(line)+1)
	_, err := nc.Write(append(append(buf, line...), '\n'))
	return err
}

// masked returns line as it may be shown.
func masked(line []byte) []byte {
	if kind, _ := wire.Request(line); kind == wire.Auth {
		return []byte(wire.AuthPrefix + "<token>")
	}
	return line
}

// breakOff notes that writing failed. Half a line may be out, so nothing more
// is written, and the reader gets a moment to find the BYE that tells why.
func (c *Conn) breakOff(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.broken = err
		_ = c.nc.SetReadDeadline(time.Now().Add(lastWords)) // fails only when closed, and then reading does too
	}
}
