package gateway

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStuck: an accept loop that waits for clients is not stuck, however long; one
// that is at a client for too long is, and only until it goes on.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, Config{Limits: Limits{Connections: 1, Unauthenticated: 1}}, new(Listener))
		well := func(when string) {
			t.Helper()
			synctest.Wait()
			if err := g.Stuck(); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		time.Sleep(time.Hour)
		well("while it waits")
		g.dial().exchange("hello", "hello")
		var excess []net.Conn
		for range maxRefused + 1 { // and for the last there is no room
			near, far := net.Pipe()
			excess = append(excess, near)
			g.socket.conns <- patient{far}
		}
		well("at once")
		time.Sleep(maxRound + time.Second)
		if err := g.Stuck(); err == nil || !strings.Contains(err.Error(), "listener stub has been at one connection for 6s") {
			t.Errorf("stuck: %v", err)
		}
		excess[0].Close()
		well("when it goes on")
		time.Sleep(time.Hour)
		well("while it waits again")
		for _, nc := range excess {
			nc.Close()
		}
	})
}

// patient is a connection on which a write takes as long as it takes.
type patient struct{ net.Conn }

func (patient) SetWriteDeadline(time.Time) error { return nil }
