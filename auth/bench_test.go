package auth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/mint"
)

// BenchmarkVerify is a whole Verify of a valid token, by algorithm: decoding,
// signature, claims, Identity.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range mint.Algorithms {
		b.Run(alg, func(b *testing.B) {
			iss := authtest.New(b, authtest.Signing(alg))
			v, token := iss.Verifier(), iss.Token()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token, auth.Proof{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRecall is the look for a token that was verified before, on all
// processors for one that is remembered; and for one that is not, which is then
// verified and remembered, in a cache that has room for few.
func BenchmarkRecall(b *testing.B) {
	iss := authtest.New(b)
	v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}, Remember: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	known, unknown := iss.Token(), iss.Token()
	if _, err := v.Verify(b.Context(), known, auth.Proof{}); err != nil {
		b.Fatal(err)
	}
	b.Run("Hit", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if v.Recall(known, auth.Proof{}) == nil {
					b.Error("not recalled")
					return
				}
			}
		})
	})
	b.Run("Miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v.Recall(unknown, auth.Proof{}) != nil {
				b.Fatal("recalled")
			}
		}
	})
	b.Run("MissAndVerify", func(b *testing.B) {
		tokens := make([]string, 256)
		for i := range tokens {
			tokens[i] = iss.Token()
		}
		few, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}, Remember: 8})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			token := tokens[i%len(tokens)]
			if few.Recall(token, auth.Proof{}) != nil {
				b.Fatal("recalled")
			}
			if _, err := few.Verify(b.Context(), token, auth.Proof{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRefuse is a Verify that ends before any signature is checked, as
// most of a flood does.
func BenchmarkRefuse(b *testing.B) {
	iss := authtest.New(b)
	v := iss.Verifier()
	many := map[string]any{} // as many claims as fit into the longest AUTH line
	for i := range 1200 {
		many[fmt.Sprintf("c%d", i)] = 0
	}
	for name, token := range map[string]string{
		"ManyClaims": iss.Token(authtest.Header("kid", "x"), authtest.RawClaims(object(b, many))),
		"Bytes":      iss.Token() + "\n",
		"Structure":  "e30.e30.e30.e30",
		"Header":     iss.Token(authtest.Header("alg", "none")),
		"UnknownKey": iss.Token(authtest.Header("kid", "x")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token, auth.Proof{}); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// BenchmarkRefuseScopes is an unsigned token with as many scopes as fit into the
// longest AUTH line, other ones each time.
func BenchmarkRefuseScopes(b *testing.B) {
	iss := authtest.New(b)
	v := iss.Verifier()
	tokens := make([]string, 64)
	for i := range tokens {
		var scopes strings.Builder
		scopes.WriteString("line:connect")
		for j := 0; scopes.Len() < 11_500; j++ {
			fmt.Fprintf(&scopes, " %x", i<<12+j)
		}
		tokens[i] = iss.Token(authtest.Header("kid", "x"), claim("scope", scopes.String()))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := v.Verify(b.Context(), tokens[i%len(tokens)], auth.Proof{}); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkStanding is what a review asks about each session: of a key that is in
// the set, and of one that left.
func BenchmarkStanding(b *testing.B) {
	iss := authtest.New(b)
	c := iss.Config()
	remote, err := auth.NewRemote(auth.RemoteConfig{Name: iss.Name, Issuer: iss.URL})
	if err != nil {
		b.Fatal(err)
	}
	if err := remote.Restore(auth.Snapshot{Issuer: iss.URL, FetchedAt: time.Now(), Document: iss.JWKS()}); err != nil {
		b.Fatal(err)
	}
	c.Keys = remote
	v := newVerifier(b, c)
	published, err := v.Verify(b.Context(), iss.Token(), auth.Proof{})
	if err != nil {
		b.Fatal(err)
	}
	left := *published
	left.Thumbprint = "another"
	for name, identity := range map[string]*auth.Identity{"Published": published, "Left": &left} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Standing(identity)
			}
		})
	}
}

// BenchmarkParseKeySet is what a fetch costs beside the network.
func BenchmarkParseKeySet(b *testing.B) {
	doc := mint.JWKS(newKey(b, "RS256", "a"), newKey(b, "RS256", "b"), newKey(b, "ES256", "c"), newKey(b, "EdDSA", "d"))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := auth.ParseKeySet(doc); err != nil {
			b.Fatal(err)
		}
	}
}
