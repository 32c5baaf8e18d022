package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/mint"
)

// Which keys of a set are used. Beside the one under test each set has a good
// key, which nothing may take away.
func TestParseKeySetKeys(t *testing.T) {
	ec, ec384, ec521 := newKey(t, "ES256", "k"), newKey(t, "ES384", "k"), newKey(t, "ES512", "k")
	rs, ed := mint.FromSigner("RS256", "k", newRSA(t)), newKey(t, "EdDSA", "k")
	good := newKey(t, "ES256", "good")
	b64 := base64.RawURLEncoding.EncodeToString
	modulus := func(bits uint, low int64) string {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return b64(n.Add(n, big.NewInt(low)).Bytes())
	}

	tests := []struct {
		name string
		jwk  any
		want string // why it is left out; empty: it is used
	}{
		{"P-256", ec.JWK(nil), ""},
		{"P-384", ec384.JWK(nil), ""},
		{"P-521", ec521.JWK(nil), ""},
		{"Ed25519", ed.JWK(nil), ""},
		{"Ed25519 by its newer name", ed.JWK(one("alg", "Ed25519")), ""},
		{"RSA", rs.JWK(nil), ""},
		{"RSA without alg, with x5c and x5t (Entra ID)", rs.JWK(map[string]any{"alg": nil, "x5t": "abc", "issuer": "x"}), ""},
		{"without use", ec.JWK(one("use", nil)), ""},
		{"key_ops verify", ec.JWK(map[string]any{"use": nil, "key_ops": []string{"verify"}}), ""},
		{"key_ops sign and verify", ec.JWK(map[string]any{"use": nil, "key_ops": []string{"sign", "verify"}}), ""},
		{"key_ops empty", ec.JWK(map[string]any{"use": nil, "key_ops": []string{}}), ""},
		{"unknown members", ec.JWK(map[string]any{"nbf": 1, "x": ec.JWK(nil)["x"], "foo": map[string]any{}}), ""},
		{"longest kid", ec.JWK(one("kid", strings.Repeat("k", 256))), ""},

		{"unknown type", ec.JWK(one("kty", "AKP")), "not a complete JWK"},
		{"no type", ec.JWK(one("kty", nil)), "not a complete JWK"},
		{"a string", "key", "not a JSON object"},
		{"null", nil, "not a JSON object"},
		{"kid is a number", ec.JWK(one("kid", 7)), "not a complete JWK"},
		{"kid too long", ec.JWK(one("kid", strings.Repeat("k", 257))), "longer than 256"},
		{"no coordinate", ec.JWK(one("y", nil)), "not a complete JWK"},
		{"off the curve", ec.JWK(one("y", ec.JWK(nil)["x"])), "curve"},
		{"the point at infinity", ec.JWK(map[string]any{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}), "curve"},
		{"a coordinate beyond the field", ec.JWK(one("x", b64([]byte(strings.Repeat("\xff", 40))))), "curve"},
		{"another curve's coordinates", ec384.JWK(map[string]any{"crv": "P-256", "alg": nil}), "curve"},
		{"unknown curve", ec.JWK(one("crv", "secp256k1")), "curve"},
		{"X25519", ed.JWK(map[string]any{"crv": "X25519", "alg": nil}), "curve"},
		{"Ed448", ed.JWK(map[string]any{"crv": "Ed448", "alg": nil, "x": b64(make([]byte, 57))}), "curve"},
		{"Ed25519 too short", ed.JWK(one("x", b64(make([]byte, 31)))), "curve"},
		{"RSA 1024", rs.JWK(one("n", modulus(1024, 1))), "RSA of fewer"},
		{"RSA 2047", rs.JWK(one("n", modulus(2047, 1))), "RSA of fewer"},
		{"RSA 8192", rs.JWK(one("n", modulus(8192, 1))), ""},
		{"RSA 8193", rs.JWK(one("n", modulus(8193, 1))), "RSA of fewer"},
		{"RSA with an even modulus", rs.JWK(one("n", modulus(2048, 2))), "RSA of fewer"},
		{"RSA with exponent 1", rs.JWK(one("e", "AQ")), "RSA of fewer"},
		{"RSA with exponent 2", rs.JWK(one("e", "Ag")), "RSA of fewer"},
		{"RSA with exponent 3", rs.JWK(one("e", "Aw")), ""},
		{"RSA with exponent 2^64 + 3, which 64 bits cut to 3", rs.JWK(one("e", b64([]byte{1, 0, 0, 0, 0, 0, 0, 0, 3}))), "RSA of fewer"},
		{"RSA without modulus", rs.JWK(one("n", nil)), "not a complete JWK"},
		{"for encryption (Keycloak)", rs.JWK(map[string]any{"use": "enc", "alg": "RSA-OAEP"}), "not for signatures"},
		{"use in capitals", ec.JWK(one("use", "SIG")), "not for signatures"},
		{"key_ops encrypt", ec.JWK(one("key_ops", []string{"encrypt"})), "not for verifying"},
		{"key_ops sign alone", ec.JWK(one("key_ops", []string{"sign"})), "not for verifying"},
		{"alg of encryption, use left out", rs.JWK(map[string]any{"use": nil, "alg": "RSA-OAEP"}), "algorithm"},
		{"RSA for HS256, as if it were a secret", rs.JWK(one("alg", "HS256")), "algorithm"},
		{"alg none", ec.JWK(one("alg", "none")), "algorithm"},
		{"alg of another type", ec.JWK(one("alg", "RS256")), "algorithm"},
		{"alg of another curve", ec.JWK(one("alg", "ES384")), "algorithm"},
		{"symmetric", map[string]any{"kty": "oct", "kid": "k", "k": b64(make([]byte, 32)), "alg": "HS256"}, "symmetric"},
		{"private EC", ec.JWK(one("d", b64(make([]byte, 32)))), "private"},
		{"private Ed25519", ed.JWK(one("d", b64(make([]byte, 32)))), "private"},
		{"a member twice", json.RawMessage(strings.Replace(object(t, ec.JWK(nil)), "{", `{"kid":"other",`, 1)), "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := object(t, map[string]any{"keys": []any{tt.jwk, good.JWK(nil)}})
			set, skipped, err := auth.ParseKeySet([]byte(doc))
			if err != nil || !set.Has("good") {
				t.Fatalf("the good key is lost: %v", err)
			}
			if tt.want == "" {
				if len(skipped) != 0 || set.Len() != 2 {
					t.Errorf("%d keys, left out: %v", set.Len(), skipped)
				}
				return
			}
			if len(skipped) != 1 || set.Len() != 1 || !strings.Contains(fmt.Sprint(skipped), tt.want) {
				t.Errorf("%d keys, left out: %v, want %q", set.Len(), skipped, tt.want)
			}
		})
	}
}

// A private RSA key needs more members than a JWK helper would set by hand.
func TestParseKeySetPrivateRSA(t *testing.T) {
	signer := newRSA(t)
	b64 := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	jwk := mint.FromSigner("RS256", "k", signer).JWK(map[string]any{
		"d": b64(signer.D), "p": b64(signer.Primes[0]), "q": b64(signer.Primes[1]),
	})
	_, skipped, err := auth.ParseKeySet([]byte(object(t, map[string]any{"keys": []any{jwk}})))
	if !errors.Is(err, auth.ErrNoUsableKey) || !strings.Contains(fmt.Sprint(skipped), "private") {
		t.Errorf("got %v, left out %v", err, skipped)
	}
}

// The same kid for two different keys speaks for neither, whatever they are for;
// the same key twice is one.
func TestParseKeySetSameKid(t *testing.T) {
	a, b, c := newKey(t, "ES256", "same"), newKey(t, "ES256", "same"), newKey(t, "ES256", "c")
	ed, rs := newKey(t, "EdDSA", "same"), mint.FromSigner("RS256", "same", newRSA(t))
	other := newKey(t, "PS256", "same")
	enc := map[string]any{"use": "enc", "alg": nil}
	anyAlg, pss := one("alg", nil), one("alg", "PS256")
	tests := []struct {
		name string
		keys []map[string]any
		same bool // has the kid
		len  int
	}{
		{"different keys", jwks(a.JWK(nil), b.JWK(nil), c.JWK(nil)), false, 1},
		{"different keys, and the first again", jwks(a.JWK(nil), b.JWK(nil), a.JWK(nil), c.JWK(nil)), false, 1},
		{"different keys, one for any algorithm", jwks(a.JWK(nil), b.JWK(anyAlg), c.JWK(nil)), false, 1},
		{"different keys, and one of another type", jwks(ed.JWK(nil), a.JWK(nil), b.JWK(nil), c.JWK(nil)), false, 1},
		{"different types", jwks(a.JWK(nil), ed.JWK(nil), rs.JWK(anyAlg), c.JWK(nil)), false, 1},
		{"different algorithms of one type", jwks(rs.JWK(nil), other.JWK(nil), c.JWK(nil)), false, 1},
		{"the same key", jwks(a.JWK(nil), a.JWK(nil), c.JWK(nil)), true, 2},
		{"the same key with alg and without", jwks(a.JWK(nil), a.JWK(anyAlg), c.JWK(nil)), true, 2},
		{"the same key without alg and with", jwks(a.JWK(anyAlg), a.JWK(nil), c.JWK(nil)), true, 2},
		{"the same key by the older and the newer name", jwks(ed.JWK(nil), ed.JWK(one("alg", "Ed25519")), c.JWK(nil)), true, 2},
		{"the same key for two algorithms", jwks(rs.JWK(nil), rs.JWK(pss), c.JWK(nil)), true, 3},
		{"the other is for encryption", jwks(a.JWK(nil), b.JWK(enc), c.JWK(nil)), true, 2},
		{"both without kid", jwks(a.JWK(one("kid", nil)), b.JWK(one("kid", nil)), c.JWK(nil)), false, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, _, err := auth.ParseKeySet([]byte(object(t, map[string]any{"keys": tt.keys})))
			if err != nil || !set.Has("c") {
				t.Fatalf("the good key is lost: %v", err)
			}
			if set.Has("same") != tt.same || set.Len() != tt.len {
				t.Errorf("has the kid: %t, %d keys", set.Has("same"), set.Len())
			}
		})
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	single := object(t, newKey(t, "ES256", "k").JWK(nil))
	tests := []struct {
		name, doc string
		empty     bool // a key set, but without a usable key
	}{
		{"nothing", ``, false},
		{"HTML", `<html></html>`, false},
		{"an array of keys", `[` + single + `]`, false},
		{"a single key", single, false},
		{"no keys", `{}`, false},
		{"keys is null", `{"keys":null}`, false},
		{"keys is an object", `{"keys":{}}`, false},
		{"KEYS", `{"KEYS":[` + single + `]}`, false},
		{"keys twice", `{"keys":[` + single + `],"keys":[]}`, false},
		{"cut off", `{"keys":[` + single + `]`, false},
		{"not UTF-8", "{\"a\":\"\xff\",\"keys\":[" + single + "]}", false},
		{"1,001 entries", `{"keys":[` + strings.Repeat("0,", 1000) + single + `]}`, false},
		{"1,000 entries, none of them a key", `{"keys":[` + strings.Repeat("0,", 999) + `0]}`, true},
		{"empty set", `{"keys":[]}`, true},
		{"only foreign keys", `{"keys":[1,"a",null,{"kty":"new"}]}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, _, err := auth.ParseKeySet([]byte(tt.doc))
			if err == nil || set != nil || errors.Is(err, auth.ErrNoUsableKey) != tt.empty {
				t.Errorf("got %v, %v", set, err)
			}
		})
	}
}

func TestStaticKeys(t *testing.T) {
	set, _, err := auth.ParseKeySet(mint.JWKS(newKey(t, "ES256", "k")))
	if err != nil {
		t.Fatal(err)
	}
	keys := auth.StaticKeys(set)
	if got, err := keys.WaitForKey(t.Context(), "k"); got != set || err != nil {
		t.Errorf("known: %v", err)
	}
	_, err = keys.WaitForKey(t.Context(), "x")
	if refusal, ok := errors.AsType[*auth.Error](err); !ok || refusal.Outcome != auth.UnknownKey {
		t.Errorf("unknown: %v", err)
	}
}

// object is v as JSON.
func object(t testing.TB, v any) string {
	t.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}
