package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// fleet is devices that talk all the time, come back whenever they are sent away,
// and take note of whatever a gateway must not do to them.
type fleet struct {
	*clients
	devices []*device
}

// device sends a line, waits for its answer, and sends the next.
type device struct {
	name     string
	answered atomic.Int64
	dials    atomic.Int64
	lost     atomic.Int64 // lines that were sent when the BYE was on its way
}

// pause is between an answer and the next line.
const pause = 20 * time.Millisecond

func startFleet(t *testing.T, size int, address, token string) *fleet {
	t.Helper()
	f := &fleet{clients: newClients(t)}
	for i := range size {
		d := &device{name: fmt.Sprintf("device-%d", i)}
		f.devices = append(f.devices, d)
		f.answered = append(f.answered, &d.answered)
		f.running.Go(func() {
			err := client.Run(f.ctx, client.Config{
				Address: address, Tokens: client.FixedToken(token),
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					return f.dial(ctx, d, network, address)
				},
			}, func(ctx context.Context, conn *client.Conn) error { return f.talk(ctx, d, conn) })
			if !errors.Is(err, context.Canceled) {
				f.problem("%s: ended with %v", d.name, err)
			}
		})
	}
	f.progress()
	return f
}

// talk is one session.
func (f *fleet) talk(ctx context.Context, d *device, conn *client.Conn) error {
	for n := 0; ; n++ {
		line := fmt.Sprintf("%s %d %d", d.name, d.dials.Load(), n)
		if err := conn.Send(ctx, []byte(line)); err != nil {
			return drainOf(ctx, conn, err)
		}
		for {
			reply, err := conn.Receive(ctx)
			if err != nil {
				if ctx.Err() == nil {
					d.lost.Add(1)
				}
				return err
			}
			if reply.Verb == wire.Data {
				if string(reply.Text) != line {
					f.problem("%s: to %q came %q", d.name, line, reply.Text)
				}
				break
			}
		}
		d.answered.Add(1)
		if err := idle(ctx, conn, pause); err != nil {
			return err
		}
	}
}

// idle takes what comes unasked.
func idle(ctx context.Context, conn *client.Conn, d time.Duration) error {
	short, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		_, err := conn.Receive(short)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case short.Err() != nil && errors.Is(err, short.Err()):
			return nil
		case err != nil:
			return err
		}
	}
}

// drainOf waits for the reason for which sending failed.
func drainOf(ctx context.Context, conn *client.Conn, err error) error {
	for ctx.Err() == nil {
		if _, said := conn.Receive(ctx); said != nil {
			return said
		}
	}
	return err
}

// dial takes note of connections that are refused, and of what they end with.
func (f *fleet) dial(ctx context.Context, d *device, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		if !f.stopped() {
			f.problem("%s: refused: %v", d.name, err)
		}
		return nil, err
	}
	d.dials.Add(1)
	return &watched{Conn: nc, fleet: f, device: d}, nil
}

// watched is a connection that must end behind a whole line, and that a BYE of a
// drain: all that was answered before has come then.
type watched struct {
	net.Conn
	fleet  *fleet
	device *device
	tail   []byte // the last line, whole or not
	once   sync.Once
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	for rest := b[:n]; len(rest) > 0; {
		if len(w.tail) > 0 && w.tail[len(w.tail)-1] == '\n' {
			w.tail = w.tail[:0]
		}
		line, more, found := bytes.Cut(rest, []byte("\n"))
		w.tail = append(w.tail, line...)
		if found {
			w.tail = append(w.tail, '\n')
		}
		rest = more
	}
	last := string(w.tail)
	if err != nil || strings.HasPrefix(last, "BYE ") && strings.HasSuffix(last, "\n") {
		w.once.Do(func() {
			if !w.fleet.stopped() && !(strings.HasPrefix(last, "BYE draining ") && strings.HasSuffix(last, "\n")) {
				w.fleet.problem("%s: the stream ends with %q, %v", w.device.name, last, err)
			}
		})
	}
	return n, err
}

// wantReconnects: every device was sent away so many times at least, and that is
// what cost it a line, if anything did.
func (f *fleet) wantReconnects(least int64) {
	f.t.Helper()
	var dials, answered, lost int64
	for _, d := range f.devices {
		n := d.dials.Load() - 1
		if n < least {
			f.t.Errorf("%s was sent away %d times", d.name, n)
		}
		dials, answered, lost = dials+n, answered+d.answered.Load(), lost+d.lost.Load()
	}
	f.t.Logf("%d devices came back %d times; %d lines answered, %d crossed a BYE", len(f.devices), dials, answered, lost)
}
