package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/linegate/linegate/wire"
)

// ErrClosed is returned after Close, when nothing else ended the session.
var ErrClosed = errors.New("client: closed")

// ErrLine is returned by Send for a line that was not sent because it could
// not go through as a message. The session goes on.
var ErrLine = errors.New("client: not a message")

// Session holds what the gateway said in its last OK. A value that it did not
// send is zero.
type Session struct {
	Subject     string
	ID          string
	ExpiresIn   time.Duration // when the session ends unless renewed
	ReauthIn    time.Duration // when to renew
	IdleTimeout time.Duration
	MaxLine     int // bytes a message may have
}

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
	accepted [sha256.Size]byte // digest of the token that the gateway took last
	pings    []chan struct{}   // one for each ping without a pong, nil where nobody waits
	draining time.Duration     // retry_after of a NOTICE draining
	broken   error             // the first failure to write
	end      error             // why the session is over
}

// lastWords is how long a connection on which writing failed is still read: a
// BYE may be on its way.
const lastWords = time.Second

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
		c.answer(r)
	case r.Verb == wire.Err && subject == wire.ForAuth:
		c.answer(r)
	case r.Verb == wire.Notice && r.Word == "reauth":
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

// Bounds of max_line: what is assumed when the gateway does not say, and what
// is believed.
const (
	usualMaxLine   = 8 << 10
	longestMaxLine = 16 << 20
)

func sessionOf(ok wire.Reply) Session {
	s := Session{
		ExpiresIn:   ok.Seconds("expires_in"),
		ReauthIn:    ok.Seconds("reauth_in"),
		IdleTimeout: ok.Seconds("idle_timeout"),
		MaxLine:     usualMaxLine,
	}
	s.Subject, _ = ok.Value("sub")
	s.ID, _ = ok.Value("session")
	word, _ := ok.Value("max_line")
	if n, err := strconv.Atoi(word); err == nil && n > 0 {
		s.MaxLine = min(n, longestMaxLine)
	}
	return s
}
