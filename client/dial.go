package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/linegate/linegate/wire"
)

// Dial gets a token, connects, authenticates, and returns the session. ctx
// bounds all of that, and nothing of the session.
//
// It fails with ErrConfig for a Config that can never work, an *End when the
// gateway answered BYE or hung up, and otherwise with what the token source or
// the network said.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	token, err := cfg.token(ctx, false)
	if err != nil {
		return nil, err
	}
	return cfg.open(ctx, token)
}

func (c Config) token(ctx context.Context, fresh bool) (string, error) {
	token, err := c.Tokens.Token(ctx, fresh)
	if err != nil {
		return "", fmt.Errorf("client: no token: %w", err)
	}
	if err := checkToken(token); err != nil {
		return "", fmt.Errorf("client: token source: %w", err)
	}
	return token, nil
}

// open connects and authenticates with token.
func (c Config) open(ctx context.Context, token string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	nc, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	// Nothing but a deadline interrupts a read on a net.Conn.
	release := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	lines := newLineReader(nc)
	ok, err := c.authenticate(nc, lines, token)
	if !release() && err == nil {
		err = ctx.Err() // the deadline of the past is, or will be, set
	}
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("client: %s did not answer AUTH: %w", c.Address, ctx.Err())
		}
		return nil, err
	}
	return c.start(nc, lines, ok, sha256.Sum256([]byte(token))), nil
}

// dial opens the connection, with TLS where it is asked for.
func (c Config) dial(ctx context.Context) (net.Conn, error) {
	nc, err := c.DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.TLS == nil {
		return nc, nil
	}
	secured := tls.Client(nc, c.TLS)
	if err := secured.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("client: TLS with %s: %w", c.Address, err)
	}
	return secured, nil
}

// authenticate sends AUTH and reads until OK or BYE; whatever else may come
// before is ignored, as the protocol asks.
func (c Config) authenticate(nc net.Conn, lines *lineReader, token string) (wire.Reply, error) {
	auth := []byte(wire.AuthPrefix + token)
	c.Hooks.Sent(masked(auth))
	writeErr := writeLine(nc, auth, c.WriteTimeout)
	if writeErr != nil { // a BYE may have come all the same
		_ = nc.SetReadDeadline(time.Now().Add(lastWords))
	}
	for {
		line, err := lines.next(usualMaxLine)
		switch {
		case err != nil && writeErr != nil:
			return wire.Reply{}, &End{Action: wire.Retry, Err: writeErr}
		case err != nil:
			return wire.Reply{}, &End{Action: wire.Retry, Err: err}
		}
		c.Hooks.Received(line)
		switch reply := wire.Parse(line); reply.Verb {
		case wire.OKAuth:
			return reply, nil
		case wire.Bye:
			return wire.Reply{}, endOf(reply)
		}
	}
}

// start brings an authenticated connection to life.
func (c Config) start(nc net.Conn, lines *lineReader, ok wire.Reply, digest [sha256.Size]byte) *Conn {
	ctx, stop := context.WithCancel(context.Background())
	conn := &Conn{
		cfg: c, nc: nc, ctx: ctx, stop: stop,
		events:   make(chan wire.Reply),
		answers:  make(chan wire.Reply, 1),
		notice:   make(chan struct{}, 1),
		turn:     make(chan struct{}, 1),
		session:  sessionOf(ok),
		accepted: digest,
	}
	conn.noteExpiry(ok)
	conn.wg.Add(3)
	go conn.read(lines)
	go conn.ping()
	go conn.renew()
	return conn
}
