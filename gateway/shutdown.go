package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/linegate/linegate/wire"
)

// Shutdown ends the gateway in order: listeners close, clients are told, and
// their connections end spread evenly over window, strangers first. It returns
// nil when all are gone; when ctx is done before, it closes what is left and
// returns the context's error.
func (g *Gateway) Shutdown(ctx context.Context, window time.Duration) error {
	g.stopListening()
	gone := make(chan struct{})
	go func() {
		g.serving.Wait()
		close(gone)
	}()
	g.endAll(ctx, window, gone)
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		g.Close()
		return ctx.Err()
	}
}

// endAll tells every connection and ends each at its own moment.
func (g *Gateway) endAll(ctx context.Context, window time.Duration, gone <-chan struct{}) {
	clients, strangers := g.present()
	for _, c := range strangers {
		c.end(wire.Draining, comeBack())
	}
	// What the NOTICE says counts from the close, so the BYE says the same.
	returns := make([]time.Duration, len(clients))
	for i, c := range clients {
		returns[i] = comeBack()
		c.announce(returns[i])
	}
	// The last 25th of the window is for the closes themselves: a second of 25.
	step := window * 24 / 25 / time.Duration(len(clients)+1)
	start := time.Now()
	for i, c := range clients {
		select {
		case <-time.After(time.Until(start.Add(time.Duration(i+1) * step))):
			c.end(wire.Draining, returns[i])
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// present lists what is being served, in random order.
func (g *Gateway) present() (clients, strangers []*conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		if c.waiting != nil || c.checking {
			strangers = append(strangers, c)
		} else {
			clients = append(clients, c)
		}
	}
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	return clients, strangers
}
