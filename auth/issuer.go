package auth

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// issuer is an IssuerConfig with its defaults filled in, owned by the verifier
// and immutable.
type issuer struct {
	IssuerConfig
	untyped        bool     // a header without typ is accepted
	requiredClaims []string // the names in RequiredClaims, sorted
	grants         grants   // of its verified tokens, which alone changes
}

const (
	maxLeeway          = 60 * time.Second
	defaultMaxLifetime = 24 * time.Hour
)

// newIssuer checks a configuration; its error names the field as the
// configuration file spells it.
func newIssuer(c IssuerConfig) (*issuer, error) {
	iss := &issuer{IssuerConfig: c}
	iss.Audience = slices.Clone(c.Audience)
	iss.RequiredScopes = slices.Clone(c.RequiredScopes)
	iss.RequiredClaims = maps.Clone(c.RequiredClaims)
	iss.requiredClaims = slices.Sorted(maps.Keys(c.RequiredClaims))
	iss.Algorithms = orDefault(c.Algorithms, "ES256", "RS256", "EdDSA")
	iss.ScopeClaims = orDefault(c.ScopeClaims, "scope", "scp")
	iss.ClientIDClaims = orDefault(c.ClientIDClaims, "client_id", "azp", "appid")
	iss.TokenIDClaims = orDefault(c.TokenIDClaims, "jti", "uti")
	if iss.AudienceClaim == "" {
		iss.AudienceClaim = "aud"
	}
	if iss.SubjectClaim == "" {
		iss.SubjectClaim = "sub"
	}
	if iss.MaxLifetime == 0 {
		iss.MaxLifetime = defaultMaxLifetime
	}
	types := orDefault(c.TokenTypes, "at+jwt")
	iss.TokenTypes = nil
	for _, typ := range types {
		switch normal := normalType(typ); normal {
		case "none":
			iss.untyped = true
		case "at+jwt", "jwt":
			iss.TokenTypes = append(iss.TokenTypes, normal)
		default:
			return nil, fmt.Errorf("token_types: %q is none of at+jwt, JWT, none", typ)
		}
	}
	return iss, iss.check()
}

func (iss *issuer) check() error {
	if iss.Name == "" {
		return errors.New("name: missing")
	}
	if iss.Issuer == "" || len(iss.Issuer) > maxName {
		return fmt.Errorf("issuer: must have 1 to %d bytes", maxName)
	}
	if len(iss.Audience) == 0 || slices.Contains(iss.Audience, "") {
		return errors.New("audience: at least one is needed, and none may be empty")
	}
	if !slices.Contains([]string{"aud", "client_id", "azp"}, iss.AudienceClaim) {
		return fmt.Errorf("audience_claim: %q is none of aud, client_id, azp", iss.AudienceClaim)
	}
	for _, alg := range iss.Algorithms {
		if algorithms[alg] == nil {
			return fmt.Errorf("algorithms: %q is not supported", alg)
		}
	}
	for claim, allowed := range iss.RequiredClaims {
		if len(allowed) == 0 {
			return fmt.Errorf("required_claims: %s: no allowed string", claim)
		}
	}
	for _, scope := range iss.RequiredScopes {
		if scope == "" || strings.Contains(scope, " ") {
			return fmt.Errorf("required_scopes: %q is no scope", scope)
		}
	}
	if iss.Leeway < 0 || iss.Leeway > maxLeeway {
		return fmt.Errorf("leeway: must be 0 to %v", maxLeeway)
	}
	if iss.MaxLifetime < 0 {
		return errors.New("max_lifetime: must not be negative")
	}
	if iss.RemovalGrace < 0 {
		return errors.New("jwks.removal_grace: must not be negative")
	}
	if iss.Keys == nil {
		return errors.New("no key source")
	}
	return nil
}

// same reports whether two issuers accept the same tokens by the same keys.
func (iss *issuer) same(other *issuer) bool {
	a, b := iss.IssuerConfig, other.IssuerConfig
	if !reflect.TypeOf(a.Keys).Comparable() || a.Keys != b.Keys || iss.untyped != other.untyped {
		return false
	}
	a.Keys, b.Keys = nil, nil // compared, but not looked into
	return reflect.DeepEqual(a, b)
}

// checkHeader holds the header to the issuer's lists.
func (iss *issuer) checkHeader(t *token) *Error {
	i := slices.Index(iss.Algorithms, t.alg)
	if i < 0 {
		return refuse(Algorithm, "alg", errNotListed)
	}
	t.alg = iss.Algorithms[i] // which outlives the token's bytes
	if !t.hasTyp && iss.untyped || t.hasTyp && slices.Contains(iss.TokenTypes, normalType(t.typ)) {
		return nil
	}
	return refuse(Type, "typ", errNotListed)
}

var errNotListed = errors.New("not on the issuer's list")

// accessTokenType is the typ of RFC 9068, normalized.
const accessTokenType = "at+jwt"

// normalType makes two spellings of one media type equal: they are compared
// without regard to case, and "application/" may be left out (RFC 7515 section
// 4.1.9).
func normalType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

func orDefault(values []string, standard ...string) []string {
	if len(values) == 0 {
		return standard
	}
	return slices.Clone(values)
}
