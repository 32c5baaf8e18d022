package client_test

import (
	"context"
	"errors"
	"io"
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

func TestEnds(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for name, test := range map[string]struct {
		sent string // without its last LF
		want client.End
	}{
		"BYE": {
			"BYE idle_timeout action=retry retry_after=3 :超时断开连接\n",
			client.End{Code: "idle_timeout", Action: wire.Retry, RetryAfter: 3 * time.Second, Text: "超时断开连接"},
		},
		"BYE that asks for a token": {
			"BYE token_revoked action=reauth :gone\n",
			client.End{Code: "token_revoked", Action: wire.Reauth, Text: "gone"},
		},
		"unknown action is retry": {
			"BYE moon_phase action=dance :\n",
			client.End{Code: "moon_phase", Action: wire.Retry},
		},
		"no BYE":      {"", client.End{Err: io.EOF}},
		"half a line": {"from serv", client.End{Err: io.ErrUnexpectedEOF}},
		"draining, then no BYE": {
			"NOTICE draining retry_after=9\n",
			client.End{RetryAfter: 9 * time.Second, Err: io.EOF},
		},
		"draining, then a BYE that says less": {
			"NOTICE draining retry_after=9\nBYE draining action=retry :\n",
			client.End{Code: "draining", RetryAfter: 9 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				conn, p := open(t, g, g.config(&numbered{}), okLine)
				go func() {
					_, _ = p.nc.Write([]byte(test.sent))
					p.nc.Close()
				}()
				end, ok := errors.AsType[*client.End](<-consume(conn))
				if !ok || *end != test.want {
					t.Errorf("got %+v, want %+v", end, test.want)
				}
				if err := conn.Send(t.Context(), []byte("x")); err != error(end) {
					t.Errorf("Send afterwards: %v", err)
				}
			})
		})
	}
	for name, test := range map[string]struct {
		line string
		ok   bool
	}{
		"control line of 1024 bytes":    {"NOTICE " + long[:1024-8], true},
		"control line of 1025":          {"NOTICE " + long[:1025-8], false},
		"data of max_line + 14":         {"from server: " + long + long[:976], true},
		"data of one more":              {"from server: " + long + long[:977], false},
		"control line without any LF":   {"NOTICE " + long + long + long, false},
		"an endless line of data bytes": {"from server: " + long + long + long, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				conn, p := open(t, g, g.config(&numbered{}), "OK AUTH max_line=2000")
				go func() { _, _ = p.nc.Write([]byte(test.line + "\n")) }()
				_, err := conn.Receive(t.Context())
				if (err == nil) != test.ok {
					t.Errorf("got %v", err)
				}
				if end, isEnd := errors.AsType[*client.End](err); err != nil && (!isEnd || end.Action != wire.Retry) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestDeadGatewayIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), "OK AUTH idle_timeout=30")
		go func() { _, _ = io.Copy(io.Discard, p.nc) }() // takes all, answers nothing
		end, ok := errors.AsType[*client.End](<-consume(conn))
		if !ok || end.Action != wire.Retry || end.Code != "" {
			t.Errorf("got %v", end)
		}
		g.at(30 * time.Second)
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		cfg := g.config(&numbered{})
		cfg.WriteTimeout = 3 * time.Second
		conn, p := open(t, g, cfg, okLine)
		over := consume(conn)
		if err := conn.Send(t.Context(), []byte("nobody takes this")); err == nil {
			t.Error("sent")
		}
		g.at(3 * time.Second)
		// There is still a moment in which a BYE can tell why.
		p.talk("S: BYE slow_consumer action=retry :")
		if end, ok := errors.AsType[*client.End](<-over); !ok || end.Code != "slow_consumer" {
			t.Errorf("got %v", end)
		}
	})
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

func TestCloseLeavesNothing(t *testing.T) {
	// synctest fails a test whose goroutines do not end.
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), okLine)
		go p.talk("S: from server: that nobody receives")
		synctest.Wait()
		conn.Close()
		conn.Close()
	})
}

func TestDialFailures(t *testing.T) {
	for name, test := range map[string]struct {
		gateway func(*peer)
		want    string
		after   time.Duration
	}{
		"refused": {
			func(p *peer) { p.talk("S: BYE invalid_token action=reauth :the token was refused") },
			"client: the gateway said invalid_token: the token was refused", 0,
		},
		"hung up": {
			func(p *peer) { p.nc.Close() },
			"client: connection ended without a BYE: EOF", 0,
		},
		"no answer": {
			func(*peer) {},
			"client: 127.0.0.1:8885 did not answer AUTH: context deadline exceeded", 30 * time.Second,
		},
		"what is not known is passed over": {
			func(p *peer) { p.talk("S: HELLO\nS: NOTICE x\nS: BYE draining action=retry :a\x1b[2Jb") },
			"client: the gateway said draining: a\ufffd[2Jb", 0,
		},
		"another protocol": {
			func(p *peer) { _, _ = p.nc.Write([]byte(strings.Repeat("<html>", 1000))) },
			"client: connection ended without a BYE: the gateway sent a line longer than the protocol allows", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				go func() {
					p := g.accept()
					p.talk("C: AUTH token.1.x")
					test.gateway(p)
				}()
				_, err := client.Dial(t.Context(), g.config(&numbered{}))
				if err == nil || err.Error() != test.want {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
				g.at(test.after)
			})
		})
	}
}

func TestConfigErrors(t *testing.T) {
	tokens := client.FixedToken("a.b.c")
	for want, cfg := range map[string]client.Config{
		`client: configuration: address "gw": want host:port`:                                                           {Address: "gw", Tokens: tokens},
		`client: configuration: no token source`:                                                                        {Address: "127.0.0.1:1"},
		`client: configuration: address "192.0.2.1:1" is not loopback: plain TCP would send the token readable`:         {Address: "192.0.2.1:1", Tokens: tokens},
		`client: configuration: address "gw.example.com:1" is not loopback: plain TCP would send the token readable`:    {Address: "gw.example.com:1", Tokens: tokens},
		`client: configuration: address "localhost.example:1" is not loopback: plain TCP would send the token readable`: {Address: "localhost.example:1", Tokens: tokens},
	} {
		if _, err := client.Dial(t.Context(), cfg); !errors.Is(err, client.ErrConfig) || err.Error() != want {
			t.Errorf("Dial: %v\nwant %s", err, want)
		}
		if err := client.Run(t.Context(), cfg, nil); !errors.Is(err, client.ErrConfig) {
			t.Errorf("Run: %v", err)
		}
	}
}

// What could end the AUTH line early never reaches the connection, and no error
// shows it.
func TestTokensThatAreNone(t *testing.T) {
	for _, token := range []string{"", "secret\nping", "secret token", "secret=", "Bearer secret"} {
		_, err := client.Dial(t.Context(), client.Config{Address: "127.0.0.1:1", Tokens: client.FixedToken(token)})
		if err == nil || !strings.HasPrefix(err.Error(), "client: token source: not a token") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", token, err)
		}
	}
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
