package gateway

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/linegate/linegate/wire"
)

// TestConnectionsInExcess are accepted, told and closed, also when they have
// sent something already; those within the limit notice nothing.
func TestConnectionsInExcess(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 2, Unauthenticated: 2}}, nil)
	first, second := f.dial(), f.dial()
	first.exchange("in", "welcome")
	second.exchange("in", "welcome")
	for range 2 * maxPolite {
		third := f.dial()
		io.WriteString(third, "AUTH something\n")
		third.expect("BYE too_many_sessions action=retry retry_after=")
		third.expectEnd()
		third.Close()
	}
	first.exchange("still here", "still here")
	second.Close()
	// The place is free as soon as the gateway has seen the close.
	for {
		next := f.dial()
		io.WriteString(next, "in\n")
		line, _ := next.in.ReadString('\n')
		next.Close()
		if line == "welcome\n" {
			break
		}
	}
	f.drained()
	if n := f.closed(wire.TooManySessions); n < 2*maxPolite {
		t.Errorf("%d refused", n)
	}
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(`
# HELP linegate_connections_open Connections accepted and not yet closed.
# TYPE linegate_connections_open gauge
linegate_connections_open 0
`), "linegate_connections_open"); err != nil {
		t.Error(err)
	}
}

// TestManyInExcessAtOnce: beyond those that are kept a moment, the BYE arrives
// too where the client has said nothing unread.
func TestManyInExcessAtOnce(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 1, Unauthenticated: 1}}, nil)
	f.dial().exchange("in", "welcome")
	var all []*client
	for range 3 * maxPolite { // none closes: each is kept as long as it may
		c := f.dial()
		io.WriteString(c, "AUTH something\n")
		all = append(all, c)
	}
	for _, c := range all {
		c.expect("BYE too_many_sessions action=retry retry_after=")
		c.expectEnd()
	}
}

// TestExcessUnderTLS is closed without a line, and without a handshake.
func TestExcessUnderTLS(t *testing.T) {
	secure := newTestTLS(t)
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, Config{Limits: Limits{Connections: 1}}, &Listener{TLS: secure})
		g.dial() // holds the only place, silently
		g.dial().expectEnd()
		synctest.Wait()
		if n := g.closed(wire.TooManySessions); n != 1 {
			t.Errorf("%d refused", n)
		}
	})
}

// TestStrangersGiveWay: when the strangers' places are full, the one that has
// waited longest goes, and those who came in stay.
func TestStrangersGiveWay(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 10, Unauthenticated: 2}}, nil)
	guest := f.dial()
	guest.exchange("in", "welcome")
	var strangers []*client
	for range 5 {
		s := f.dial()
		s.exchange("hello", "hello")
		strangers = append(strangers, s)
	}
	for _, s := range strangers[:3] {
		s.expect("BYE temporarily_unavailable action=retry")
		s.expectEnd()
	}
	for _, s := range strangers[3:] {
		s.exchange("hello", "hello")
	}
	guest.exchange("hello", "hello")
}

// TestLoginsStay: a stranger whose login is being checked does not give way, those
// do who came later and ask for nothing; and who was refused goes before these.
// When all are being checked, whoever comes is told to come back.
func TestLoginsStay(t *testing.T) {
	f := start(t, Config{Limits: Limits{Connections: 10, Unauthenticated: 3}}, nil)
	come := func() *client {
		c := f.dial()
		c.exchange("hello", "hello")
		return c
	}
	gone := func(c *client) {
		t.Helper()
		c.expect("BYE temporarily_unavailable action=retry")
		c.expectEnd()
	}
	login := come()
	login.exchange("check", "checking")
	silent, other := come(), come()
	third := come()
	gone(silent)
	third.exchange("refuse", "refused")
	fourth := come()
	gone(third) // though the other has waited longer
	other.exchange("check", "checking")
	fourth.exchange("check", "checking")
	late := f.dial()
	gone(late)
	login.exchange("in", "welcome")
	last := come()
	for _, c := range []*client{login, other, fourth, last} {
		c.exchange("still here", "still here")
	}
	other.exchange("refuse", "refused")
	other.Close()
	fourth.Close()
	last.Close()
	f.drained()
	if f.checking != 0 || f.strangers.Len() != 0 || f.evicted != 0 || f.refused != 0 {
		t.Errorf("left: %d checking, %d strangers, %d evicted, %d refused", f.checking, f.strangers.Len(), f.evicted, f.refused)
	}
}

// TestEvictedAreNotWaitedFor: strangers that give way, and neither read nor close,
// leave their connections to others all the same. If each were kept for a second,
// they would soon have them all.
func TestEvictedAreNotWaitedFor(t *testing.T) {
	const connections = maxPolite + 200
	f := start(t, Config{Limits: Limits{Connections: connections, Unauthenticated: 2}}, nil)
	served, refused := 0, 0
	for range 3 * connections {
		c := f.dial()
		io.WriteString(c, "hello\n")
		switch line, err := c.in.ReadString('\n'); {
		case line == "hello\n":
			served++
		case strings.HasPrefix(line, "BYE too_many_sessions "):
			refused++
		default:
			t.Fatalf("answer %q, %v", line, err)
		}
	}
	if refused > served/10 { // a machine that stands still may be behind for a moment
		t.Errorf("%d were served, and for %d there was no room", served, refused)
	}
}

// TestRefusedAreBounded: of connections in excess no more are there at once than
// descriptors are kept back for, however many come; the next are refused as soon as
// some of them have gone.
func TestRefusedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, Config{Limits: Limits{Connections: 1, Unauthenticated: 1}}, new(Listener))
		const excess = 3 * maxRefused
		go func() {
			for range 1 + excess {
				g.dial() // and never reads
			}
		}()
		synctest.Wait()
		g.mu.Lock()
		if g.refused != maxRefused {
			t.Errorf("%d at once, want %d", g.refused, maxRefused)
		}
		g.mu.Unlock()
		time.Sleep(10 * time.Second) // each has a second
		if n := g.closed(wire.TooManySessions); n != excess {
			t.Errorf("%d were refused, want %d", n, excess)
		}
	})
}

// TestStrangersGiveWayBeforeTheyAreServed: who has to give way in the moment
// between its accept and its service is told so like anybody else.
func TestStrangersGiveWayBeforeTheyAreServed(t *testing.T) {
	begun, serve := make(chan struct{}), make(chan struct{})
	f := start(t, Config{
		Limits: Limits{Connections: 10, Unauthenticated: 1},
		Handler: func(nc net.Conn, stranger Stranger) Conn {
			begun <- struct{}{}
			<-serve
			return serveLines(nc, stranger)
		},
	}, nil)
	first := f.dial()
	<-begun
	second := f.dial()
	<-begun // so the first has been told
	close(serve)
	first.expect("BYE temporarily_unavailable action=retry")
	first.expectEnd()
	second.exchange("hello", "hello")
}
