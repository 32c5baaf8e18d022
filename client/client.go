// Package client is the device's side of linegate: it gets a token, connects,
// authenticates, keeps the session alive, renews its token in band, and comes
// back after an outage at the pace that the protocol asks for.
//
// Dial opens one session and Run keeps one open for as long as its context
// lives. What the gateway sends is read with Conn.Receive; pings and renewals
// happen by themselves.
package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/linegate/linegate/wire"
)

// Config says how to reach a gateway. Address and Tokens are required; the
// zero value of everything else is a sensible default.
type Config struct {
	// Address is the gateway's host:port.
	Address string
	// TLS, if not nil, is used for the connection, TLS 1.2 or later. An
	// empty ServerName is filled in from Address. Nil means plain TCP,
	// which is refused for an address that is not loopback, because the
	// token would cross the network readable.
	TLS *tls.Config
	// InsecurePlaintext lifts that refusal.
	InsecurePlaintext bool

	// Tokens yields the token for each AUTH.
	Tokens TokenSource

	// PingEvery is the time between two pings, default 10 s. A third of the
	// gateway's idle_timeout is used where that is shorter. A gateway from
	// which nothing came for three such times is taken for dead.
	PingEvery time.Duration
	// ConnectTimeout bounds the way from dialing to the answer to AUTH,
	// getting the token not included. Default 30 s.
	ConnectTimeout time.Duration
	// WriteTimeout bounds the writing of one line. Default 10 s.
	WriteTimeout time.Duration

	// DialContext opens the connection underneath TLS; default net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Rand yields the jitter, in [0, 1); default math/rand/v2.Float64. It
	// is called from several goroutines.
	Rand func() float64

	Hooks Hooks
}

// Hooks let a program watch. Each may be nil. They are called from several
// goroutines and must neither block nor keep what they are given.
type Hooks struct {
	// Sent gets each line just before it is written, without its LF. In the
	// place of a token stands "<token>".
	Sent func(line []byte)
	// Received gets each line as it comes, without its LF.
	Received func(line []byte)
	// Waiting is told before each pause that a failure makes necessary.
	Waiting func(Wait)
}

// Wait tells what failed and when it will be tried again.
type Wait struct {
	Renewal bool          // a renewal failed, the session goes on; else there is no session
	Err     error         // what failed; an *End if it was the gateway that said no
	Action  wire.Action   // what the protocol asks the client to do
	For     time.Duration // the pause; may be 0
}

// ErrConfig is wrapped by errors about a Config that can never work.
var ErrConfig = errors.New("client: configuration")

// withDefaults returns c completed, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	host, _, err := net.SplitHostPort(c.Address)
	switch {
	case err != nil:
		return c, fmt.Errorf("%w: address %q: want host:port", ErrConfig, c.Address)
	case c.Tokens == nil:
		return c, fmt.Errorf("%w: no token source", ErrConfig)
	case c.TLS == nil && !c.InsecurePlaintext && !IsLoopback(host):
		return c, fmt.Errorf("%w: address %q is not loopback: plain TCP would send the token readable", ErrConfig, c.Address)
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
		c.TLS.ServerName = cmp.Or(c.TLS.ServerName, host)
	}
	c.PingEvery = cmp.Or(c.PingEvery, 10*time.Second)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 30*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	c.Hooks = c.Hooks.withDefaults()
	return c, nil
}

func (h Hooks) withDefaults() Hooks {
	if h.Sent == nil {
		h.Sent = func([]byte) {}
	}
	if h.Received == nil {
		h.Received = func([]byte) {}
	}
	if h.Waiting == nil {
		h.Waiting = func(Wait) {}
	}
	return h
}

// IsLoopback reports whether host is "localhost" or a literal address of
// 127.0.0.0/8 or ::1. Names are not resolved.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
