package client_test

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/client"
	"github.com/linegate/linegate/wire"
)

// Renewal in band. The jitter is always half of what it may be. An idle time
// of 3,000 s and no pings keep the dialogues to the matter.
func TestRenewal(t *testing.T) {
	const ok = "OK AUTH idle_timeout=30000 expires_in=300 reauth_in=240"
	for name, test := range map[string]struct {
		ok       string // instead of the one above
		fails    int    // failures of the token source at the first renewal
		dialogue string
		asked    []string
	}{
		"at reauth_in, again and again": {dialogue: `
			C: AUTH token.2.x
			+4m0s
			S: OK AUTH idle_timeout=30000 reauth_in=100
			C: AUTH token.3.x
			+1m40s`, asked: []string{"cached", "fresh", "fresh"}},
		"NOTICE reauth: at once, with a fresh token": {dialogue: `
			S: NOTICE reauth expires_in=30
			C: AUTH token.2.x
			+0s
			S: OK AUTH idle_timeout=30000 reauth_in=240
			C: AUTH token.3.x
			+4m0s`, asked: []string{"cached", "fresh", "fresh"}},
		"the gateway refuses the token: at once a fresh one, then back-off": {dialogue: `
			C: AUTH token.2.x
			S: ERR invalid_token for=auth action=reauth
			C: AUTH token.3.x
			+1s
			S: ERR invalid_token for=auth action=reauth
			C: AUTH token.4.x
			+1s
			S: ERR invalid_token for=auth action=reauth
			C: AUTH token.5.x
			+1s
			S: ERR invalid_token for=auth action=reauth
			C: AUTH token.6.x
			+2s`, asked: []string{"cached", "fresh", "fresh", "fresh", "fresh", "fresh"}},
		"retry: the same token again, not before retry_after and up to 1 s": {dialogue: `
			C: AUTH token.2.x
			S: ERR temporarily_unavailable for=auth action=retry retry_after=7
			C: AUTH token.2.x
			+7.5s
			S: OK AUTH idle_timeout=30000 reauth_in=240
			C: AUTH token.3.x
			+4m0s`, asked: []string{"cached", "fresh", "cached", "fresh"}},
		"fix: after an hour": {dialogue: `
			C: AUTH token.2.x
			S: ERR identity_mismatch for=auth action=fix
			C: AUTH token.2.x
			+1h2m30s`, asked: []string{"cached", "fresh", "cached"}},
		"an ERR for a message is no answer to AUTH": {dialogue: `
			C: AUTH token.2.x
			S: ERR backend_unavailable for=message action=retry
			S: OK AUTH idle_timeout=30000 reauth_in=100
			C: AUTH token.3.x
			+1m40s`, asked: []string{"cached", "fresh", "fresh"}},
		// 240 s, then waits of 0.5, 1 and 2 s, of which the first is drawn
		// out to the least time between two attempts.
		"the issuer is down for a while": {fails: 3, dialogue: `
			S: NOTICE x
			C: AUTH token.2.x
			+4m4s
			S: OK AUTH idle_timeout=30000`, asked: []string{"cached", "fresh", "fresh", "fresh", "fresh"}},
		// Waits of 1, 1, 2, 4, 8 and 16 s, and then half of what is left: 14 and 7 s,
		// where 32 would be more than all of it.
		"no wait is longer than the session": {fails: 8, dialogue: `
			S: NOTICE x
			C: AUTH token.2.x
			+4m53s`, asked: failing(8)},
		"no wait is longer than NOTICE reauth says": {ok: "OK AUTH idle_timeout=30000 expires_in=3600 reauth_in=2790", fails: 8, dialogue: `
			S: NOTICE reauth expires_in=60
			C: AUTH token.2.x
			+53s`, asked: failing(8)},
		"the session's end is not known: waits of up to 64 s": {ok: "OK AUTH idle_timeout=30000 reauth_in=240", fails: 8, dialogue: `
			S: NOTICE x
			C: AUTH token.2.x
			+6m8s`, asked: failing(8)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGateway(t)
				tokens := &numbered{}
				cfg := g.config(tokens)
				cfg.PingEvery = 10000 * time.Second
				conn, p := open(t, g, cfg, cmp.Or(test.ok, ok))
				consume(conn)
				tokens.mu.Lock()
				tokens.fails = test.fails
				tokens.mu.Unlock()
				p.talk(test.dialogue)
				tokens.wantAsked(t, test.asked...)
			})
		})
	}
}

// failing is what a token source is asked for that fails n times.
func failing(n int) []string {
	return append([]string{"cached"}, slices.Repeat([]string{"fresh"}, n+1)...)
}

// A session whose token source has nothing newer says so and sends nothing:
// the same token again would be answered OK and extend nothing.
func TestRenewalWithTheSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		cfg := g.config(client.FixedToken("token.1.x"))
		waits := make(chan client.Wait, 10)
		cfg.Hooks.Waiting = func(w client.Wait) { waits <- w }
		conn, p := open(t, g, cfg, "OK AUTH idle_timeout=30 expires_in=10 reauth_in=8")
		over := consume(conn)
		w := <-waits
		g.at(8 * time.Second)
		if !w.Renewal || w.Action != wire.Retry || w.For != time.Second/2 || w.Err.Error() != "client: the token source has no newer token" {
			t.Errorf("got %+v", w)
		}
		p.talk(`
			C: ping
			S: pong
			S: BYE token_expired action=reauth :the token expired`)
		if end, ok := errors.AsType[*client.End](<-over); !ok || end.Action != wire.Reauth {
			t.Errorf("got %v", end)
		}
	})
}

// A renewal under way does not outlive the session.
func TestCloseDuringRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGateway(t)
		conn, p := open(t, g, g.config(&numbered{}), "OK AUTH reauth_in=5")
		p.talk("C: AUTH token.2.x\n+5s")
		synctest.Wait()
		conn.Close()
	})
}
