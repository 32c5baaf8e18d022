package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/session"
	"github.com/linegate/linegate/wire"
)

// realGateway serves each connection that is dialed with a real session, on the
// bubble's clock.
type realGateway struct {
	iss      *authtest.Issuer
	sessions *session.Server
	open     sync.WaitGroup

	mu   sync.Mutex
	ends []wire.Code // of the sessions so far
}

func newRealGateway(t *testing.T) *realGateway {
	iss := authtest.New(t)
	sessions, err := session.NewServer(session.Config{Authenticator: iss.Verifier()})
	if err != nil {
		t.Fatal(err)
	}
	g := &realGateway{iss: iss, sessions: sessions}
	t.Cleanup(g.open.Wait)
	return g
}

func (g *realGateway) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	g.open.Go(func() {
		end := g.sessions.New(steady.New(far, 10*time.Second), nil).Serve()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ends = append(g.ends, end)
	})
	return near, nil
}

func (g *realGateway) ended() []wire.Code {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ends
}

// fiveMinutes mints tokens that live that long, and while down none.
type fiveMinutes struct {
	iss *authtest.Issuer

	mu     sync.Mutex
	minted int
	down   bool
	last   string
}

func (s *fiveMinutes) Token(_ context.Context, fresh bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return "", errIssuerDown
	}
	if fresh || s.last == "" {
		s.minted++
		s.last = s.iss.Token(authtest.ExpiresIn(5 * time.Minute))
	}
	return s.last, nil
}

// A device that has nothing to say for a day is connected all the day, by one
// session, with tokens of five minutes.
func TestADayInOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRealGateway(t)
		tokens := &fiveMinutes{iss: g.iss}
		conn, err := client.Dial(t.Context(), client.Config{Address: "127.0.0.1:8885", Tokens: tokens, DialContext: g.dial})
		if err != nil {
			t.Fatal(err)
		}
		over := consume(conn)
		select {
		case err := <-over:
			t.Fatal(err)
		case <-time.After(24 * time.Hour):
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		// Renewal comes at 70 to 85 % of five minutes.
		if least, most := 24*60*60/255, 24*60*60/209; tokens.minted < least || tokens.minted > most {
			t.Errorf("%d tokens for a day, want %d to %d", tokens.minted, least, most)
		}
		conn.Close()
		<-over
	})
}

// An issuer that comes back when 25 s of a five-minute token are left loses
// nobody, however long the row of failures before.
func TestIssuerIsBackInTime(t *testing.T) {
	for range 50 { // the waits are a matter of chance
		synctest.Test(t, func(t *testing.T) {
			g := newRealGateway(t)
			tokens := &fiveMinutes{iss: g.iss}
			setDown := func(down bool) {
				tokens.mu.Lock()
				defer tokens.mu.Unlock()
				tokens.down = down
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				time.Sleep(200 * time.Second)
				setDown(true)
				time.Sleep(75 * time.Second)
				setDown(false)
				time.Sleep(time.Minute)
				cancel()
			}()
			sessions := 0
			_ = client.Run(ctx, client.Config{
				Address: "127.0.0.1:8885", Tokens: tokens, DialContext: g.dial,
			}, func(ctx context.Context, conn *client.Conn) error {
				sessions++
				return untilOver(ctx, conn)
			})
			if sessions != 1 {
				t.Fatalf("%d sessions", sessions)
			}
		})
	}
}

// While the issuer is down the session lives as long as its token. After that
// the client comes back by itself.
func TestIssuerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRealGateway(t)
		tokens := &fiveMinutes{iss: g.iss}
		began := time.Now()
		var waits []client.Wait
		var sessions []time.Duration // when each began
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := client.Run(ctx, client.Config{
			Address: "127.0.0.1:8885", Tokens: tokens, DialContext: g.dial,
			Hooks: client.Hooks{Waiting: func(w client.Wait) {
				waits = append(waits, w)
				if !w.Renewal && time.Since(began) > 20*time.Minute {
					tokens.mu.Lock()
					tokens.down = false
					tokens.mu.Unlock()
				}
			}},
		}, func(ctx context.Context, conn *client.Conn) error {
			sessions = append(sessions, time.Since(began))
			tokens.mu.Lock()
			tokens.down = len(sessions) == 1
			tokens.mu.Unlock()
			if len(sessions) == 2 {
				return nil
			}
			return untilOver(ctx, conn)
		})
		if err != nil || len(sessions) != 2 || sessions[1] < 20*time.Minute || sessions[1] > 30*time.Minute {
			t.Errorf("sessions began at %v (%v)", sessions, err)
		}
		if ends := g.ended(); ends[0] != wire.TokenExpired {
			t.Errorf("ends %v", ends)
		}
		expired := 0
		for _, w := range waits {
			if end, ok := errors.AsType[*client.End](w.Err); ok && end.Code == "token_expired" && w.For == 0 && w.Action == wire.Reauth {
				expired++
			}
		}
		if expired != 1 {
			t.Errorf("waits %+v", waits)
		}
	})
}

// Lines go through untouched, in order, and a ping is the barrier behind them.
func TestManyLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRealGateway(t)
		conn, err := client.Dial(t.Context(), client.Config{
			Address: "127.0.0.1:8885", Tokens: client.FixedToken(g.iss.Token()), DialContext: g.dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const n = 1000
		echoed := make(chan int, 1)
		go func() {
			defer close(echoed)
			for i := 0; i < n; {
				reply, err := conn.Receive(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if reply.Verb != wire.Data {
					continue
				}
				if want := line(i); string(reply.Text) != want {
					t.Errorf("got %q, want %q", reply.Text, want)
				}
				i++
			}
			// And on: the pong of the barrier.
			if reply, err := conn.Receive(t.Context()); err != nil || reply.Verb != wire.Pong {
				t.Errorf("got %+v, %v", reply, err)
			}
		}()
		for i := range n {
			if err := conn.Send(t.Context(), []byte(line(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-echoed
	})
}

// line is the i-th message: some with bytes that are no UTF-8, some empty.
func line(i int) string {
	if i%10 == 9 {
		return ""
	}
	return string([]byte{'x', 0xff, byte('a' + i%26), 0, byte('0' + i/100)})
}
