package client

import (
	"time"

	"github.com/linegate/linegate/wire"
)

// read takes the gateway's lines until the session is over, and says why.
func (c *Conn) read(lines *lineReader) {
	defer c.wg.Done()
	defer close(c.events)
	for {
		c.awaitLine()
		line, err := lines.next(c.Session().MaxLine)
		if err != nil {
			c.finish(c.lost(err))
			return
		}
		c.cfg.Hooks.Received(line)
		reply := wire.Parse(line)
		if reply.Verb == wire.Bye {
			c.finish(c.bye(reply))
			return
		}
		c.note(reply)
		select {
		case c.events <- reply:
		case <-c.ctx.Done():
			return
		}
	}
}

// awaitLine gives the gateway three pings' time to say something.
func (c *Conn) awaitLine() {
	quiet := 3 * c.pingEvery()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(quiet))
	}
}

// note does what a line asks of the connection itself.
func (c *Conn) note(r wire.Reply) {
	switch subject, _ := r.Value("for"); {
	case r.Verb == wire.Pong:
		c.pongCame()
	case r.Verb == wire.OKAuth:
		c.mu.Lock()
		c.session = sessionOf(r)
		c.mu.Unlock()
		c.noteExpiry(r)
		c.answer(r)
	case r.Verb == wire.Err && subject == wire.ForAuth:
		c.answer(r)
	case r.Verb == wire.Notice && r.Word == "reauth":
		c.noteExpiry(r)
		select {
		case c.notice <- struct{}{}:
		default: // the renewer knows already
		}
	case r.Verb == wire.Notice && r.Word == "draining":
		c.mu.Lock()
		c.draining = r.Seconds("retry_after")
		c.mu.Unlock()
	}
}

// noteExpiry keeps what an OK or a NOTICE says of the session's end.
func (c *Conn) noteExpiry(r wire.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires = time.Time{}
	if in := r.Seconds("expires_in"); in > 0 {
		c.expires = time.Now().Add(in)
	}
}

// answer hands the answer to an AUTH to the renewer.
func (c *Conn) answer(r wire.Reply) {
	select {
	case c.answers <- r:
	default: // nobody asked
	}
}

func (c *Conn) pongCame() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pings) == 0 {
		return
	}
	if pong := c.pings[0]; pong != nil {
		close(pong)
	}
	c.pings = c.pings[1:]
}

// bye reads the gateway's last line. What a NOTICE draining said before about
// when to come back holds where the BYE says nothing.
func (c *Conn) bye(r wire.Reply) *End {
	end := endOf(r)
	if end.RetryAfter == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		end.RetryAfter = c.draining
	}
	return end
}

// lost describes an end without a BYE; a write that failed before is its cause.
func (c *Conn) lost(err error) *End {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		err = c.broken
	}
	return &End{Action: wire.Retry, RetryAfter: c.draining, Err: err}
}
