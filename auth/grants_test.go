package auth_test

import (
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// Tokens that say the same of everything but their device share one Grant; what
// differs in any way does not.
func TestGrantsAreShared(t *testing.T) {
	iss := authtest.New(t)
	v := iss.Verifier()
	grant := func(changes ...authtest.Change) *auth.Grant {
		t.Helper()
		identity, err := v.Verify(t.Context(), iss.Token(changes...), auth.Proof{})
		if err != nil {
			t.Fatal(err)
		}
		return identity.Grant
	}
	first := grant(claim("sub", "a"), claim("jti", "1"))
	if second := grant(claim("sub", "b"), claim("jti", "2")); second != first {
		t.Error("two devices of one client have a grant each")
	}
	for name, change := range map[string]authtest.Change{
		"client": claim("client_id", "another"),
		"scopes": claim("scope", "line:connect more"),
	} {
		if other := grant(change); other == first || other.ClientID == first.ClientID && len(other.Scopes) == len(first.Scopes) {
			t.Errorf("%s: %+v", name, *other)
		}
	}
	if again := grant(); again != first {
		t.Error("the first is no longer shared")
	}
}
