package app

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// strangers hold as many connections as they get, and open others as fast as they
// can: some say nothing, some send a first line byte by byte.
type strangers struct {
	address string
	opened  atomic.Int64
	stop    context.CancelFunc
	all     sync.WaitGroup
}

// flood has strangers fill room places of a listener again and again.
func flood(t *testing.T, address string, room int) *strangers {
	ctx, stop := context.WithCancel(t.Context())
	s := &strangers{address: address, stop: stop}
	const hands = 4
	for hand := range hands {
		s.all.Go(func() {
			held := make([]net.Conn, 2*room/hands)
			for i := 0; ctx.Err() == nil; i = (i + 1) % len(held) {
				if held[i] != nil {
					held[i].Close()
				}
				held[i] = s.come(ctx, hand, i)
			}
			for _, nc := range held {
				if nc != nil {
					nc.Close()
				}
			}
		})
	}
	t.Cleanup(s.leave)
	return s
}

// come opens a connection, and has half of those before it say one byte more.
func (s *strangers) come(ctx context.Context, hand, i int) net.Conn {
	// Ports of one address would run out.
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+hand), byte(1+i%250))}}
	nc, err := from.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil
	}
	_ = nc.(*net.TCPConn).SetLinger(0)
	s.opened.Add(1)
	if i%2 == 0 {
		_, _ = nc.Write([]byte("A"))
	}
	return nc
}

func (s *strangers) leave() {
	s.stop()
	s.all.Wait()
}

// TestLoginsBesideStrangers: while strangers fill their room again and again, as
// fast as they can, every device that comes and says who it is gets in, and nobody's
// session notices.
func TestLoginsBesideStrangers(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		const room, devices = 2000, 100
		r := start(t, func(c *config.Config) {
			c.Limits.Connections, c.Limits.Unauthenticated = 2*room, room
		})
		r.waitReady()
		early := r.login(secure)
		listener := map[bool]string{false: "plain", true: "tls"}[secure]
		pushed := func() float64 {
			return r.metric("linegate_connections_closed_total", `reason="temporarily_unavailable"`)
		}
		s := flood(t, r.Addr(listener).String(), room)
		r.waitFor("full of strangers", func() bool { return pushed() > 0 })
		before, start := pushed(), time.Now()
		tokens := make(chan string, devices)
		for i := range devices {
			tokens <- r.issuer.Token(authtest.Sub(fmt.Sprint("device-", i)))
		}
		close(tokens)
		var in sync.WaitGroup
		var all [4][]*device
		for hand := range all {
			in.Go(func() {
				for token := range tokens {
					d := r.dial(secure)
					d.say("AUTH " + token)
					d.expect("OK AUTH v=1 sub=device-")
					all[hand] = append(all[hand], d)
				}
			})
		}
		in.Wait()
		took := time.Since(start)
		r.waitFor("pushed on", func() bool { return pushed()-before > room }) // the sessions stay, however long
		for _, some := range append(all[:], []*device{early}) {
			for _, d := range some {
				d.say("ping")
				d.expect("pong")
			}
		}
		s.leave()
		t.Logf("%d devices in %v, beside %d strangers, %v of them pushed out", devices, took, s.opened.Load(), pushed())
	})
}
