package gateway

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// Stuck returns an error when an accept loop has not come round for too long. It
// waits as long as everybody else who needs the table of connections.
func (g *Gateway) Stuck() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range g.listeners {
		if d := l.round.lasts(); d > maxRound {
			return fmt.Errorf("listener %s has been at one connection for %s", l.Name, d.Round(time.Second))
		}
	}
	return nil
}

// maxRound is what an accept loop needs at most for one connection, or for its
// back-off when there is none to be had.
const maxRound = 5 * time.Second

// acceptNext waits for a connection.
func (l *Listener) acceptNext() (net.Conn, error) {
	l.round.begun.Store(0)
	nc, err := l.Accept()
	l.round.begun.Store(int64(time.Since(l.round.started)))
	return nc, err
}

// round is the time since an accept loop was given a connection, or an error,
// until it waits for the next.
type round struct {
	started time.Time    // of the gateway
	begun   atomic.Int64 // how long after that; 0: it waits
}

func (r *round) lasts() time.Duration {
	begun := r.begun.Load()
	if begun == 0 {
		return 0
	}
	return time.Since(r.started) - time.Duration(begun)
}
