package session

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// TestReview: a review withdraws each session once, whatever it does just then,
// and returns how many; those that stand hear nothing of it.
func TestReview(t *testing.T) {
	for transport, pair := range transports(t) {
		t.Run(transport, func(t *testing.T) {
			trust := &castTrust{}
			srv := newServer(t, Config{Authenticator: castAuth{castTrust: trust, now: time.Now}})
			type device struct {
				nc    net.Conn
				s     *Session
				in    *bufio.Reader
				ended chan wire.Code
			}
			devices := map[string][]device{}
			for i := range 20 {
				key := []string{"k1", "k2"}[i%2]
				client, server := pair(t)
				defer client.Close()
				s, in, ended := connectAs(t, srv, client, server, "alice.300."+key)
				devices[key] = append(devices[key], device{client, s, in, ended})
			}
			if n := srv.Review(); n != 0 {
				t.Errorf("a review without news withdrew %d", n)
			}
			trust.set("k1 withdrawn")
			if n := srv.Review(); n != 10 {
				t.Errorf("withdrew %d sessions, want 10", n)
			}
			if n := srv.Review(); n != 0 {
				t.Errorf("withdrew %d a second time", n)
			}
			for _, d := range devices["k1"] {
				if err := d.s.Push([]byte("late")); !errors.Is(err, ErrClosed) {
					t.Errorf("push after the review: %v", err)
				}
				_, _ = io.WriteString(d.nc, "ping\n")
			}
			for _, d := range devices["k1"] {
				expect(t, d.in, "BYE token_revoked ")
				d.nc.Close()
				if got := <-d.ended; got != wire.TokenRevoked {
					t.Errorf("ended for %s", got)
				}
			}
			for _, d := range devices["k2"] {
				_, _ = io.WriteString(d.nc, "ping\n")
				expect(t, d.in, "pong")
			}
			if n := len(srv.Sessions()); n != 10 {
				t.Errorf("%d sessions left, want 10", n)
			}
			for _, d := range devices["k2"] {
				d.nc.Close()
				<-d.ended
			}
		})
	}
}

// TestReviewMissesNobody: of sessions that log in, and are renewed, while trust
// changes, none goes on with what is not trusted any more.
func TestReviewMissesNobody(t *testing.T) {
	for range 50 {
		trust, clock := &castTrust{}, newTestClock()
		srv := castServer(t, Rules{IdleTimeout: time.Hour, AuthTimeout: time.Hour}, clock,
			castAuth{castTrust: trust, now: clock.wall})
		var ids atomic.Int64
		srv.newID = func() string { return fmt.Sprint(ids.Add(1)) }
		var all sync.WaitGroup
		for i := range 20 {
			client, server := tcpPair(t)
			all.Go(func() { srv.New(server, nil).Serve() })
			all.Go(func() {
				defer client.Close()
				in := bufio.NewReader(client)
				said := "OK AUTH "
				for renewals := 0; strings.HasPrefix(said, "OK AUTH "); renewals++ {
					// What fails is told by what is read.
					_, _ = fmt.Fprintf(client, "AUTH alice.3000.%d\n", renewals)
					said, _ = in.ReadString('\n')
					clock.add(time.Second, 0)
				}
				if !strings.HasPrefix(said, "BYE token_revoked ") {
					t.Errorf("session %d: %q", i, said)
				}
			})
		}
		trust.set("k1 withdrawn")
		srv.Review()
		all.Wait()
	}
}

// TestWithdrawnIsFinal: a session that one review withdrew ends for it, though
// it did not come to heed it before another found that all is well.
func TestWithdrawnIsFinal(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	trust := &castTrust{}
	srv := newServer(t, Config{Authenticator: castAuth{castTrust: trust, now: time.Now}})
	srv.backend = backendFunc(func([]byte, *Reply) { // the session waits meanwhile
		trust.set("k1 withdrawn")
		first := srv.Review()
		trust.set("k1 stands")
		if second := srv.Review(); first != 1 || second != 0 {
			t.Errorf("withdrew %d, then %d", first, second)
		}
	})
	_, in, ended := connectAs(t, srv, client, server, "alice.300")
	io.WriteString(client, "a message\n")
	expect(t, in, "BYE token_revoked ")
	client.Close()
	if got := <-ended; got != wire.TokenRevoked {
		t.Fatalf("ended for %s", got)
	}
}

// TestDueBeforeOrdered: a session that was due to end when it was ordered to end
// does so for the first reason.
func TestDueBeforeOrdered(t *testing.T) {
	for name, order := range map[string]func(srv *Server, s *Session, trust *castTrust){
		"drained": func(_ *Server, s *Session, _ *castTrust) { s.End(wire.Draining, 0) },
		"revoked": func(srv *Server, _ *Session, trust *castTrust) {
			trust.set("k1 withdrawn")
			srv.Review()
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := tcpPair(t)
			defer client.Close()
			trust, clock := &castTrust{}, newTestClock()
			srv := castServer(t, Rules{}, clock, castAuth{castTrust: trust, now: clock.wall})
			s, in, ended := connectAs(t, srv, client, server, "alice.300")
			clock.add(300*time.Second, 300*time.Second)
			order(srv, s, trust)
			expect(t, in, "BYE token_expired ")
			client.Close()
			if got := <-ended; got != wire.TokenExpired {
				t.Fatalf("ended for %s", got)
			}
		})
	}
}

// TestEndedAsWhom: whoever ends a session knows whom it ends as. A renewal whose
// verdict is there already is not accepted behind the order.
func TestEndedAsWhom(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	clock := newTestClock()
	cast := castAuth{castTrust: new(castTrust), now: clock.wall, asked: make(chan struct{}, 1), judge: make(chan struct{})}
	srv := castServer(t, Rules{}, clock, cast)
	var s *Session
	var verdict atomic.Bool
	var whom *auth.Identity
	srv.clock = func() moment { // is asked when the verdict has come
		if verdict.CompareAndSwap(true, false) {
			s.End(wire.TokenRevoked, 0)
			whom = s.Identity()
		}
		return clock.read()
	}
	s, in, ended := connectAs(t, srv, client, server, "alice.300")
	fmt.Fprint(client, "AUTH slow-alice.600\n")
	<-cast.asked
	verdict.Store(true)
	cast.judge <- struct{}{}
	expect(t, in, "BYE token_revoked ")
	client.Close()
	if got := <-ended; got != wire.TokenRevoked {
		t.Errorf("ended for %s", got)
	}
	if whom == nil || s.Identity() != whom || s.Expires() != clock.wall().Add(300*time.Second) {
		t.Errorf("ended as %+v, then was %+v", whom, s.Identity())
	}
}

// TestEndedBeforeReview: a session that was ended already is not counted as
// withdrawn.
func TestEndedBeforeReview(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	trust, clock := &castTrust{}, newTestClock()
	srv := castServer(t, Rules{}, clock, castAuth{castTrust: trust, now: clock.wall})
	srv.backend = backendFunc(func([]byte, *Reply) { // the session waits meanwhile
		srv.Session("S").End(wire.TokenRevoked, 0)
		trust.set("k1 withdrawn")
		if n := srv.Review(); n != 0 {
			t.Errorf("withdrew %d", n)
		}
	})
	_, in, ended := connectAs(t, srv, client, server, "alice.300")
	io.WriteString(client, "a message\n")
	expect(t, in, "BYE token_revoked ")
	client.Close()
	<-ended
}
