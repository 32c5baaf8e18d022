package auth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/mint"
)

// departing is an issuer with a session on its first key. The removal grace is
// a minute, so a departure is confirmed half a minute after it.
type departing struct {
	remote
	key     *mint.Key
	session *auth.Identity
	reviews atomic.Int64 // calls of Changed since the last expect
}

func depart(t *testing.T, change func(*authtest.Issuer, *auth.RemoteConfig)) *departing {
	t.Helper()
	d := new(departing)
	d.remote = run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
		c.RemovalGrace = time.Minute
		c.Changed = func() { d.reviews.Add(1) }
		if change != nil {
			change(iss, c)
		}
	})
	d.key, d.session = d.SigningKey(), d.identity(t)
	return d
}

// identity logs in.
func (r remote) identity(t *testing.T, changes ...authtest.Change) *auth.Identity {
	t.Helper()
	identity, err := r.v.Verify(t.Context(), r.Token(changes...), auth.Proof{})
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// fetch makes the Remote fetch when the cool-down is over, as a login with an
// unknown key does.
func (r remote) fetch(t *testing.T) {
	t.Helper()
	time.Sleep(3 * time.Second)
	r.mustLogin(t, r.Token(authtest.SignedBy(r.NewKey())), auth.UnknownKey, 0)
}

// replace has the issuer publish another key instead of the session's.
func (d *departing) replace() { d.Remove(d.key.ID); d.Rotate() }

// expect checks how the session stands, and how often a review was asked for
// since the last expect.
func (d *departing) expect(t *testing.T, want auth.Standing, reviews int64) {
	t.Helper()
	synctest.Wait()
	if got := d.v.Standing(d.session); got != want {
		t.Errorf("after %v: standing %v, want %v", time.Since(d.session.IssuedAt), got, want)
	}
	if got := d.reviews.Swap(0); got != reviews {
		t.Errorf("after %v: %d reviews, want %d", time.Since(d.session.IssuedAt), got, reviews)
	}
}

var (
	stands   = auth.Standing{}
	departed = auth.Standing{State: auth.Departed, Grace: time.Minute}
)

func leavesIn(grace time.Duration) auth.Standing {
	return auth.Standing{State: auth.Departing, Grace: grace}
}

// The life of a departure: it begins with the first set that lacks the key, is
// confirmed half the grace later, and is final when the grace is over.
func TestDeparture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer // written by Run, read while that waits
		d := depart(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) {
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		token := d.Token()
		d.replace()
		d.expect(t, stands, 0) // not yet noticed
		d.fetch(t)
		d.expect(t, leavesIn(time.Minute), 1)
		d.mustLogin(t, token, auth.UnknownKey, 3*time.Second) // after a look at a newer set
		d.expect(t, leavesIn(57*time.Second), 0)

		fetches := d.Fetches()
		time.Sleep(27*time.Second - time.Nanosecond)
		synctest.Wait()
		if n := d.Fetches() - fetches; n != 0 {
			t.Errorf("%d fetches before one can confirm it", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := d.Fetches() - fetches; n != 1 {
			t.Errorf("%d fetches to confirm it", n)
		}
		time.Sleep(30*time.Second - time.Nanosecond)
		d.expect(t, leavesIn(time.Nanosecond), 0)
		time.Sleep(time.Nanosecond)
		d.expect(t, departed, 1)
		time.Sleep(48 * time.Hour)
		d.expect(t, departed, 0)

		for _, message := range []string{"keys left the set", "keys removed"} {
			if want := fmt.Sprintf(`msg=%q issuer=test kids="[\"test-1\"]"`, message); strings.Count(log.String(), want) != 1 {
				t.Errorf("want one %s in\n%s", want, log.String())
			}
		}
	})
}

// What it takes for a key to leave: it is a key, not an entry, that sessions
// stand on, and it must be one that can verify.
func TestDepartureOfWhat(t *testing.T) {
	type jwk = map[string]any
	tests := []struct {
		name   string
		listed func(key, other *mint.Key) []jwk
		leaves bool
	}{
		{"listed as before", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(nil)} }, false},
		{"under another kid", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(one("kid", "renamed"))} }, false},
		{"without kid", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(one("kid", nil))} }, false},
		{"for another algorithm of its type", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(one("alg", "PS256"))} }, false},
		{"for any algorithm", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(one("alg", nil))} }, false},
		{"beside another", func(k, o *mint.Key) []jwk { return []jwk{k.JWK(nil), o.JWK(nil)} }, false},

		{"not listed", func(_, _ *mint.Key) []jwk { return nil }, true},
		{"another under its kid", func(k, o *mint.Key) []jwk { return []jwk{o.JWK(one("kid", k.ID))} }, true},
		{"beside another with its kid", func(k, o *mint.Key) []jwk { return []jwk{k.JWK(nil), o.JWK(one("kid", k.ID))} }, true},
		{"for encryption", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(one("use", "enc"))} }, true},
		{"for an algorithm of another type", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(one("alg", "ES256"))} }, true},
		{"with a private member", func(k, _ *mint.Key) []jwk { return []jwk{k.JWK(one("d", "AQAB"))} }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, other := newKey(t, "RS256", "k1"), newKey(t, "RS256", "k2")
				d := depart(t, func(iss *authtest.Issuer, _ *auth.RemoteConfig) { iss.Republish(key) })
				c := d.Config()
				c.Algorithms, c.Keys = []string{"RS256"}, d.Remote
				rs := remote{Issuer: d.Issuer, v: newVerifier(t, c)}
				d.session = rs.identity(t, authtest.SignedBy(key))
				d.Remove(key.ID)
				for _, jwk := range tt.listed(key, other) {
					d.PublishJWK(jwk)
				}
				d.fetch(t)
				if tt.leaves {
					d.expect(t, leavesIn(time.Minute), 1)
				} else {
					d.expect(t, stands, 0)
				}
			})
		})
	}
}

// Without a grace a departure is final as soon as it is confirmed, after a
// cool-down.
func TestDepartureWithoutGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.RemovalGrace = 0 })
		d.replace()
		d.fetch(t)
		d.expect(t, leavesIn(0), 1)
		time.Sleep(3*time.Second - time.Nanosecond)
		d.expect(t, leavesIn(0), 0)
		time.Sleep(time.Nanosecond)
		d.expect(t, auth.Standing{State: auth.Departed}, 1)
	})
}

// The fetch that confirms a departure keeps to the cool-down, too.
func TestDepartureConfirmedAfterCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, nil)
		d.replace()
		d.fetch(t)
		time.Sleep(26 * time.Second)
		d.fetch(t) // a second before half the grace is over
		before := d.Fetches()
		time.Sleep(3*time.Second - time.Nanosecond)
		synctest.Wait()
		if n := d.Fetches() - before; n != 0 {
			t.Errorf("%d fetches within the cool-down", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := d.Fetches() - before; n != 1 {
			t.Errorf("%d fetches after the cool-down", n)
		}
	})
}

// Each key has its own departure, also when they come every two seconds, and
// the fetches that confirm them keep to the cool-down.
func TestDepartureOfOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.Cooldown = time.Second })
		begin := time.Now()
		type session struct {
			*auth.Identity
			left time.Time // its key, at the latest
		}
		var sessions []session
		for range 60 {
			old := d.session
			time.Sleep(2 * time.Second)
			d.key = d.SigningKey()
			d.replace()
			d.session = d.identity(t)
			sessions = append(sessions, session{old, time.Now()})
		}
		for i, s := range sessions {
			want := departed
			if since := time.Since(s.left); since < time.Minute {
				want = leavesIn(time.Minute - since)
			}
			if got := d.v.Standing(s.Identity); got != want {
				t.Errorf("session %d: %v, want %v", i, got, want)
			}
		}
		if n, allowed := d.Fetches(), int(time.Since(begin)/time.Second)+1; n > allowed {
			t.Errorf("%d fetches, allowed %d", n, allowed)
		}
	})
}

// A session can be older than the Remote, and on a key that no set here had: it
// stands until the first set, departs with that, and the next ordinary fetch
// confirms it.
func TestDepartureWithFirstSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, nil)
		d.Fail(authtest.Status)
		d.start(t, func(*auth.Remote) {})
		d.expect(t, stands, 0)
		d.replace()
		d.Fail(authtest.Healthy)
		time.Sleep(30 * time.Second) // ten cool-downs at most
		since := time.Since(d.Status().LastSuccess)
		d.expect(t, leavesIn(time.Minute-since), 1)
		time.Sleep(5*time.Minute - since)
		d.expect(t, departed, 1)
	})
}

// What Changed does holds up no fetch, and whatever happens meanwhile is one
// call more.
func TestChangedTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *departing
		slow := make(chan struct{})
		d = depart(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) {
			c.Changed = func() { d.reviews.Add(1); <-slow }
		})
		for range 5 {
			d.Remove(d.SigningKey().ID)
			d.Rotate()
			d.mustLogin(t, d.Token(), auth.OK, 3*time.Second)
		}
		d.expect(t, leavesIn(48*time.Second), 1)
		close(slow)
		d.expect(t, leavesIn(48*time.Second), 1)
	})
}
