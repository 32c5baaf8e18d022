//go:build soak

package soak

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/linegate/linegate/client"
)

// device is a program that uses the client package: it pings, renews its token,
// and comes back.
func (s *site) device(ctx context.Context, name string, r *rand.Rand) {
	w := someWay(r)
	var mu sync.Mutex // of r, and of what follows
	var next *token
	var d *dialogue
	now := func() *dialogue {
		mu.Lock()
		defer mu.Unlock()
		return d
	}
	config := client.Config{
		Address: s.address(w),
		Tokens: tokenSource(func() string {
			mu.Lock()
			defer mu.Unlock()
			next = s.newToken(name, someLife(r))
			return next.text
		}),
		ConnectTimeout: answerWithin,
		PingEvery:      5 * time.Second, // three times that, or idle_timeout, is all it waits for a word
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			begun := newDialogue(s.oracle, s.deeds, name, w.faulty) // before the gateway's time begins
			c, err := s.connect(w)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			if d != nil {
				s.untrack(d)
			}
			d = begun
			s.track(d)
			return c, nil
		},
		Hooks: client.Hooks{
			Sent: func(line []byte) {
				d := now()
				switch {
				case string(line) == "AUTH <token>":
					mu.Lock()
					t := next
					mu.Unlock()
					d.ask(auth(t))
				case string(line) == "ping":
					d.ask(ping())
				default:
					d.ask(message(string(line)))
				}
			},
			Received: func(line []byte) { now().hear(line) },
			Waiting: func(wait client.Wait) { // perhaps for a connection that was no session
				if d := now(); d != nil && !wait.Renewal {
					d.lost(wait.Err)
				}
			},
		},
	}
	if w.door.tls() {
		config.TLS = s.clientTLS(w.door)
	}
	defer func() {
		if d := now(); d != nil {
			s.untrack(d)
		}
	}()
	err := client.Run(ctx, config, func(ctx context.Context, c *client.Conn) error {
		d := now()
		mu.Lock()
		talk := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		mu.Unlock()
		over := make(chan error, 1)
		go func() {
			for {
				if _, err := c.Receive(ctx); err != nil {
					over <- err
					return
				}
			}
		}()
		for i := 0; pause(ctx, talk, 10*time.Millisecond, 800*time.Millisecond); i++ {
			if talk.IntN(60) == 0 { // it restarts
				c.Close()
			}
			if err := c.Send(ctx, []byte(text(talk, name, i))); err != nil {
				break
			}
		}
		c.Close()
		err := <-over
		if _, ended := errors.AsType[*client.End](err); ended {
			d.lost(err)
		} else {
			d.gone()
		}
		return err
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, client.ErrClosed) {
		s.find("%s: the client gave up: %v", name, err)
	}
}

// lost judges an end that the client tells of: where it was a BYE that is judged
// already.
func (d *dialogue) lost(err error) {
	if end, ok := errors.AsType[*client.End](err); ok {
		err = end.Err
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	d.end(err)
}

type tokenSource func() string

func (f tokenSource) Token(context.Context, bool) (string, error) { return f(), nil }
