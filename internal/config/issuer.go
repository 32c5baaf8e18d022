package config

import (
	"slices"
	"strings"
)

// Algorithms are the JWS algorithms that an issuer may be allowed: signatures
// by a private key only.
func Algorithms() []string {
	return []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES256", "ES384", "ES512", "EdDSA", "Ed25519",
	}
}

// maxIdentifier is the length in bytes above which an issuer in a token is
// refused.
const maxIdentifier = 256

func (c *Config) validateIssuers(warn func(key, text string)) error {
	if len(c.Issuers) == 0 {
		return c.refuse("issuers", "none is configured; give --issuer, --audience and --scope, or a file with issuers (--config)")
	}
	names, issuers := unique{}, unique{}
	for n := range c.Issuers {
		i, key := &c.Issuers[n], element("issuers", n)
		if err := first(
			func() error { return c.validateIssuerURLs(key, i) },
			func() error { return c.checkName(child(key, "name"), i.Name) },
			func() error { return names.add(c, child(key, "name"), i.Name) },
			func() error { return issuers.add(c, child(key, "issuer"), i.Issuer) },
			func() error { return c.validateChecks(key, i) },
			func() error { return c.validateScopes(key, i) },
			func() error { return c.validateJWKS(child(key, "jwks"), i.JWKS) },
		); err != nil {
			return err
		}
		for _, loose := range []string{"JWT", "none"} {
			if slices.Contains(i.TokenTypes, loose) && len(i.RequiredClaims) == 0 {
				warn(child(key, "token_types"), loose+" is allowed without required_claims, so an ID token may pass for an access token")
				break
			}
		}
	}
	return nil
}

func (c *Config) validateIssuerURLs(key string, i *Issuer) error {
	at := child(key, "issuer")
	if i.Issuer == "" {
		return c.refuse(at, "is required: the issuer's URL, as its tokens have it in iss")
	}
	u, err := checkURL(i.Issuer, i.InsecureHTTP)
	if err != nil {
		return c.refuse(at, "%w", err)
	}
	if strings.Contains(i.Issuer, "?") { // RFC 8414 section 2
		return c.refuse(at, "an issuer has no query (?)")
	}
	if len(i.Issuer) > maxIdentifier {
		return c.refuse(at, "want at most %d bytes, got %d", maxIdentifier, len(i.Issuer))
	}
	if i.Name == "" {
		i.Name = u.Hostname()
	}
	if i.JWKSURI != "" {
		if _, err := checkURL(i.JWKSURI, i.InsecureHTTP); err != nil {
			return c.refuse(child(key, "jwks_uri"), "%w", err)
		}
	}
	return nil
}

// validateChecks is about what a token is checked against, and what its claims
// are called.
func (c *Config) validateChecks(key string, i *Issuer) error {
	if len(i.Audience) == 0 {
		return c.refuse(child(key, "audience"), "is required: who the tokens are for")
	}
	for _, list := range []struct {
		key    string
		values []string
	}{
		{"audience", i.Audience},
		{"algorithms", i.Algorithms},
		{"token_types", i.TokenTypes},
		{"scope_claims", i.ScopeClaims},
		{"client_id_claims", i.ClientIDClaims},
		{"token_id_claims", i.TokenIDClaims},
	} {
		if err := c.checkList(child(key, list.key), list.values); err != nil {
			return err
		}
	}
	if i.SubjectClaim == "" {
		return c.refuse(child(key, "subject_claim"), "is empty")
	}
	for n, algorithm := range i.Algorithms {
		at := element(child(key, "algorithms"), n)
		if strings.HasPrefix(algorithm, "HS") {
			return c.refuse(at, "%.64q is symmetric, and refused", algorithm)
		}
		if err := c.oneOf(at, algorithm, Algorithms()); err != nil {
			return err
		}
	}
	for n, name := range i.TokenTypes {
		at := element(child(key, "token_types"), n)
		i.TokenTypes[n] = tokenType(name)
		if err := c.oneOf(at, i.TokenTypes[n], []string{"at+jwt", "JWT", "none"}); err != nil {
			return err
		}
	}
	for claim, allowed := range i.RequiredClaims {
		if claim == "" {
			return c.refuse(child(key, "required_claims"), "a claim has no name")
		}
		if err := c.checkList(child(child(key, "required_claims"), claim), allowed); err != nil {
			return err
		}
	}
	return nil
}

// tokenType spells a typ (RFC 7515 section 4.1.9) as the list of them does.
func tokenType(name string) string {
	short := name
	if prefix := "application/"; len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
		short = name[len(prefix):]
	}
	for _, known := range []string{"at+jwt", "JWT"} {
		if strings.EqualFold(short, known) {
			return known
		}
	}
	return name
}

func (c *Config) validateScopes(key string, i *Issuer) error {
	at := child(key, "required_scopes")
	if len(i.RequiredScopes) == 0 && !i.AnyScope {
		return c.refuse(at, "is required: the scopes that a token must have; or set any_scope: true in a file")
	}
	return c.checkScopes(at, i.RequiredScopes)
}

// checkScopes wants scopes as RFC 6749 section 3.3 has them.
func (c *Config) checkScopes(at string, scopes []string) error {
	for n, scope := range scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return c.refuse(element(at, n), "want one scope, without spaces or quotes, got %.64q", scope)
		}
	}
	return nil
}

func (c *Config) validateJWKS(key string, j JWKS) error {
	if j.RefreshInterval < j.Cooldown {
		return c.refuse(child(key, "refresh_interval"), "want at least cooldown, which is %s, got %s",
			formatDuration(j.Cooldown), formatDuration(j.RefreshInterval))
	}
	if j.MaxStale <= j.RefreshInterval {
		return c.refuse(child(key, "max_stale"), "want more than refresh_interval, which is %s, got %s",
			formatDuration(j.RefreshInterval), formatDuration(j.MaxStale))
	}
	return nil
}

// checkList refuses an empty list, and an empty string in one.
func (c *Config) checkList(key string, values []string) error {
	if len(values) == 0 {
		return c.refuse(key, "the list is empty")
	}
	if n := slices.Index(values, ""); n >= 0 {
		return c.refuse(element(key, n), "is empty")
	}
	return nil
}
