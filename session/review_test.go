package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// trusted lets everybody in as anyToken does, on key k1, and can take it back.
type trusted struct {
	anyToken
	castTrust
}

func (a *trusted) Verify(ctx context.Context, token string, proof auth.Proof) (*auth.Identity, error) {
	identity, err := a.anyToken.Verify(ctx, token, proof)
	identity.Thumbprint = "k1"
	return identity, err
}

// TestReview: a review withdraws each session once, whatever it does just then,
// and returns how many; those that stand hear nothing of it.
func TestReview(t *testing.T) {
	transports := map[string]func(testing.TB) (client, server net.Conn){"tcp": tcpPair, "tls": tlsPairs(t, tcpPair)}
	for transport, pair := range transports {
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

// TestReviewWithinABatch: lines that came together are not all served because
// the token was good when the first was.
func TestReviewWithinABatch(t *testing.T) {
	client, server := tcpPair(t)
	defer client.Close()
	trust, taken := &castTrust{}, 0
	srv := newServer(t, Config{Authenticator: castAuth{castTrust: trust, now: time.Now}})
	srv.backend = backendFunc(func([]byte, *Reply) {
		if taken++; taken == 1 {
			trust.set("k1 withdrawn")
			if n := srv.Review(); n != 1 {
				t.Errorf("withdrew %d", n)
			}
		}
	})
	ended := make(chan wire.Code, 1)
	go func() { ended <- srv.New(server, nil).Serve() }()
	io.WriteString(client, "AUTH alice.300\n"+strings.Repeat("x\n", 1000))
	said, err := io.ReadAll(client)
	if err != nil || !strings.Contains(string(said), "BYE token_revoked ") {
		t.Fatalf("%q, %v", said, err)
	}
	client.Close()
	<-ended
	if taken > messagesPerLook {
		t.Errorf("%d messages were served after the first", taken)
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

// backendFunc is a Backend.
type backendFunc func(text []byte, r *Reply)

func (f backendFunc) Message(_ *Session, text []byte, r *Reply) error { f(text, r); return nil }

// TestKeyDepartureIsSpread: the sessions of a key that leaves do not all ask their
// issuer for other tokens at once, and most of the grace is left to each.
func TestKeyDepartureIsSpread(t *testing.T) {
	for _, tt := range []struct {
		grace  string
		window time.Duration
	}{{"20", 5 * time.Second}, {"60", 10 * time.Second}, {"3600", 10 * time.Second}} {
		t.Run(tt.grace, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const sessions = 1000
				authenticator := new(trusted)
				srv := newServer(t, Config{Authenticator: authenticator, Rules: Rules{IdleTimeout: time.Hour}})
				notices, _ := manySessions(t, srv, sessions, "NOTICE reauth ")
				authenticator.set("k1 departing " + tt.grace)
				srv.Review()
				checkSpread(t, notices, sessions, "NOTICE reauth ", time.Now(), tt.window)
			})
		})
	}
}

// TestKeyRemovedIsSpread: the sessions of a key that left do not come back as
// one, and not before the grace is over.
func TestKeyRemovedIsSpread(t *testing.T) {
	for _, tt := range []struct {
		grace  string
		window time.Duration
	}{{"60", 30 * time.Second}, {"3600", 30 * time.Second}, {"10", 5 * time.Second}, {"0", time.Second}} {
		t.Run(tt.grace, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const sessions = 1000
				authenticator := new(trusted)
				srv := newServer(t, Config{Authenticator: authenticator, Rules: Rules{IdleTimeout: time.Hour}})
				byes, _ := manySessions(t, srv, sessions, "BYE ")
				authenticator.set("k1 departed " + tt.grace)
				srv.Review()
				checkSpread(t, byes, sessions, "BYE key_removed ", time.Now(), tt.window)
			})
		})
	}
}

// manySessions returns the last lines that n authenticated clients read: they
// hang up at the first that begins so.
func manySessions(t *testing.T, srv *Server, n int, prefix string) (last chan string, sessions []*Session) {
	last = make(chan string, n)
	for range n {
		client, server := net.Pipe()
		s, in, ended := connect(t, srv, client, steady.New(server, time.Minute))
		sessions = append(sessions, s)
		go func() {
			line, err := in.ReadString('\n')
			for err == nil && !strings.HasPrefix(line, prefix) {
				line, err = in.ReadString('\n')
			}
			last <- line
			client.Close()
			<-ended
		}()
	}
	return last, sessions
}

// checkSpread: n such lines arrive within the window, and in no tenth of it more
// than twice its share.
func checkSpread(t *testing.T, lines <-chan string, n int, prefix string, start time.Time, window time.Duration) {
	t.Helper()
	var tenths [10]int
	for range n {
		if line := <-lines; !strings.HasPrefix(line, prefix) {
			t.Fatalf("got %q", line)
		}
		at := time.Since(start)
		if at < 0 || at > window {
			t.Fatalf("a line %v after the start of %v", at, window)
		}
		tenths[min(9, int(at*10/window))]++
	}
	for i, k := range tenths {
		if k > 2*n/10 || k < n/20 {
			t.Errorf("%d of %d lines in tenth %d of %v: %v", k, n, i+1, window, tenths)
		}
	}
}

// TestSessions: who may look at sessions sees them as they are now.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, Config{Authenticator: castAuth{castTrust: new(castTrust), now: time.Now}})
		client, server := net.Pipe()
		opened := time.Now()
		s, ended := srv.New(server, nil), make(chan wire.Code, 1)
		go func() { ended <- s.Serve() }()
		time.Sleep(time.Second)
		if len(srv.Sessions()) != 0 {
			t.Error("a stranger is listed")
		}
		in := bufio.NewReader(client)
		for _, life := range []int{300, 200} { // of the first token, and of its renewal
			fmt.Fprintf(client, "AUTH alice.%d\n", life)
			expect(t, in, "OK AUTH ")
			synctest.Wait()
			if all := srv.Sessions(); len(all) != 1 || all[0] != s || srv.Session(s.ID()) != s {
				t.Fatalf("sessions: %v", all)
			}
			if !s.Opened().Equal(opened.Add(time.Second)) || s.Remote() != "pipe" ||
				!s.Expires().Equal(time.Now().Add(time.Duration(life)*time.Second)) {
				t.Errorf("opened %v, remote %s, expires %v", s.Opened(), s.Remote(), s.Expires())
			}
			time.Sleep(10 * time.Second)
		}
		client.Close()
		<-ended
		if len(srv.Sessions()) != 0 || srv.Session(s.ID()) != nil {
			t.Error("a session that ended is listed")
		}
	})
}
