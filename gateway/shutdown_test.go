package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/wire"
)

// TestShutdownSpreads the ends of connections evenly over the window, and
// closes what does not end.
func TestShutdownSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, Config{}, new(Listener))
		for i, got := range g.ends(9, 20*time.Second) {
			// Nine of them in 24 of 25 parts of 20 s.
			if want := time.Duration(i+1) * 1920 * time.Millisecond; got != want {
				t.Errorf("end %d at %v, want %v", i+1, got, want)
			}
		}
		if n := g.closed(wire.Draining); n != 9 {
			t.Errorf("%d drained", n)
		}
	})
	t.Run("what does not end is closed", func(t *testing.T) {
		f := start(t, Config{Handler: func(nc net.Conn, stranger Stranger) Conn {
			stranger.Authenticated()
			return stubborn{nc}
		}}, nil)
		c := f.dial()
		c.exchange("in", "in")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := f.Shutdown(ctx, 10*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Shutdown: %v", err)
		}
		if n := f.closed(wire.Forced); n != 1 {
			t.Errorf("%d forced", n)
		}
	})
}

// stubborn ends for nobody.
type stubborn struct{ nc net.Conn }

func (s stubborn) Attend() wire.Code {
	io.Copy(s.nc, s.nc)
	return wire.Forced
}
func (stubborn) Announce(time.Duration)       {}
func (stubborn) End(wire.Code, time.Duration) {}

// TestShutdownOfAThousand: in each tenth of the window between half and twice as
// many end as would if all tenths were alike, and the last before it is over.
func TestShutdownOfAThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, window = 1000, 25 * time.Second
		g := startPiped(t, Config{Limits: Limits{Connections: clients}}, new(Listener))
		var tenths [10]int
		for _, end := range g.ends(clients, window) {
			tenths[end*10/window]++ // no index for what is late
		}
		for i, n := range tenths {
			if n < clients/10/2 || n > clients/10*2 {
				t.Errorf("%d end in tenth %d: %v", n, i+1, tenths)
			}
		}
	})
}

// ends has clients come in, shuts down, and returns when each of them met its end,
// from the beginning on.
func (p *piped) ends(clients int, window time.Duration) (after []time.Duration) {
	p.t.Helper()
	ends := make(chan time.Time, clients)
	for range clients {
		c := p.dial()
		c.exchange("in", "welcome\n")
		go func() {
			io.ReadAll(c.in)
			ends <- time.Now()
		}()
	}
	began := time.Now()
	if err := p.Shutdown(p.t.Context(), window); err != nil {
		p.t.Fatal(err)
	}
	for range clients {
		after = append(after, (<-ends).Sub(began))
	}
	return after
}

// TestShutdownWaitsForAccepted: a connection that was accepted when Shutdown
// began gets its BYE before Shutdown returns.
func TestShutdownWaitsForAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(Config{Handler: serveLines})
		if err != nil {
			t.Fatal(err)
		}
		l := &lateListener{stubListener: newStubListener(), late: make(chan net.Conn)}
		go g.Serve(&Listener{Listener: l, Name: "stub"})
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- g.Shutdown(t.Context(), 0) }()
		synctest.Wait()
		select {
		case err := <-down:
			t.Fatalf("Shutdown returned %v while Accept was still under way", err)
		default:
		}
		client, server := net.Pipe()
		l.late <- server // Accept had it when the listener was closed
		if line, err := bufio.NewReader(client).ReadString('\n'); !strings.HasPrefix(line, "BYE draining ") {
			t.Fatal(line, err)
		}
		if err := <-down; err != nil {
			t.Fatal(err)
		}
	})
}

// lateListener hands one more connection over when it is closed.
type lateListener struct {
	*stubListener
	late chan net.Conn
	done bool
}

func (l *lateListener) Accept() (net.Conn, error) {
	nc, err := l.stubListener.Accept()
	if err != nil && !l.done {
		l.done = true
		return <-l.late, nil
	}
	return nc, err
}

// TestClose ends everything without a word.
func TestClose(t *testing.T) {
	f := start(t, Config{}, nil)
	c := f.dial()
	c.exchange("in", "welcome")
	f.Close()
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the connection is still there")
	}
	if err := <-f.served; !errors.Is(err, ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	if err := f.Serve(f.listener); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Close returned %v", err)
	}
}
