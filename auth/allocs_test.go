//go:build !race

package auth_test

import (
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// TestTokenAllocations: what a token costs in allocations is within a budget, a
// little above what it was when that was written. Those of a signature are mostly
// the library's.
func TestTokenAllocations(t *testing.T) {
	for _, tt := range []struct {
		alg    string
		verify float64
		recall float64
	}{
		{"ES256", 50, 2},
		{"RS256", 38, 2},
		{"EdDSA", 26, 2},
	} {
		t.Run(tt.alg, func(t *testing.T) {
			iss := authtest.New(t, authtest.Signing(tt.alg))
			v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}, Remember: 8})
			if err != nil {
				t.Fatal(err)
			}
			token, unknown := iss.Token(), iss.Token()
			within := func(what string, most float64, f func()) {
				t.Helper()
				if n := testing.AllocsPerRun(200, f); n > most {
					t.Errorf("%s: %v allocations, want at most %v", what, n, most)
				}
			}
			within("verified", tt.verify, func() {
				if _, err := v.Verify(t.Context(), token, auth.Proof{}); err != nil {
					t.Fatal(err)
				}
			})
			within("recalled", tt.recall, func() {
				if v.Recall(token, auth.Proof{}) == nil {
					t.Fatal("not recalled")
				}
			})
			within("looked for", tt.recall, func() {
				if v.Recall(unknown, auth.Proof{}) != nil {
					t.Fatal("recalled")
				}
			})
		})
	}
}
