package auth_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/mint"
)

// The names that tests use all the time.
var (
	claim  = authtest.Claim
	header = authtest.Header
)

// outcomeOf is how verifying a token ended, with the claim at fault: "expired
// exp", or "ok".
func outcomeOf(t *testing.T, v *auth.Verifier, token string) string {
	t.Helper()
	identity, err := v.Verify(t.Context(), token, auth.Proof{})
	if err == nil {
		if identity == nil {
			t.Fatal("neither an identity nor an error")
		}
		return "ok"
	}
	refusal, ok := errors.AsType[*auth.Error](err)
	if !ok {
		t.Fatalf("not an *auth.Error: %v", err)
	}
	checkSecrecy(t, err.Error(), token)
	return strings.TrimSpace(refusal.Outcome.String() + " " + refusal.Claim)
}

// checkSecrecy fails when text holds 16 or more consecutive bytes of the
// token's payload or signature.
func checkSecrecy(t *testing.T, text, token string) {
	t.Helper()
	_, secret, _ := strings.Cut(token, ".")
	for i := 0; i+16 <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+16]) {
			t.Fatalf("a part of the token in %q", text)
		}
	}
}

func TestVerifyIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		token := iss.Token(claim("scope", "b line:connect  a b"), claim("scp", []string{"c", "a"}), claim("jti", "t-1"))
		got, err := iss.Verifier().Verify(t.Context(), token, auth.Proof{})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		want := auth.Identity{
			Grant: &auth.Grant{
				IssuerName: "test", Issuer: "https://issuer.test", ClientID: "device-client",
				Scopes: []string{"a", "b", "c", "line:connect"}, KeyID: "test-1", Thumbprint: thumbprint(t, iss.SigningKey()),
				MaxLifetime: 24 * time.Hour,
			},
			Subject: "device-1", TokenID: "t-1", IssuedAt: now, Expires: now.Add(time.Hour),
			Digest: sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')])),
		}
		if !got.IssuedAt.Equal(want.IssuedAt) || !got.Expires.Equal(want.Expires) {
			t.Errorf("issued at %v, expires %v", got.IssuedAt, got.Expires)
		}
		got.IssuedAt, got.Expires = want.IssuedAt, want.Expires
		if fmt.Sprint(exported(*got)) != fmt.Sprint(exported(want)) {
			t.Errorf("got  %v\nwant %v", exported(*got), exported(want))
		}
	})
}

// A token is the same one under any signature that verifies: of an ECDSA one
// anybody can make a second. Or whoever has a token that was revoked by its
// digest could come again with it.
func TestVerifyKnowsARespelledToken(t *testing.T) {
	iss := authtest.New(t)
	rs := new(auth.Revocations)
	v := revoking(t, iss, rs)
	token := iss.Token()
	dot := strings.LastIndexByte(token, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(token[dot:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	respelled := token[:dot] + base64.RawURLEncoding.EncodeToString(signature)
	if got := outcomeOf(t, v, respelled); got != "ok" || respelled == token {
		t.Fatalf("no second signature: %s", got)
	}
	identity, err := v.Verify(t.Context(), token, auth.Proof{})
	if err != nil {
		t.Fatal(err)
	}
	add(t, rs, auth.Revocation{Issuer: iss.URL, Digest: identity.Digest})
	for name, token := range map[string]string{"as it was": token, "respelled": respelled} {
		if got := outcomeOf(t, v, token); got != "revoked" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// exported lists an identity's fields that callers see.
func exported(id auth.Identity) (fields []any) {
	for _, part := range []any{*id.Grant, id} {
		for field, value := range reflect.ValueOf(part).Fields() {
			if field.IsExported() && field.Name != "Grant" {
				fields = append(fields, value)
			}
		}
	}
	return fields
}

// thumbprint is RFC 7638 section 3 for an EC key: a digest of the required
// members alone, in this order and spelling.
func thumbprint(t *testing.T, key *mint.Key) string {
	t.Helper()
	jwk := key.JWK(nil)
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":"EC","x":%q,"y":%q}`, jwk["crv"], jwk["x"], jwk["y"]))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A token is valid until the instant of exp, and not one nanosecond longer.
func TestVerifyUntilExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		v := iss.Verifier()
		token := iss.Token(authtest.ExpiresIn(time.Minute))
		time.Sleep(time.Minute - 1)
		if got := outcomeOf(t, v, token); got != "ok" {
			t.Errorf("1 ns before exp: %s", got)
		}
		time.Sleep(time.Nanosecond)
		if got := outcomeOf(t, v, token); got != "expired exp" {
			t.Errorf("at exp: %s", got)
		}
	})
}

// What the configuration changes, each against a token that differs in it.
func TestVerifyConfigured(t *testing.T) {
	type config = auth.IssuerConfig
	iss := authtest.New(t)
	jwt := header("typ", "JWT")
	untyped := header("typ", nil)
	tests := []struct {
		name   string
		config func(*config)
		token  string
		want   string
	}{
		{"JWT allowed", func(c *config) { c.TokenTypes = []string{"JWT"} }, iss.Token(jwt), "ok"},
		{"JWT alone refuses at+jwt", func(c *config) { c.TokenTypes = []string{"JWT"} }, iss.Token(), "type typ"},
		{"none allows no typ", func(c *config) { c.TokenTypes = []string{"none"} }, iss.Token(untyped), "ok"},
		{"none alone refuses JWT", func(c *config) { c.TokenTypes = []string{"none"} }, iss.Token(jwt), "type typ"},

		{"audience claim client_id", func(c *config) { c.AudienceClaim = "client_id"; c.Audience = []string{"a", "device-client"} }, iss.Token(claim("aud", nil)), "ok"},
		{"audience claim azp missing, aud present", func(c *config) { c.AudienceClaim = "azp" }, iss.Token(), "audience azp"},

		{"required claim", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"access"}} }, iss.Token(claim("use", "access")), "ok"},
		{"required claim in an array", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"x", "access"}} }, iss.Token(claim("use", []string{"a", "access"})), "ok"},
		{"required claim of another value", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"access"}} }, iss.Token(claim("use", "id")), "claims use"},
		{"required claim missing", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"access"}} }, iss.Token(), "claims use"},
		{"required claim of another type", func(c *config) { c.RequiredClaims = map[string][]string{"use": {"true"}} }, iss.Token(claim("use", true)), "claims use"},
		{"all required claims", func(c *config) { c.RequiredClaims = map[string][]string{"a": {"1"}, "b": {"2"}} }, iss.Token(claim("a", "1"), claim("b", "1")), "claims b"},

		{"two required scopes, one missing", func(c *config) { c.RequiredScopes = []string{"line:connect", "more"} }, iss.Token(), "scope scope"},
		{"no required scope", func(c *config) { c.RequiredScopes = nil }, iss.Token(claim("scope", nil)), "ok"},
		{"scope in roles", func(c *config) { c.ScopeClaims = []string{"roles"} }, iss.Token(claim("scope", nil), claim("roles", []string{"line:connect"})), "ok"},
		{"scope in roles, not in scope", func(c *config) { c.ScopeClaims = []string{"roles"} }, iss.Token(), "scope roles"},

		{"subject in oid", func(c *config) { c.SubjectClaim = "oid" }, iss.Token(claim("sub", nil), claim("oid", "o")), "ok"},
		{"subject in oid, missing", func(c *config) { c.SubjectClaim = "oid" }, iss.Token(), "claims oid"},
		{"no leeway", func(c *config) { c.Leeway = 0 }, iss.Token(claim("nbf", time.Now().Unix()+2)), "not_yet_valid nbf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := iss.Config()
			tt.config(&c)
			if got := outcomeOf(t, newVerifier(t, c), tt.token); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Each algorithm verifies its own signatures and refuses those of all others
// under its name.
func TestVerifyAlgorithms(t *testing.T) {
	iss := authtest.New(t)
	rsaSigner := newRSA(t)
	keys := map[string]*mint.Key{}
	for _, alg := range mint.Algorithms {
		if alg[1] == 'S' && alg[0] != 'E' {
			keys[alg] = mint.FromSigner(alg, "key-"+alg, rsaSigner)
		} else {
			keys[alg] = newKey(t, alg, "key-"+alg)
		}
		iss.PublishJWK(keys[alg].JWK(nil))
	}
	c := iss.Config()
	c.Algorithms = mint.Algorithms
	v := newVerifier(t, c)
	for alg, key := range keys {
		if got := outcomeOf(t, v, iss.Token(authtest.SignedBy(key))); got != "ok" {
			t.Errorf("%s: %s", alg, got)
		}
		for claimed := range keys {
			same := claimed == alg || strings.HasPrefix(claimed, "Ed") && strings.HasPrefix(alg, "Ed")
			token := iss.Token(authtest.SignedBy(key), header("alg", claimed))
			if got := outcomeOf(t, v, token); (got == "ok") != same {
				t.Errorf("key for %s, token says %s: %s", alg, claimed, got)
			}
		}
	}
}

// A key without alg serves every algorithm of its type, one with alg that one
// alone; without kid in the token exactly one key must fit.
func TestVerifyKeyChoice(t *testing.T) {
	signer := newRSA(t)
	key := mint.FromSigner("RS256", "k1", signer)
	pss := mint.FromSigner("PS256", "k1", signer)
	second := newKey(t, "RS256", "k2")
	tests := []struct {
		name  string
		jwks  []map[string]any
		token func(*authtest.Issuer) string
		want  string
	}{
		{"alg given", jwks(key.JWK(nil)), signed(key), "ok"},
		{"alg given, another used", jwks(key.JWK(nil)), signed(pss), "algorithm alg"},
		{"alg left open", jwks(key.JWK(one("alg", nil))), signed(pss), "ok"},
		{"a kid with a key for each type", jwks(newKey(t, "ES256", "k1").JWK(nil), key.JWK(nil), second.JWK(nil)), signed(key), "unknown_key kid"},
		{"a kid with one key for two algorithms", jwks(key.JWK(nil), pss.JWK(nil)), signed(pss), "ok"},
		{"no kid, one key of several fits", jwks(newKey(t, "ES256", "e").JWK(nil), key.JWK(nil)), signed(key, header("kid", nil)), "ok"},
		{"no kid, two keys fit", jwks(key.JWK(nil), second.JWK(nil)), signed(key, header("kid", nil)), "unknown_key kid"},
		{"no kid, none fits", jwks(newKey(t, "ES256", "e").JWK(nil)), signed(key, header("kid", nil)), "unknown_key kid"},
		{"no kid on either side", jwks(key.JWK(one("kid", nil))), signed(key, header("kid", nil)), "ok"},
		{"kid in the token alone", jwks(key.JWK(one("kid", nil))), signed(key), "unknown_key kid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			iss := authtest.New(t)
			iss.Remove(iss.SigningKey().ID)
			for _, jwk := range tt.jwks {
				iss.PublishJWK(jwk)
			}
			c := iss.Config()
			c.Algorithms = []string{"RS256", "PS256", "ES256"}
			if got := outcomeOf(t, newVerifier(t, c), tt.token(iss)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVerifyErrorNames(t *testing.T) {
	iss := authtest.New(t)
	_, err := iss.Verifier().Verify(t.Context(), iss.Token(claim("exp", 1)), auth.Proof{})
	refusal, ok := errors.AsType[*auth.Error](err)
	if !ok || refusal.IssuerName != iss.Name || refusal.KeyID != iss.SigningKey().ID || refusal.Claim != "exp" {
		t.Errorf("got %+v", refusal)
	}
	if got, want := err.Error(), "auth: expired (exp): has passed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func newVerifier(t testing.TB, issuers ...auth.IssuerConfig) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(auth.Config{Issuers: issuers})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newKey(t testing.TB, algorithm, id string) *mint.Key {
	t.Helper()
	key, err := mint.NewKey(algorithm, id)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func jwks(list ...map[string]any) []map[string]any { return list }

func one(name string, value any) map[string]any { return map[string]any{name: value} }

func signed(key *mint.Key, changes ...authtest.Change) func(*authtest.Issuer) string {
	return func(iss *authtest.Issuer) string {
		return iss.Token(slices.Concat([]authtest.Change{authtest.SignedBy(key)}, changes)...)
	}
}
