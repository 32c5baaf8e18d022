package auth_test

import (
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// Issuers are replaced all at once, or not at all.
func TestSetIssuers(t *testing.T) {
	a, b := authtest.New(t), authtest.New(t, authtest.Named("other"))
	v := newVerifier(t, a.Config(), b.Config())
	if err := v.SetIssuers([]auth.IssuerConfig{b.Config()}); err != nil {
		t.Fatal(err)
	}
	if got := outcomeOf(t, v, a.Token()); got != "issuer iss" {
		t.Errorf("after a was removed: %s", got)
	}
	if err := v.SetIssuers([]auth.IssuerConfig{{Name: "broken"}}); err == nil {
		t.Error("a broken configuration was taken")
	}
	if got := outcomeOf(t, v, b.Token()); got != "ok" {
		t.Errorf("after a reload that failed: %s", got)
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	type config = auth.IssuerConfig
	tests := []struct {
		name   string
		change func(*config)
		want   string
	}{
		{"no name", func(c *config) { c.Name = "" }, `auth: issuer "": name: missing`},
		{"no issuer", func(c *config) { c.Issuer = "" }, `auth: issuer "test": issuer: must have 1 to 256 bytes`},
		{"no audience", func(c *config) { c.Audience = nil }, `auth: issuer "test": audience: at least one is needed, and none may be empty`},
		{"audience claim", func(c *config) { c.AudienceClaim = "sub" }, `auth: issuer "test": audience_claim: "sub" is none of aud, client_id, azp`},
		{"symmetric algorithm", func(c *config) { c.Algorithms = []string{"ES256", "HS256"} }, `auth: issuer "test": algorithms: "HS256" is not supported`},
		{"algorithm none", func(c *config) { c.Algorithms = []string{"none"} }, `auth: issuer "test": algorithms: "none" is not supported`},
		{"token type", func(c *config) { c.TokenTypes = []string{"dpop+jwt"} }, `auth: issuer "test": token_types: "dpop+jwt" is none of at+jwt, JWT, none`},
		{"required claim", func(c *config) { c.RequiredClaims = map[string][]string{"a": nil} }, `auth: issuer "test": required_claims: a: no allowed string`},
		{"required scope", func(c *config) { c.RequiredScopes = []string{"a b"} }, `auth: issuer "test": required_scopes: "a b" is no scope`},
		{"leeway", func(c *config) { c.Leeway = 61 * time.Second }, `auth: issuer "test": leeway: must be 0 to 1m0s`},
		{"lifetime", func(c *config) { c.MaxLifetime = -1 }, `auth: issuer "test": max_lifetime: must not be negative`},
		{"keys", func(c *config) { c.Keys = nil }, `auth: issuer "test": no key source`},
	}
	iss := authtest.New(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := iss.Config()
			tt.change(&c)
			if _, err := auth.NewVerifier(auth.Config{Issuers: []config{c}}); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	if _, err := auth.NewVerifier(auth.Config{Issuers: []config{iss.Config(), iss.Config()}}); err == nil {
		t.Error("one issuer twice was taken")
	}
	if _, err := auth.NewVerifier(auth.Config{}); err == nil {
		t.Error("no issuer at all was taken")
	}
}
