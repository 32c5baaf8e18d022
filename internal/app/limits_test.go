package app

import (
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// TestSessionsPerSubject: a device that has as many sessions as it may, over TCP
// and TLS together, is told so, and the operator whose it was; with on_excess:
// replace its oldest session gives way. Another device notices nothing.
func TestSessionsPerSubject(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		r := start(t, func(c *config.Config) { c.Limits.SessionsPerSubject = 1 })
		r.waitReady()
		other := r.dial(!secure)
		other.say("AUTH " + r.issuer.Token(authtest.Sub("other")))
		other.expect("OK AUTH ")
		first := r.login(!secure)
		second := r.dial(secure)
		second.say("AUTH " + r.issuer.Token())
		second.expect("BYE too_many_sessions action=retry retry_after=")
		second.expectEnd()
		if n := r.metric("linegate_auth_attempts_total", `issuer="main"`, `kind="login"`, `outcome="too_many_sessions"`); n != 1 {
			t.Errorf("%v attempts with outcome too_many_sessions", n)
		}
		r.waitFor("logged", func() bool {
			return strings.Contains(r.log.String(), `"outcome":"too_many_sessions"`) &&
				strings.Contains(r.log.String(), `"subject":"`+authtest.Subject+`"`)
		})

		next := *r.cfg
		next.Limits.OnExcess = "replace"
		if err := r.Reload(&next); err != nil {
			t.Fatal(err)
		}
		r.login(secure)
		first.expect("BYE replaced action=none ")
		first.expectEnd()
		other.say("ping")
		other.expect("pong")
		r.waitFor("counted", func() bool {
			return r.metric("linegate_connections_closed_total", `reason="replaced"`) == 1 &&
				r.metric("linegate_connections_closed_total", `reason="too_many_sessions"`) == 1
		})
		if n := r.metric("linegate_sessions_open"); n != 2 {
			t.Errorf("%v sessions are open", n)
		}
	})
}

// TestReloadLimits: sessions that are there when a limit comes stay, and count.
func TestReloadLimits(t *testing.T) {
	r := start(t, nil)
	r.waitReady()
	first, second := r.login(false), r.login(true)
	next := *r.cfg
	next.Limits.SessionsPerSubject = 1
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	third := r.dial(false)
	third.say("AUTH " + r.issuer.Token())
	third.expect("BYE too_many_sessions ")
	for _, d := range []*device{first, second} {
		d.say("ping")
		d.expect("pong")
	}
}

// TestReloadLinesPerSecond: a rate that a reload brings is that of the connections
// that come later.
func TestReloadLinesPerSecond(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		r := start(t, nil)
		r.waitReady()
		before := r.login(secure)
		next := *r.cfg
		next.Session.LinesPerSecond = 10
		if err := r.Reload(&next); err != nil {
			t.Fatal(err)
		}
		after := r.login(secure)
		if took := before.ping(200); took > 15*time.Second { // at that rate 19 s
			t.Errorf("who was there before: 200 lines in %v", took)
		}
		if took := after.ping(30); took < 1900*time.Millisecond { // one second's may come at once
			t.Errorf("who came later: 30 lines in %v", took)
		}
	})
}

// ping sends n of them at once, and returns how long the answers took.
func (d *device) ping(n int) time.Duration {
	d.t.Helper()
	begun := time.Now()
	d.say(strings.Repeat("ping\n", n-1) + "ping")
	for range n {
		d.expect("pong\n")
	}
	return time.Since(begun)
}

// TestMoreThanTheFileLimit: a limit of connections that the descriptors do not bear
// is lowered, and the operator is told so, at the start and at a reload.
func TestMoreThanTheFileLimit(t *testing.T) {
	const many = 1 << 30
	r := start(t, func(c *config.Config) { c.Limits.Connections = many })
	for n := 1; ; n++ {
		if limit := r.metric("linegate_connections_limit"); limit < 1 || limit > 1<<20 {
			t.Errorf("the limit is %v", limit)
		}
		r.waitFor("told", func() bool {
			return strings.Count(r.log.String(), `limits.connections is more than the file limit allows","configured":1073741824,"in_force":`) == n
		})
		if n == 2 {
			break
		}
		next := *r.cfg
		if err := r.Reload(&next); err != nil {
			t.Fatal(err)
		}
	}
}
