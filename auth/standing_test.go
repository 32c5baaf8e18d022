package auth_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// two is a verifier of two issuers, with a session of the first, a. Its removal
// grace is a minute.
type two struct {
	*auth.Verifier
	a, b    auth.IssuerConfig
	session *auth.Identity
	changes atomic.Int64 // calls of Changed since the last expect
}

func twoIssuers(t *testing.T, revocations *auth.Revocations) *two {
	t.Helper()
	a, b := authtest.New(t, authtest.Named("a")), authtest.New(t, authtest.Named("b"))
	v := &two{a: a.Config(), b: b.Config()}
	v.a.RemovalGrace = time.Minute
	var err error
	v.Verifier, err = auth.NewVerifier(auth.Config{
		Issuers: []auth.IssuerConfig{v.a, v.b}, Revocations: revocations, Changed: func() { v.changes.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if v.session, err = v.Verify(t.Context(), a.Token(), auth.Proof{}); err != nil {
		t.Fatal(err)
	}
	return v
}

// use reloads with these issuers.
func (v *two) use(t *testing.T, issuers ...auth.IssuerConfig) {
	t.Helper()
	if err := v.SetIssuers(issuers); err != nil {
		t.Fatal(err)
	}
}

// expect checks the session's standing, and how often Changed was called since
// the last time.
func (v *two) expect(t *testing.T, want auth.Standing, changes int64) {
	t.Helper()
	synctest.Wait()
	if got, n := v.Standing(v.session), v.changes.Swap(0); got != want || n != changes {
		t.Errorf("%v and %d changes, want %v and %d", got, n, want, changes)
	}
}

// The sessions of an issuer that a reload removes are treated as if their key
// had been removed, and there is nothing for a second fetch to confirm.
func TestStandingOfRemovedIssuer(t *testing.T) {
	tests := []struct {
		name string
		then func(t *testing.T, v *two)
	}{
		{"other issuers stay as they are", func(t *testing.T, v *two) {
			v.use(t, v.a)
			v.expect(t, stands, 0)
			time.Sleep(time.Hour)
			v.expect(t, stands, 0)
		}},
		{"it is away for good", func(t *testing.T, v *two) {
			v.use(t, v.b)
			v.expect(t, leavesIn(time.Minute), 0)
			time.Sleep(time.Minute - time.Nanosecond)
			v.expect(t, leavesIn(time.Nanosecond), 0)
			time.Sleep(time.Nanosecond)
			v.expect(t, departed, 1)
			time.Sleep(time.Hour)
			v.expect(t, departed, 0)
		}},
		{"other reloads do not lengthen its grace", func(t *testing.T, v *two) {
			v.use(t, v.b)
			time.Sleep(30 * time.Second)
			v.use(t, v.b)
			v.expect(t, leavesIn(30*time.Second), 0)
			time.Sleep(30 * time.Second)
			v.expect(t, departed, 1)
			v.use(t, v.b)
			time.Sleep(59 * time.Second)
			v.expect(t, departed, 0)
		}},
		{"long after, nobody remembers it", func(t *testing.T, v *two) {
			v.use(t, v.b)
			time.Sleep(time.Hour)
			v.use(t, v.b)
			v.expect(t, auth.Standing{State: auth.Departed}, 1)
		}},
		{"it comes back in time", func(t *testing.T, v *two) {
			v.use(t, v.b)
			time.Sleep(30 * time.Second)
			v.use(t, v.a, v.b)
			v.expect(t, stands, 0)
		}},
		{"it comes back later", func(t *testing.T, v *two) {
			v.use(t, v.b)
			time.Sleep(time.Hour)
			v.use(t, v.a)
			v.expect(t, stands, 1)
		}},
		{"it comes back, and goes again", func(t *testing.T, v *two) {
			v.use(t, v.b)
			time.Sleep(30 * time.Second)
			v.use(t, v.a, v.b)
			v.use(t, v.b)
			v.expect(t, leavesIn(time.Minute), 0)
		}},
		{"without a grace", func(t *testing.T, v *two) {
			v.a.RemovalGrace = 0
			v.use(t, v.a, v.b)
			v.use(t, v.b)
			v.expect(t, auth.Standing{State: auth.Departed}, 0)
		}},
		{"another name is no other issuer", func(t *testing.T, v *two) {
			v.a.Name = "renamed"
			v.use(t, v.a, v.b)
			v.expect(t, stands, 0)
		}},
		{"a reload that fails removes nothing", func(t *testing.T, v *two) {
			v.b.Audience = nil
			if err := v.SetIssuers([]auth.IssuerConfig{v.b}); err == nil {
				t.Error("no audience, and no error")
			}
			v.expect(t, stands, 0)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.then(t, twoIssuers(t, nil)) })
		})
	}
}

// A revocation goes before anything that keys and issuers say.
func TestStandingOfRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked auth.Revocations
		v := twoIssuers(t, &revoked)
		all := auth.Revocation{Issuer: v.session.Issuer, Subject: v.session.Subject}
		if err := revoked.Add(all); err != nil {
			t.Fatal(err)
		}
		v.expect(t, auth.Standing{State: auth.Withdrawn}, 0)
		v.use(t, v.b)
		v.expect(t, auth.Standing{State: auth.Withdrawn}, 0)
		revoked.Remove(all)
		v.expect(t, leavesIn(time.Minute), 0)
	})
}

// Keys that never change always stand. Others in their place are no mistake of
// a fetch.
func TestStandingOfStaticKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := twoIssuers(t, nil)
		keys := v.a.Keys.Current()
		v.a.Keys = auth.StaticKeys(keys)
		v.use(t, v.a)
		v.expect(t, stands, 0)
		time.Sleep(365 * 24 * time.Hour)
		v.expect(t, stands, 0)
		for _, others := range []*auth.KeySet{v.b.Keys.Current(), nil} {
			v.a.Keys = auth.StaticKeys(others)
			v.use(t, v.a)
			v.expect(t, auth.Standing{State: auth.Departed}, 0)
		}
	})
}
