package app

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// TestRenewal: what each kind of re-AUTH is answered, and what it leaves of the
// session, whose token has two scopes and an hour to live. Whatever it is, the
// session goes on.
func TestRenewal(t *testing.T) {
	scope := func(words string) authtest.Change { return authtest.Claim("scope", words) }
	const (
		first    = time.Hour
		rights   = authtest.Scope + " line:extra"
		ok       = "OK AUTH v=1 sub=device "
		refused  = "ERR invalid_token for=auth action=reauth\n"
		mismatch = "ERR identity_mismatch for=auth action=fix\n"
	)
	for _, tt := range []struct {
		name    string
		by      string // the issuer; main unless said
		token   []authtest.Change
		exp     time.Duration // from when it is sent; an hour unless said
		line    string        // in place of a token's
		answer  string
		outcome auth.Outcome
		life    time.Duration // it has after it
		rights  string
	}{
		{name: "the same identity, a longer life", token: []authtest.Change{scope(rights)}, exp: 2 * time.Hour, answer: ok, life: 2 * time.Hour, rights: rights},
		{name: "the same identity, a shorter life", token: []authtest.Change{scope(rights)}, exp: time.Minute, answer: ok, life: time.Minute, rights: rights},
		{name: "the same identity, fewer rights", answer: ok, life: first, rights: authtest.Scope},
		{name: "the same token", line: "AUTH SAME", answer: ok, life: first, rights: rights},
		{name: "another subject", token: []authtest.Change{authtest.Sub("other")}, answer: mismatch, outcome: auth.Mismatch, life: first, rights: rights},
		{name: "another issuer, the same subject", by: "second", answer: mismatch, outcome: auth.Mismatch, life: first, rights: rights},
		{name: "without a required scope", token: []authtest.Change{scope("line:extra")}, answer: "ERR insufficient_scope for=auth action=fix\n", outcome: auth.Scope, life: first, rights: rights},
		{name: "expired", exp: -time.Second, answer: refused, outcome: auth.Expired, life: first, rights: rights},
		{name: "forged", token: []authtest.Change{authtest.ForgedBy(forger)}, answer: refused, outcome: auth.Signature, life: first, rights: rights},
		{name: "garbage", line: "AUTH x.y.z", answer: refused, outcome: auth.Format, life: first, rights: rights},
		{name: "malformed", line: "AUTH x y", answer: "ERR invalid_request for=auth action=fix\n", outcome: auth.Format, life: first, rights: rights},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, secure bool) {
				var second *authtest.Issuer
				r := start(t, func(c *config.Config) { second = withSecond(t, c) })
				r.waitFor("both issuers' keys are", func() bool { return r.metric("linegate_jwks_keys") == 2 })
				token := r.issuer.Token(authtest.Sub("device"), authtest.ExpiresIn(first), scope(rights))
				d := r.dial(secure)
				d.say("AUTH " + token)
				d.expect(ok)
				s := r.sessions.Sessions()[0]

				issuer, line := r.issuer, strings.Replace(tt.line, "SAME", token, 1)
				if tt.by == second.Name {
					issuer = second
				}
				if line == "" {
					line = "AUTH " + issuer.Token(append([]authtest.Change{
						authtest.Sub("device"), authtest.ExpiresIn(cmp.Or(tt.exp, first)),
					}, tt.token...)...)
				}
				d.say(line)
				if answer := d.expect(tt.answer); strings.HasPrefix(answer, "OK ") && !strings.Contains(answer, " session="+s.ID()+" ") {
					t.Errorf("the session has another id: %s", answer)
				}
				if n := r.metric("linegate_auth_attempts_total", `kind="renewal"`, `outcome="`+tt.outcome.String()+`"`); n != 1 {
					t.Errorf("%v renewals with outcome %v", n, tt.outcome)
				}
				d.say("a message\nping")
				d.expect("from server: a message\n")
				d.expect("pong\n")
				identity := s.Identity()
				if identity.Issuer != r.issuer.URL || identity.Subject != "device" || !slices.Equal(identity.Scopes, strings.Fields(tt.rights)) {
					t.Errorf("it is %s of %s with %q now", identity.Subject, identity.Issuer, identity.Scopes)
				}
				if left := time.Until(s.Expires()); left > tt.life || left < tt.life-30*time.Second {
					t.Errorf("it lives for %v now, not %v", left, tt.life)
				}
			})
		})
	}
}

// TestRenewalPipelined: lines before and after a re-AUTH in one packet are
// answered in order, those behind it after it.
func TestRenewalPipelined(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		r := start(t, nil)
		r.waitReady()
		d := r.dial(secure)
		d.say("AUTH " + r.issuer.Token() + "\none\nping\nAUTH " + r.issuer.Token() + "\ntwo\nping\nAUTH x y\nthree\nping")
		for _, answer := range []string{
			"OK AUTH v=1 ", "from server: one\n", "pong\n",
			"OK AUTH v=1 ", "from server: two\n", "pong\n",
			"ERR invalid_request for=auth action=fix\n", "from server: three\n", "pong\n",
		} {
			d.expect(answer)
		}
	})
}

// TestRenewalFlood: of a thousand re-AUTHs at once, one a second is checked, the
// first at once, because the AUTH that opened the session does not count. The
// others are told so, and the session lives.
func TestRenewalFlood(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		r := start(t, nil)
		r.waitReady()
		d := r.login(secure)
		const flood = 1000
		began := time.Now()
		go say(d, strings.Repeat("AUTH "+r.issuer.Token()+"\n", flood)+"ping\n")
		d.expect("OK AUTH v=1 ")
		limited := 0
		for range flood - 1 {
			if line := d.expect(""); line == "ERR rate_limited for=auth action=retry retry_after=1\n" {
				limited++
			} else if !strings.HasPrefix(line, "OK AUTH v=1 ") {
				t.Fatalf("got %q", line)
			}
		}
		d.expect("pong\n")
		if checked, seconds := flood-limited, int(time.Since(began)/time.Second); checked > 1+seconds {
			t.Errorf("%d were checked in %d s", checked, seconds)
		}
		if n := r.metric("linegate_auth_attempts_total", `kind="renewal"`, `outcome="rate_limited"`); n != float64(limited) {
			t.Errorf("%v are counted, %d were told", n, limited)
		}
	})
}
