package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// A good token under each kind of revocation, at the verifier: refused from the
// moment of adding it, and a session on it withdrawn; accepted again when it is
// taken back.
func TestVerifyRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		rs := new(auth.Revocations)
		v := revoking(t, iss, rs)
		token := iss.Token(claim("jti", "t-1"))
		id, err := v.Verify(t.Context(), token, auth.Proof{})
		if err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Second)
		for name, r := range map[string]auth.Revocation{
			"subject":    {Subject: authtest.Subject, IssuedBefore: later},
			"client":     {ClientID: authtest.Client, IssuedBefore: later},
			"token id":   {TokenID: "t-1", Until: id.Expires},
			"kid":        {Key: iss.SigningKey().ID},
			"thumbprint": {Key: thumbprint(t, iss.SigningKey())},
			"digest":     {Digest: id.Digest, Until: id.Expires},
			"issuer":     {IssuedBefore: later},
		} {
			r.Issuer = iss.URL
			if r.All() != (name == "issuer") {
				t.Errorf("%s: all of the issuer's: %v", name, r.All())
			}
			add(t, rs, r)
			if got, standing := outcomeOf(t, v, token), v.Standing(id); got != "revoked" || standing.State != auth.Withdrawn {
				t.Errorf("%s: %s, standing %v", name, got, standing)
			}
			rs.Remove(r)
			if got, standing := outcomeOf(t, v, token), v.Standing(id); got != "ok" || standing != stands {
				t.Errorf("%s, taken back: %s, standing %v", name, got, standing)
			}
		}
	})
}

// What else a revoked token is tells what is said of it: whatever makes it no
// token of the issuer goes first, and a scope that it lacks goes last, since
// insufficient_scope is said of valid tokens only.
func TestVerifyRevokedAndMore(t *testing.T) {
	iss := authtest.New(t)
	stranger := iss.NewKey()
	rs := new(auth.Revocations)
	add(t, rs, auth.Revocation{Issuer: iss.URL})
	v := revoking(t, iss, rs)
	for _, tt := range []struct{ name, token, want string }{
		{"nothing else", iss.Token(), "revoked"},
		{"without the scope", iss.Token(claim("scope", "other")), "revoked"},
		{"forged", iss.Token(authtest.ForgedBy(stranger)), "signature"},
		{"unknown key", iss.Token(authtest.SignedBy(stranger)), "unknown_key kid"},
		{"expired", iss.Token(claim("exp", 1)), "expired exp"},
		{"for somebody else", iss.Token(claim("aud", "other")), "audience aud"},
		{"bound", iss.Token(claim("cnf", map[string]any{"jkt": "x"})), "binding cnf"},
	} {
		if got := outcomeOf(t, v, tt.token); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	_, err := v.Verify(t.Context(), iss.Token(), auth.Proof{})
	if want := "auth: revoked: all tokens of the issuer"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Sessions that are about to end, because their issuer was removed, can be revoked
// all the same.
func TestStandingRevokedAfterRemoval(t *testing.T) {
	iss, other := authtest.New(t), authtest.New(t, authtest.Named("other"))
	rs := new(auth.Revocations)
	v := revoking(t, iss, rs)
	id, err := v.Verify(t.Context(), iss.Token(), auth.Proof{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.SetIssuers([]auth.IssuerConfig{other.Config()}); err != nil {
		t.Fatal(err)
	}
	if got := v.Standing(id); got.State != auth.Departed {
		t.Errorf("removed: %v", got)
	}
	add(t, rs, auth.Revocation{Issuer: iss.URL, Subject: authtest.Subject})
	if got := v.Standing(id); got.State != auth.Withdrawn {
		t.Errorf("removed and revoked: %v", got)
	}
}

func revoking(t testing.TB, iss *authtest.Issuer, rs *auth.Revocations) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}, Revocations: rs})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
