package gateway

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

// The back-off of accepting: what fails here (descriptors, memory) passes, or
// does not, on its own; trying in a tight loop helps nobody.
const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
)

// Serve accepts connections from l until Shutdown or Close, and then returns
// ErrClosed. It may be called for several listeners.
func (g *Gateway) Serve(l *Listener) error {
	defer l.Close()
	if !g.beginServe(l) {
		return ErrClosed
	}
	defer g.endServe(l)
	var backoff time.Duration
	for {
		nc, err := l.acceptNext()
		switch {
		case err == nil:
			backoff = 0
			g.admit(l, nc)
		case g.isClosed():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			backoff = min(max(2*backoff, firstBackoff), maxBackoff)
			g.metrics.acceptErrors.Add(1)
			g.log.Error("accepting a connection failed", slog.String("listener", l.Name),
				slog.Any("error", err), slog.Duration("retry_in", backoff))
			select {
			case <-time.After(backoff):
			case <-g.stopping:
			}
		}
	}
}

// Add makes l known before it is served: its metrics exist from here on, and
// Shutdown closes it. Serve adds l itself where that was not done. It is false
// after Shutdown or Close.
func (g *Gateway) Add(l *Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.add(l)
}

// add is Add with mu held.
func (g *Gateway) add(l *Listener) bool {
	if g.isClosed() {
		return false
	}
	l.round.started = g.started
	g.listeners[l] = struct{}{}
	g.metrics.addListener(l)
	return true
}

// beginServe counts the accept loop among what is served: a Shutdown then
// waits for the connection that the loop may just have been given.
func (g *Gateway) beginServe(l *Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.add(l) {
		return false
	}
	g.serving.Add(1)
	return true
}

func (g *Gateway) endServe(l *Listener) {
	g.mu.Lock()
	delete(g.listeners, l)
	g.mu.Unlock()
	g.serving.Done()
}
