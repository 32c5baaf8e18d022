package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/linegate/linegate/wire"
)

// ErrClosed is returned after Close, when nothing else ended the session.
var ErrClosed = errors.New("client: closed")

// ErrLine is returned by Send for a line that was not sent because it could
// not go through as a message. The session goes on.
var ErrLine = errors.New("client: not a message")

// Conn is one authenticated session. It pings and renews its token by itself.
// All methods may be called by several goroutines at once.
//
// What the gateway sends must be read with Receive all the time: nothing else
// is understood meanwhile, neither a pong nor the answer to a renewal.
type Conn struct {
	cfg  Config
	nc   net.Conn
	wg   sync.WaitGroup  // reader, pinger, renewer
	ctx  context.Context // of those three; done once end is set
	stop context.CancelFunc

	events  chan wire.Reply // closed by the reader
	answers chan wire.Reply // to the one AUTH under way
	notice  chan struct{}   // the gateway wants a new token now
	turn    chan struct{}   // full while somebody writes

	mu       sync.Mutex
	session  Session
	expires  time.Time         // by the last OK or NOTICE reauth; zero: unknown
	accepted [sha256.Size]byte // digest of the token that the gateway took last
	pings    []chan struct{}   // one for each ping without a pong, nil where nobody waits
	draining time.Duration     // retry_after of a NOTICE draining
	broken   error             // the first failure to write
	end      error             // why the session is over
}

// Session returns what the gateway said in its last OK.
func (c *Conn) Session() Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Receive returns the next line from the gateway: data, and also pong, OK,
// NOTICE and ERR, of which a program ignores what it has no use for. After the
// last one it returns why the session is over: an *End, which a BYE is too, or
// ErrClosed. When ctx ends first it returns its error and the session goes on.
func (c *Conn) Receive(ctx context.Context) (wire.Reply, error) {
	select {
	case reply, ok := <-c.events:
		if !ok {
			return wire.Reply{}, c.over()
		}
		return reply, nil
	case <-ctx.Done():
		return wire.Reply{}, ctx.Err()
	}
}

// Send writes line, which comes without an LF, as a message (or as a ping, if
// it is one: its pong comes out of Receive). It is delivered at most once, and
// the return of Send says nothing about it; a later Ping does. The gateway
// drops one CR at the end of a line.
//
// It fails with ErrLine for a line with an LF in it, one longer than the
// gateway takes, and one that looks like an AUTH; with ctx's error when that
// ends while others write (Config.WriteTimeout bounds the writing itself); and
// with an *End or ErrClosed when the session is over. What Receive returns at
// the end tells more: a BYE may explain why writing failed.
func (c *Conn) Send(ctx context.Context, line []byte) error {
	kind, _ := wire.Request(line)
	switch limit := c.Session().MaxLine; {
	case bytes.IndexByte(line, '\n') >= 0:
		return fmt.Errorf("%w: it has a line feed in it", ErrLine)
	case kind == wire.Auth || kind == wire.MalformedAuth:
		return fmt.Errorf("%w: a line that begins with AUTH is never one", ErrLine)
	case len(line) > limit:
		return fmt.Errorf("%w: it has %d bytes, the gateway takes %d", ErrLine, len(line), limit)
	case kind == wire.Ping:
		return c.write(ctx, line, true, nil)
	}
	return c.write(ctx, line, false, nil)
}

// Ping sends a ping and waits for its pong: then the gateway has taken or
// refused everything that was sent before.
func (c *Conn) Ping(ctx context.Context) error {
	pong := make(chan struct{})
	if err := c.write(ctx, []byte("ping"), true, pong); err != nil {
		return err
	}
	select {
	case <-pong:
		return nil
	case <-c.ctx.Done():
		return c.over()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the session and returns when nothing of it is left. What was sent
// and not answered may be lost; Ping first to be sure.
func (c *Conn) Close() error {
	c.finish(ErrClosed)
	c.wg.Wait()
	return nil
}

// over returns why the session is over, nil while it is not.
func (c *Conn) over() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// lastWord is over once writing has failed and the reader has found a BYE or
// none: it knows better why the session ended than a failed write.
func (c *Conn) lastWord() error {
	c.mu.Lock()
	broken := c.broken
	c.mu.Unlock()
	for broken != nil {
		if _, err := c.Receive(context.Background()); err != nil {
			return err
		}
	}
	return c.over()
}

// finish ends the session for this reason, unless it has another already.
func (c *Conn) finish(reason error) {
	c.mu.Lock()
	if c.end == nil {
		c.end = reason
	}
	c.mu.Unlock()
	c.stop()
	c.nc.Close()
}

// ping keeps the session from being idle, and a dead gateway from going
// unnoticed.
func (c *Conn) ping() {
	defer c.wg.Done()
	for c.sleep(c.pingEvery()) {
		// A failure is the reader's to report.
		_ = c.write(c.ctx, []byte("ping"), true, nil)
	}
}

func (c *Conn) pingEvery() time.Duration {
	if idle := c.Session().IdleTimeout; idle > 0 {
		return min(c.cfg.PingEvery, idle/3)
	}
	return c.cfg.PingEvery
}

// sleep reports whether the session is still on after d.
func (c *Conn) sleep(d time.Duration) bool { return sleep(c.ctx, d) == nil }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
