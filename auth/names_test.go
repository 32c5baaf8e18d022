package auth_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// A refusal says whose token it was where the signature is the issuer's, and
// nothing that somebody made up: of an issuer that is not configured it has iss
// alone.
func TestRefusalNames(t *testing.T) {
	iss, stranger := authtest.New(t), authtest.New(t, authtest.Named("other"))
	rs := new(auth.Revocations)
	add(t, rs, auth.Revocation{Issuer: iss.URL, TokenID: "stolen"})
	v := revoking(t, iss, rs)
	unknown := newKey(t, "ES256", "unknown")
	const all = "subject=device-1 client_id=device-client token_id=t-1"
	for _, tt := range []struct {
		name, token, outcome, want string
	}{
		{"revoked", iss.Token(claim("jti", "stolen")), "revoked", "subject=device-1 client_id=device-client token_id=stolen"},
		{"scope", iss.Token(claim("jti", "t-1"), claim("scope", "x")), "scope scope", all},
		{"binding", iss.Token(claim("jti", "t-1"), claim("cnf", map[string]any{})), "binding cnf", all},
		{"audience", iss.Token(claim("jti", "t-1"), claim("aud", "x")), "audience aud", all},
		{"expired", iss.Token(claim("jti", "t-1"), authtest.ExpiresIn(-time.Hour)), "expired exp", all},
		{"a claim that is no name", iss.Token(claim("jti", "t-1"), claim("exp", nil)), "claims exp", all},
		{"no subject", iss.Token(claim("jti", "t-1"), claim("sub", nil)), "claims sub", "client_id=device-client token_id=t-1"},
		{"a subject too long", iss.Token(claim("jti", "t-1"), claim("sub", strings.Repeat("s", 257))), "claims sub", "client_id=device-client token_id=t-1"},
		{"a client id that is a number", iss.Token(claim("jti", "t-1"), claim("client_id", 1)), "claims client_id", "subject=device-1 token_id=t-1"},

		{"forged", iss.Token(authtest.ForgedBy(unknown)), "signature", ""},
		{"forged, and expired", iss.Token(authtest.ForgedBy(unknown), authtest.ExpiresIn(-time.Hour)), "signature", ""},
		{"by an unknown key", iss.Token(authtest.SignedBy(unknown)), "unknown_key kid", ""},
		{"by an unknown key, and expired", iss.Token(authtest.SignedBy(unknown), authtest.ExpiresIn(-time.Hour)), "expired exp", ""},
		{"by an unknown key, and bound", iss.Token(authtest.SignedBy(unknown), claim("cnf", map[string]any{})), "binding cnf", ""},
		{"unsigned", iss.Unsigned(), "algorithm alg", ""},
		{"of another type", iss.Token(header("typ", "JWT")), "type typ", ""},
		{"no token", "opaque", "format", ""},

		{"of another issuer", stranger.Token(), "issuer iss", "iss=" + stranger.URL},
		{"of none", iss.Token(claim("iss", nil)), "issuer iss", ""},
		{"of a number", iss.Token(claim("iss", 1)), "issuer iss", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := outcomeOf(t, v, tt.token); got != tt.outcome {
				t.Errorf("%s, want %s", got, tt.outcome)
			}
			_, err := v.Verify(t.Context(), tt.token, auth.Proof{})
			refusal, _ := errors.AsType[*auth.Error](err)
			got := maps.Collect(refusal.Names())
			for want := range strings.FieldsSeq(tt.want) {
				key, value, _ := strings.Cut(want, "=")
				if got[key] != value {
					t.Errorf("%s is %q, want %q", key, got[key], value)
				}
				delete(got, key)
			}
			if len(got) > 0 {
				t.Errorf("and %v", got)
			}
		})
	}
}
