package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// departing is an issuer whose first key has a session on it. Its removal grace
// is a minute; so a departure is confirmed half a minute after it.
type departing struct {
	remote
	session *auth.Identity
	reviews int // calls of Changed, counted between synctest.Waits
}

func depart(t *testing.T, change func(*authtest.Issuer, *auth.RemoteConfig)) *departing {
	t.Helper()
	d := new(departing)
	d.remote = run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
		c.RemovalGrace = time.Minute
		c.Changed = func() { d.reviews++ }
		if change != nil {
			change(iss, c)
		}
	})
	d.session = d.identity(t)
	d.reviews = 0
	return d
}

// identity logs in.
func (r remote) identity(t *testing.T) *auth.Identity {
	t.Helper()
	identity, err := r.v.Verify(t.Context(), r.Token(), auth.Proof{})
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// fetch makes the Remote fetch now, as a login with an unknown key does.
func (r remote) fetch(t *testing.T) {
	t.Helper()
	time.Sleep(3 * time.Second)
	r.mustLogin(t, r.Token(authtest.SignedBy(r.NewKey())), auth.UnknownKey, 0)
}

// expect checks how the session stands, and how often a review was asked for
// since the last time.
func (d *departing) expect(t *testing.T, want auth.Standing, reviews int) {
	t.Helper()
	synctest.Wait()
	if got := d.v.Standing(d.session); got != want {
		t.Errorf("after %v: standing %v, want %v", time.Since(d.session.IssuedAt), got, want)
	}
	if d.reviews != reviews {
		t.Errorf("after %v: %d reviews, want %d", time.Since(d.session.IssuedAt), d.reviews, reviews)
	}
	d.reviews = 0
}

var (
	stands   = auth.Standing{}
	departed = auth.Standing{State: auth.Departed, Grace: time.Minute}
)

func leaves(in time.Duration) auth.Standing {
	return auth.Standing{State: auth.Departing, Grace: in}
}

// The life of a departure: known with the first set that lacks the key,
// confirmed half the grace later, final when the grace is over.
func TestDeparture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, nil)
		token := d.Token()
		d.Remove(d.session.KeyID)
		d.Rotate()
		d.expect(t, stands, 0) // nobody has noticed

		d.fetch(t)
		d.expect(t, leaves(time.Minute), 1)
		d.mustLogin(t, token, auth.UnknownKey, 3*time.Second) // refused at once, after a look at the latest set
		d.expect(t, leaves(57*time.Second), 0)
		fetches := d.Fetches()
		time.Sleep(27*time.Second - time.Nanosecond)
		synctest.Wait()
		if n := d.Fetches() - fetches; n != 0 {
			t.Errorf("%d fetches before it can be confirmed", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := d.Fetches() - fetches; n != 1 {
			t.Errorf("%d fetches to confirm it", n)
		}
		d.expect(t, leaves(30*time.Second), 0)
		time.Sleep(30*time.Second - time.Nanosecond)
		d.expect(t, leaves(time.Nanosecond), 0)
		time.Sleep(time.Nanosecond)
		d.expect(t, departed, 1)
		time.Sleep(48 * time.Hour)
		d.expect(t, departed, 0)
	})
}
