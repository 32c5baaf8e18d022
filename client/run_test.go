package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// untilOver is the least that a program does with a session.
func untilOver(ctx context.Context, conn *client.Conn) error {
	for {
		if _, err := conn.Receive(ctx); err != nil {
			return err
		}
	}
}

// When a client comes back. Each step is one connection: how long its session
// lasts before the gateway's last line ("refused" when there is no session,
// "" when it hangs up), and after how long the client connects again, with the
// jitter at its half. Cached and fresh is what the token source is asked for.
func TestComingBack(t *testing.T) {
	const (
		refused = time.Duration(-1) // the last line answers AUTH
		hour    = time.Hour + 150*time.Second
		s       = time.Second
	)
	type step struct {
		lasts time.Duration
		last  string
		then  time.Duration
		asked string // by the next connection
	}
	for name, steps := range map[string][]step{
		"retry: full jitter, 1 s doubling to 5 min": {
			{refused, "BYE auth_timeout action=retry :", s / 2, "cached"},
			{refused, "BYE auth_timeout action=retry :", 1 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 2 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 4 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 8 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 16 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 32 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 64 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 128 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 150 * s, "cached"},
			{refused, "BYE auth_timeout action=retry :", 150 * s, "cached"},
		},
		"without a BYE: like retry": {
			{refused, "", s / 2, "cached"},
			{5 * s, "", 1 * s, "cached"},
		},
		"an action that is not known, or none given: like retry": {
			{5 * s, "BYE x action=dance :", s / 2, "cached"},
			{5 * s, "BYE x :", 1 * s, "cached"},
		},
		"reset after a minute of session": {
			{5 * s, "BYE idle_timeout action=retry :", s / 2, "cached"},
			{59 * s, "BYE idle_timeout action=retry :", 1 * s, "cached"},
			{60 * s, "BYE idle_timeout action=retry :", s / 2, "cached"},
			{5 * s, "BYE idle_timeout action=retry :", 1 * s, "cached"},
		},
		"never before retry_after, and up to 1 s more": {
			{5 * s, "BYE draining action=retry retry_after=20 :", 20*s + s/2, "cached"},
			{5 * s, "BYE draining action=retry retry_after=1 :", 1*s + s/2, "cached"},
			{5 * s, "BYE draining action=retry retry_after=1 :", 2 * s, "cached"}, // the back-off is longer
			{refused, "BYE invalid_token action=reauth retry_after=6 :", 6*s + s/2, "fresh"},
			{refused, "BYE invalid_request action=fix retry_after=7200 :", 7200*s + s/2, "cached"},
		},
		"retry_after is believed for a day": {
			{5 * s, "BYE draining action=retry retry_after=999999999 :", 24*time.Hour + s/2, "cached"},
		},
		"reauth: at once, then like retry": {
			{refused, "BYE invalid_token action=reauth :", 0, "fresh"},
			{refused, "BYE invalid_token action=reauth :", s / 2, "fresh"},
			{refused, "BYE invalid_token action=reauth :", 1 * s, "fresh"},
			{5 * s, "BYE token_revoked action=reauth :", 2 * s, "fresh"},
			{60 * s, "BYE token_expired action=reauth :", 0, "fresh"},
			{5 * s, "BYE idle_timeout action=retry :", s / 2, "cached"},
			{5 * s, "BYE key_removed action=reauth :", 1 * s, "fresh"},
		},
		"fix: an hour and up to 5 min": {
			{refused, "BYE insufficient_scope action=fix :", hour, "cached"},
			{refused, "BYE insufficient_scope action=fix :", hour, "cached"},
		},
		"none: the same; no action means never": {
			{600 * s, "BYE replaced action=none :", hour, "cached"},
			{600 * s, "BYE replaced action=none :", hour, "cached"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				tokens := &numbered{}
				ctx, cancel := context.WithCancel(t.Context())
				over := make(chan error, 1)
				go func() { over <- client.Run(ctx, g.config(tokens), untilOver) }()
				asked := []string{"cached"}
				p := g.accept()
				for _, step := range steps {
					if _, err := p.r.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
					if step.lasts != refused {
						p.talk("S: OK AUTH idle_timeout=30")
						p.serveUntil(step.lasts, step.last)
					} else {
						p.end(step.last)
					}
					ended := time.Now()
					p = g.accept()
					if waited := time.Since(ended); waited != step.then {
						t.Errorf("after %q: waited %v, want %v", step.last, waited, step.then)
					}
					asked = append(asked, step.asked)
				}
				tokens.wantAsked(t, asked...)
				cancel()
				if err := <-over; !errors.Is(err, context.Canceled) {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// A token that cannot be had is tried again like retry, and remains a fresh one
// when that was wanted.
func TestRunWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		tokens := &numbered{fails: 2}
		cfg := g.config(tokens)
		var waits []client.Wait
		cfg.Hooks.Waiting = func(w client.Wait) { waits = append(waits, w) }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go client.Run(ctx, cfg, untilOver)

		p := g.accept()
		g.at(1500 * time.Millisecond)
		p.talk("C: AUTH token.1.x")
		tokens.mu.Lock()
		tokens.fails = 1
		tokens.mu.Unlock()
		p.end("BYE invalid_token action=reauth :")
		p = g.accept()
		p.talk("C: AUTH token.2.x")
		tokens.wantAsked(t, "cached", "cached", "cached", "fresh", "fresh")

		var told []string
		for _, w := range waits {
			told = append(told, w.Action.String()+" "+w.For.String())
			if w.Renewal {
				t.Errorf("%+v is no renewal", w)
			}
		}
		want := []string{"retry 500ms", "retry 1s", "reauth 0s", "retry 2s"}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if !errors.Is(waits[0].Err, errIssuerDown) || !strings.Contains(waits[2].Err.Error(), "invalid_token") {
			t.Errorf("told %+v", waits)
		}
	})
}

// What session returns decides: the end of its Conn means again, nil and
// anything else are returned.
func TestRunReturns(t *testing.T) {
	errOwn := errors.New("the program's own")
	for name, test := range map[string]struct{ returned, want error }{
		"nil":               {nil, nil},
		"its own error":     {errOwn, errOwn},
		"another one's End": {&client.End{Action: wire.Fix}, &client.End{Action: wire.Fix}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				go func() { g.accept().talk("C: AUTH token.1.x\nS: OK AUTH") }()
				err := client.Run(t.Context(), g.config(&numbered{}), func(context.Context, *client.Conn) error {
					return test.returned
				})
				if err != test.returned {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// A write that fails is not the reason for which a session ended: the BYE is.
func TestRunFollowsTheByeNotTheFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		tokens := &numbered{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go client.Run(ctx, g.config(tokens), func(ctx context.Context, conn *client.Conn) error {
			return conn.Send(ctx, []byte("nobody takes this"))
		})
		p := g.accept()
		p.talk("C: AUTH token.1.x\nS: OK AUTH")
		<-time.After(10*time.Second + time.Millisecond) // the write timed out
		p.talk("S: BYE token_revoked action=reauth :")
		g.accept().talk("C: AUTH token.2.x")
		g.at(10*time.Second + time.Millisecond)
	})
}

// end says the last line, if any, and hangs up.
func (p *peer) end(last string) {
	p.g.t.Helper()
	if last != "" {
		p.talk("S: " + last)
	}
	p.nc.Close()
}

// serveUntil answers pings for d, then ends the session.
func (p *peer) serveUntil(d time.Duration, last string) {
	p.g.t.Helper()
	_ = p.nc.SetReadDeadline(time.Now().Add(d))
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			break
		}
		if line == "ping\n" {
			_, _ = p.nc.Write([]byte("pong\n"))
		}
	}
	p.end(last)
}
