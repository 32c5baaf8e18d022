package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// A key that any fetch brings back before the end has not left.
func TestDepartureCancelled(t *testing.T) {
	for name, back := range map[string]time.Duration{
		"before the confirming fetch": 10 * time.Second,
		"after the confirming fetch":  50 * time.Second,
		"when its grace was over":     70 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := depart(t, nil)
				d.replace()
				d.fetch(t)
				time.Sleep(back)
				d.Republish(d.key)
				synctest.Wait()
				d.v.Standing(d.session) // as each review asks
				d.reviews.Store(0)
				d.fetch(t)
				d.expect(t, stands, 1)
				time.Sleep(time.Hour)
				d.expect(t, stands, 0)
			})
		})
	}
}

// One wrong document drops nobody, however often it is fetched before half the
// grace is over. Each time that a key leaves, it does so anew.
func TestDepartureByWrongDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, nil)
		other := d.NewKey()
		for range 3 {
			d.Remove(d.key.ID)
			d.Republish(other)
			d.fetch(t)
			d.expect(t, leavesIn(time.Minute), 1)
			for range 8 {
				d.fetch(t)
			}
			d.expect(t, leavesIn(36*time.Second), 0)
			d.Remove(other.ID)
			d.Republish(d.key)
			time.Sleep(6 * time.Second) // the confirming fetch
			d.expect(t, stands, 1)
		}
	})
}

// Only another good set confirms that a key left: an issuer that fails in any
// way drops nobody, not even when all its keys are stale.
func TestDepartureNotConfirmedByFailure(t *testing.T) {
	for _, failure := range authtest.Failures() {
		for name, back := range map[string]bool{"then without the key": false, "then with the key": true} {
			t.Run(failure.String()+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := depart(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.MaxStale = 20 * time.Minute })
					d.replace()
					d.fetch(t)
					d.expect(t, leavesIn(time.Minute), 1)
					d.Fail(failure)
					time.Sleep(30 * time.Minute)
					d.expect(t, leavesIn(0), 0)
					if d.Current() != nil {
						t.Error("keys that are not stale")
					}
					if back {
						d.Republish(d.key)
					}
					d.Fail(authtest.Healthy)
					time.Sleep(5 * time.Minute)
					if back {
						d.expect(t, stands, 1)
					} else {
						d.expect(t, departed, 1)
					}
				})
			})
		}
	}
}

// An outage alone, beyond max_stale too, changes no standing.
func TestStandingInOutage(t *testing.T) {
	for _, failure := range authtest.Failures() {
		t.Run(failure.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := depart(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.MaxStale = 20 * time.Minute })
				d.Fail(failure)
				time.Sleep(30 * time.Minute)
				d.expect(t, stands, 0)
				d.mustLogin(t, d.Token(), auth.KeysUnavailable, 9*time.Second) // nobody new gets in
			})
		})
	}
}
