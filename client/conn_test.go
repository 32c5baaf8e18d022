package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

const okLine = "OK AUTH v=1 sub=dev%20ice session=s1 expires_in=300 reauth_in=240 idle_timeout=30 max_line=20"

// open dials the gateway, which answers AUTH with ok.
func open(t *testing.T, g *fakeGateway, cfg client.Config, ok string) (*client.Conn, *peer) {
	t.Helper()
	accepted := make(chan *peer, 1)
	go func() {
		p := g.accept()
		p.talk("C: AUTH token.1.x\nS: " + ok)
		accepted <- p
	}()
	conn, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, <-accepted
}

// received reads n lines as "verb word text", in short.
func received(t *testing.T, conn *client.Conn, n int) (lines []string) {
	t.Helper()
	for range n {
		r, err := conn.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(verbs[r.Verb]+" "+r.Word+string(r.Text)))
	}
	return lines
}

var verbs = map[wire.Verb]string{
	wire.Unknown: "?", wire.OKAuth: "OK", wire.Pong: "pong", wire.Data: "data", wire.Notice: "NOTICE", wire.Err: "ERR",
}

// consume reads everything until the session is over, and says why it is.
func consume(conn *client.Conn) <-chan error {
	over := make(chan error, 1)
	go func() {
		for {
			if _, err := conn.Receive(context.Background()); err != nil {
				over <- err
				return
			}
		}
	}()
	return over
}

func TestOKIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		for ok, want := range map[string]client.Session{
			okLine: {
				Subject: "dev ice", ID: "s1", ExpiresIn: 5 * time.Minute, ReauthIn: 4 * time.Minute,
				IdleTimeout: 30 * time.Second, MaxLine: 20,
			},
			"OK AUTH max_line=7 news=x sub=a": {Subject: "a", MaxLine: 7}, // any order, unknown keys
			"OK AUTH":                         {MaxLine: 8 << 10},
			"OK AUTH max_line=-1":             {MaxLine: 8 << 10},
			"OK AUTH max_line=99999999999":    {MaxLine: 16 << 20},
		} {
			conn, _ := open(t, g, g.config(&numbered{}), ok)
			if got := conn.Session(); got != want {
				t.Errorf("%s\n got %+v\nwant %+v", ok, got, want)
			}
		}
	})
}

func TestConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), okLine)
		go p.talk(`
			C: Hello World!
			S: from server: Hello World!
			S: NEWS of a later version
			S: ERR backend_unavailable for=message action=retry
			S: NOTICE something new=1`)
		if err := conn.Send(t.Context(), []byte("Hello World!")); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(received(t, conn, 4), ", ")
		if want := "data Hello World!, ?, ERR backend_unavailable, NOTICE something"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

func TestPingIsABarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), okLine)
		over := consume(conn)
		go p.talk(`
			C: ping
			C: last
			C: ping
			S: pong
			S: from server: last
			S: pong`)
		// One ping as a typed line, whose pong is not taken for the barrier's.
		for _, line := range []string{" ping "[1:5], "last"} {
			if err := conn.Send(t.Context(), []byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if err := <-over; !errors.Is(err, client.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := conn.Ping(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("ping after Close: %v", err)
		}
	})
}

// A barrier that no longer comes is not waited for.
func TestPingWhenTheSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), okLine)
		go p.talk("C: ping\nS: BYE draining action=retry :")
		end, ok := errors.AsType[*client.End](conn.Ping(t.Context()))
		if !ok || end.Code != "draining" {
			t.Errorf("got %v", end)
		}

		conn, p = open(t, g, g.config(&numbered{}), okLine)
		go p.talk("C: ping")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := conn.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSendRefusesWhatIsNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), okLine)
		for line, want := range map[string]string{
			"a\nb":                  "client: not a message: it has a line feed in it",
			"AUTH token.2.x":        "client: not a message: a line that begins with AUTH is never one",
			"AUTH":                  "client: not a message: a line that begins with AUTH is never one",
			strings.Repeat("x", 21): "client: not a message: it has 21 bytes, the gateway takes 20",
		} {
			err := conn.Send(t.Context(), []byte(line))
			if !errors.Is(err, client.ErrLine) || err.Error() != want {
				t.Errorf("Send(%q): %v", line, err)
			}
		}
		go p.talk("C: AUTHOR\nC: " + strings.Repeat("x", 20))
		for _, line := range []string{"AUTHOR", strings.Repeat("x", 20)} {
			if err := conn.Send(t.Context(), []byte(line)); err != nil {
				t.Errorf("Send(%q): %v", line, err)
			}
		}
	})
}

// A client pings every 10 s, or as often as a third of the idle time-out.
func TestIdlePings(t *testing.T) {
	for name, test := range map[string]struct{ ok, every string }{
		"usual":         {"OK AUTH idle_timeout=30", "10s"},
		"short time":    {"OK AUTH idle_timeout=6", "2s"},
		"long time":     {"OK AUTH idle_timeout=600", "10s"},
		"none is named": {"OK AUTH", "10s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				conn, p := open(t, g, g.config(&numbered{}), test.ok)
				consume(conn)
				p.talk(strings.ReplaceAll(`
					C: ping
					S: pong
					C: ping
					+EVERY
					S: pong
					C: ping
					+EVERY`, "EVERY", test.every))
			})
		})
	}
}

// A wait that is given up leaves the session as it is.
func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), okLine)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := conn.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Receive: %v", err)
		}
		first := make(chan error, 1)
		go func() { first <- conn.Send(t.Context(), []byte("x")) }() // blocks, nobody reads yet
		synctest.Wait()
		if err := conn.Send(ctx, []byte("z")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		go p.talk("C: x\nC: y\nS: from server: y")
		if err := conn.Send(t.Context(), []byte("y")); err != nil {
			t.Fatal(err)
		}
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		if got := received(t, conn, 1); got[0] != "data y" {
			t.Errorf("got %v", got)
		}
	})
}

// The hooks see everything but the token.
func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		cfg := g.config(&numbered{})
		lines := make(chan string, 10)
		cfg.Hooks.Sent = func(line []byte) { lines <- "> " + string(line) }
		cfg.Hooks.Received = func(line []byte) { lines <- "< " + string(line) }
		conn, p := open(t, g, cfg, "OK AUTH sub=a")
		go p.talk("C: x\nS: from server: x")
		if err := conn.Send(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		received(t, conn, 1)
		for _, want := range []string{"> AUTH <token>", "< OK AUTH sub=a", "> x", "< from server: x"} {
			if got := <-lines; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}
