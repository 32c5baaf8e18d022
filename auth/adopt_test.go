package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// reload has a Remote that is configured otherwise go on where this one is.
func (r *remote) reload(t *testing.T, change func(*auth.RemoteConfig)) {
	t.Helper()
	change(&r.config)
	old := r.Remote
	r.start(t, func(next *auth.Remote) { next.Adopt(old) })
}

// What a reload may change about an issuer, and whether the keys that are there
// are used until the first fetch. Sessions stand either way, and what that fetch
// lacks departs with it.
func TestAdopt(t *testing.T) {
	tests := []struct {
		name   string
		before func(*auth.RemoteConfig)
		change func(*auth.RemoteConfig)
		used   bool
	}{
		{"cooldown", nil, func(c *auth.RemoteConfig) { c.Cooldown = 4 * time.Second }, true},
		{"name", nil, func(c *auth.RemoteConfig) { c.Name = "renamed" }, true},
		{"http is allowed", nil, func(c *auth.RemoteConfig) { c.InsecureHTTP = true }, true},
		{"http is forbidden", func(c *auth.RemoteConfig) { c.InsecureHTTP = true }, func(c *auth.RemoteConfig) { c.InsecureHTTP = false }, false},
		{"jwks_uri", nil, func(c *auth.RemoteConfig) { c.JWKSURI += "?v=2" }, false},
		{"jwks_uri is discovered", nil, func(c *auth.RemoteConfig) { c.JWKSURI = "" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := depart(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) {
					if tt.before != nil {
						tt.before(c)
					}
				})
				d.Fail(authtest.Hang)
				d.reload(t, tt.change)
				d.expect(t, stands, 0)
				if got := d.Current() != nil; got != tt.used {
					t.Errorf("the keys are used: %t, want %t", got, tt.used)
				}
				time.Sleep(time.Second)
				d.replace()
				d.Fail(authtest.Healthy) // the next fetch comes after two cool-downs at most
				time.Sleep(10 * time.Second)
				since := time.Since(d.Status().LastSuccess)
				d.expect(t, leavesIn(time.Minute-since), 1)
				time.Sleep(time.Minute - since - time.Nanosecond)
				d.expect(t, leavesIn(time.Nanosecond), 0)
				time.Sleep(time.Nanosecond)
				d.expect(t, departed, 1)
			})
		})
	}
}

// A departure goes on over a reload, with the time that it has left.
func TestAdoptDeparture(t *testing.T) {
	for name, change := range map[string]func(*auth.RemoteConfig){
		"cooldown": func(c *auth.RemoteConfig) { c.Cooldown = 4 * time.Second },
		"jwks_uri": func(c *auth.RemoteConfig) { c.JWKSURI += "?v=2" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := depart(t, nil)
				d.replace()
				d.fetch(t)
				d.expect(t, leavesIn(time.Minute), 1)
				time.Sleep(20 * time.Second)
				d.reload(t, change)
				d.expect(t, leavesIn(40*time.Second), 0)
				time.Sleep(40 * time.Second)
				d.expect(t, departed, 1)
			})
		})
		t.Run(name+", when it is final and the issuer is away", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := depart(t, nil)
				time.Sleep(time.Hour) // the issuer is well known
				d.replace()
				d.fetch(t)
				time.Sleep(time.Minute)
				d.expect(t, departed, 2)
				time.Sleep(30 * time.Second) // in which its sessions end
				d.Fail(authtest.Hang)
				d.reload(t, change)
				d.expect(t, departed, 0)
			})
		})
		t.Run(name+", and the key comes back", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := depart(t, nil)
				d.replace()
				d.fetch(t)
				d.expect(t, leavesIn(time.Minute), 1)
				d.Republish(d.key)
				d.reload(t, change)
				d.expect(t, stands, 1)
			})
		})
	}
}

// A session may begin on a key that the old Remote published when the new one
// had taken over: it stands.
func TestAdoptRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, nil)
		time.Sleep(5 * time.Minute)
		old := d.Remote
		d.start(t, func(next *auth.Remote) {
			next.Adopt(old)
			d.key = d.Rotate()
			d.mustLogin(t, d.Token(), auth.OK, 3*time.Second)
			d.session = d.identity(t)
			d.Fail(authtest.Hang)
		})
		d.expect(t, stands, 0)
		d.Fail(authtest.Healthy)
		time.Sleep(10 * time.Second)
		d.expect(t, stands, 1) // it was asked about, so it is looked at again
	})
}

// The address that discovery found is adopted with the keys.
func TestAdoptWithoutMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, issuer := discovering(t, nil)
		issuer.spoil(down, nil)
		r.reload(t, func(c *auth.RemoteConfig) { c.Cooldown = 4 * time.Second })
		r.mustLogin(t, r.Token(authtest.SignedBy(r.Rotate())), auth.OK, 5*time.Second)
	})
}

// Another issuer's keys are nobody's business.
func TestAdoptOtherIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := depart(t, nil)
		other := newRemote(t, auth.RemoteConfig{Name: "other", Issuer: "https://other.test", JWKSURI: d.JWKSURL()})
		other.Adopt(d.Remote)
		if other.Current() != nil {
			t.Errorf("%d keys", other.Current().Len())
		}
	})
}
