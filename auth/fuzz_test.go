package auth_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/mint"
)

// fuzzNow is the time at which fuzzed tokens are checked, the same in every run.
var fuzzNow = time.Unix(1_800_000_000, 0)

func fuzzVerifier(f *testing.F, iss *authtest.Issuer) *auth.Verifier {
	f.Helper()
	c := iss.Config()
	c.TokenTypes = []string{"at+jwt", "JWT", "none"}
	v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{c}, Now: func() time.Time { return fuzzNow }})
	if err != nil {
		f.Fatal(err)
	}
	return v
}

// FuzzToken: whatever a stranger sends, without a key to sign it, is refused
// with an *Error that does not repeat it.
func FuzzToken(f *testing.F) {
	iss := authtest.New(f)
	stranger := iss.NewKey()
	f.Add("")
	f.Add("..")
	f.Add("e30.e30.AA")
	f.Add(iss.Unsigned())
	f.Add(iss.Token(authtest.ForgedBy(stranger), claim("exp", fuzzNow.Unix()+60)))
	f.Add(iss.Token(authtest.SignedBy(stranger)))
	v := fuzzVerifier(f, iss)
	f.Fuzz(func(t *testing.T, token string) {
		identity, err := v.Verify(t.Context(), token, auth.Proof{})
		if _, ok := errors.AsType[*auth.Error](err); !ok || identity != nil {
			t.Fatalf("not an *auth.Error: %v, identity %v", err, identity)
		}
		checkSecrecy(t, err.Error(), token)
	})
}

// FuzzClaims: headers and payloads with a good signature. What is accepted must
// also look right to encoding/json, which reads it in another way.
func FuzzClaims(f *testing.F) {
	iss := authtest.New(f)
	const header = `{"alg":"ES256","typ":"at+jwt","kid":"test-1"}`
	for _, seed := range [][2]string{
		{header, `{"iss":"https://issuer.test","aud":"linegate","sub":"a","client_id":"c","jti":"j","iat":1800000000,"exp":1800000001,"scope":"line:connect"}`},
		{`{"alg":"ES256"}`, ` { "iss" : "https://issuer.test" , "aud" : [ "x" , "linegate" ] , "su\u0062" : "\ud83d\ude00" , "exp" : 1.9e9 , "scp" : [ "line:connect" ] , "x" : { "y" : [ ] } } `},
		{`{"alg":"ES256","typ":"JWT","crit":[]}`, `{"iss":"https://issuer.test","exp":1e400,"EXP":1,"sub":"\ud800"}`},
		{`{"alg":"ES256","alg":"none"}`, `{"exp":1,"exp":2,"cnf":{}}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	v := fuzzVerifier(f, iss)
	key := iss.SigningKey()
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		token, err := key.TokenRaw(header, payload)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := v.Verify(t.Context(), token, auth.Proof{})
		if err != nil {
			checkSecrecy(t, err.Error(), token)
			return
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatalf("accepted, but encoding/json says: %v", err)
		}
		exp, _ := claims["exp"].(float64)
		exp = min(exp, 253402300799) // the end of the year 9999
		if identity.Issuer != claims["iss"] || identity.Subject != claims["sub"] ||
			math.Abs(float64(identity.Expires.Unix())-math.Floor(exp)) > 1 || !identity.Expires.After(fuzzNow) {
			t.Fatalf("identity %+v\nclaims %v", identity, claims)
		}
		if !slices.Contains(identity.Scopes, authtest.Scope) || !strings.Contains(string(payload), "aud") && !strings.Contains(string(payload), `\u`) {
			t.Fatalf("scopes %v of %s", identity.Scopes, payload)
		}
	})
}

// FuzzKeySet: no document breaks the parser, and whatever it takes can be used
// to verify without harm.
func FuzzKeySet(f *testing.F) {
	ec, ed := newKey(f, "ES256", "ec"), newKey(f, "EdDSA", "ed")
	rs := mint.FromSigner("RS256", "rs", newRSA(f))
	f.Add([]byte(`{"keys":[]}`))
	f.Add(mint.JWKS(ec))
	f.Add(mint.JWKS(ed, ed))
	f.Add(mint.JWKS(rs, ec))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"AA"},{"kty":"OKP","crv":"Ed25519","x":"AA"},{"kty":"RSA","n":"AA","e":"AQAB"},null,7]}`))
	iss := authtest.New(f)
	tokens := []string{
		iss.Token(authtest.SignedBy(ec)), iss.Token(authtest.SignedBy(ed)), iss.Token(authtest.SignedBy(rs)),
		iss.Token(header("kid", nil)),
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, skipped, err := auth.ParseKeySet(doc)
		if (err == nil) != (set.Len() > 0) {
			t.Fatalf("%d keys, error %v", set.Len(), err)
		}
		if err != nil {
			return
		}
		for _, why := range skipped {
			if len(why.Error()) > 1024 {
				t.Fatalf("%d bytes for the log", len(why.Error()))
			}
		}
		c := iss.Config()
		c.Algorithms = []string{"ES256", "EdDSA", "RS256"}
		c.Keys = auth.StaticKeys(set)
		v := newVerifier(t, c)
		for _, token := range tokens {
			_, _ = v.Verify(t.Context(), token, auth.Proof{})
		}
	})
}
