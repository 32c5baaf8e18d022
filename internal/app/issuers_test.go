package app

import (
	"slices"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// TestReloadKeepsKeys: how the keys are fetched may change while the issuer is
// away; those that are there go on verifying.
func TestReloadKeepsKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*config.Issuer)
		kept   bool
	}{
		"jwks.cooldown":                   {func(c *config.Issuer) { c.JWKS.Cooldown = 4 * time.Second }, true},
		"jwks.timeout, and another name":  {func(c *config.Issuer) { c.JWKS.Timeout, c.Name = 6*time.Second, "renamed" }, true},
		"insecure_http, now allowed":      {func(c *config.Issuer) { c.InsecureHTTP = true }, true},
		"jwks_uri: other keys altogether": {func(c *config.Issuer) { c.JWKSURI = c.Issuer + "/elsewhere" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			r.waitReady()
			r.issuer.Fail(authtest.Status)
			next := *r.cfg
			next.Issuers = slices.Clone(next.Issuers)
			tt.change(&next.Issuers[0])
			if err := r.Reload(&next); err != nil {
				t.Fatal(err)
			}
			keys := 0.0
			if tt.kept {
				r.login(false)
				keys = 1
			} else {
				d := r.dial(false)
				d.say("AUTH " + r.issuer.Token())
				d.expect("BYE temporarily_unavailable ")
			}
			if got := r.metric("linegate_jwks_keys", `issuer="`+next.Issuers[0].Name+`"`); got != keys {
				t.Errorf("%v keys, want %v", got, keys)
			}
		})
	}
}

// TestReloadForbidsHTTP: keys that may have come over http are not kept when
// insecure_http is taken back.
func TestReloadForbidsHTTP(t *testing.T) {
	r := start(t, func(c *config.Config) { c.Issuers[0].InsecureHTTP = true })
	r.waitReady()
	r.issuer.Fail(authtest.Status)
	next := *r.cfg
	next.Issuers = slices.Clone(next.Issuers)
	next.Issuers[0].InsecureHTTP = false
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	d := r.dial(false)
	d.say("AUTH " + r.issuer.Token())
	d.expect("BYE temporarily_unavailable ")
}
