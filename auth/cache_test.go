package auth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// A token is recalled after it was verified, until anything that it was verified
// by no longer holds. Each row is a change after which it is not, and what
// verifying it anew says.
func TestRecall(t *testing.T) {
	certificate := []byte("a certificate, in DER")
	sum := sha256.Sum256(certificate)
	bound := claim("cnf", one("x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:])))

	type fixture struct {
		*authtest.Issuer
		v           *auth.Verifier
		revocations *auth.Revocations
		wall        *time.Duration // by how much the wall clock was set
		proof       *auth.Proof
	}
	reconfigure := func(f fixture, change func(*auth.IssuerConfig)) {
		c := f.Config()
		change(&c)
		if err := f.v.SetIssuers([]auth.IssuerConfig{c}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		token  []authtest.Change
		change func(fixture)
		want   string // "recalled", or the outcome
	}{
		{"nothing changed", nil, func(fixture) {}, "recalled"},
		{"a second before it expires", nil, func(fixture) { time.Sleep(time.Hour - time.Second) }, "recalled"},
		{"it expired", nil, func(fixture) { time.Sleep(time.Hour) }, "expired exp"},
		{"the clock was set back before iat", nil, func(f fixture) { *f.wall = -time.Hour }, "not_yet_valid iat"},
		{"the clock was set back within the leeway", nil, func(f fixture) { *f.wall = -30 * time.Second }, "recalled"},
		{"the clock was set back before nbf", []authtest.Change{claim("nbf", 946684800)}, func(f fixture) { *f.wall = -31 * time.Second }, "not_yet_valid nbf"},
		{"its key left the set", nil, func(f fixture) { f.Publish(); f.Remove("test-1") }, "unknown_key kid"},
		{"another key joined the set", nil, func(f fixture) { f.Publish() }, "recalled"},
		{"its key id stands for another key now", nil, func(f fixture) {
			f.Remove("test-1")
			other := newKey(t, "ES256", "test-1")
			f.PublishJWK(other.JWK(nil))
		}, "signature"},
		{"its subject was revoked", nil, func(f fixture) {
			if err := f.revocations.Add(auth.Revocation{Issuer: f.URL, Subject: "device-1"}); err != nil {
				t.Fatal(err)
			}
		}, "revoked"},
		{"its issuer was configured again as it was", nil, func(f fixture) { reconfigure(f, func(*auth.IssuerConfig) {}) }, "recalled"},
		{"its issuer wants another audience", nil, func(f fixture) {
			reconfigure(f, func(c *auth.IssuerConfig) { c.Audience = []string{"other"} })
		}, "audience aud"},
		{"its issuer accepts tokens without typ too", nil, func(f fixture) {
			reconfigure(f, func(c *auth.IssuerConfig) { c.TokenTypes = []string{"at+jwt", "none"} })
		}, "ok"},
		{"its issuer is configured no more", nil, func(f fixture) {
			reconfigure(f, func(c *auth.IssuerConfig) { c.Issuer = "https://other.test" })
		}, "issuer iss"},
		{"bound, from the same client", []authtest.Change{bound}, func(fixture) {}, "recalled"},
		{"bound, from another client", []authtest.Change{bound}, func(f fixture) { f.proof.Certificate = []byte("another") }, "binding cnf"},
		{"bound, without a certificate", []authtest.Change{bound}, func(f fixture) { f.proof.Certificate = nil }, "binding cnf"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				f := fixture{
					Issuer: authtest.New(t), revocations: new(auth.Revocations),
					wall: new(time.Duration), proof: &auth.Proof{Certificate: certificate},
				}
				var err error
				f.v, err = auth.NewVerifier(auth.Config{
					Issuers: []auth.IssuerConfig{f.Config()}, Revocations: f.revocations, Remember: 10,
					Metrics: auth.NewMetrics(reg, nil), Now: func() time.Time { return time.Now().Add(*f.wall) },
				})
				if err != nil {
					t.Fatal(err)
				}
				token := f.Token(test.token...)
				if f.v.Recall(token, *f.proof) != nil {
					t.Fatal("recalled before it was verified")
				}
				want, err := f.v.Verify(t.Context(), token, *f.proof)
				if err != nil {
					t.Fatal(err)
				}
				test.change(f)
				got := f.v.Recall(token, *f.proof)
				hits, misses := 1, 1
				if test.want == "recalled" {
					if got != want {
						t.Fatalf("recalled %v, verified %v", got, want)
					}
				} else {
					hits, misses = 0, 2
					if got != nil {
						t.Error("recalled")
					}
					if outcome := outcomeWith(t, f.v, token, *f.proof); outcome != test.want {
						t.Errorf("verified anew: %s, want %s", outcome, test.want)
					}
				}
				if err := testutil.GatherAndCompare(reg, expected(hits, misses),
					"linegate_token_cache_hits_total", "linegate_token_cache_misses_total"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A key that is still published is not always the token's any more: a token is
// recalled only while its kid and alg find the key that it was verified with.
func TestRecallByTheTokensOwnKey(t *testing.T) {
	key := newKey(t, "RS256", "a")
	unnamed := authtest.Header("kid", nil)
	other := newKey(t, "RS256", "b").JWK(nil)
	for _, test := range []struct {
		name  string
		token []authtest.Change
		keys  []map[string]any // that are published then
		want  string
	}{
		{"as it was", nil, []map[string]any{key.JWK(nil)}, "recalled"},
		{"for any alg", nil, []map[string]any{key.JWK(map[string]any{"alg": nil})}, "recalled"},
		{"under another kid", nil, []map[string]any{key.JWK(map[string]any{"kid": "c"})}, "unknown_key kid"},
		{"under both", nil, []map[string]any{key.JWK(nil), key.JWK(map[string]any{"kid": "c"})}, "recalled"},
		{"for another alg", nil, []map[string]any{key.JWK(map[string]any{"alg": "PS256"})}, "algorithm alg"},
		{"beside another", nil, []map[string]any{key.JWK(nil), other}, "recalled"},
		{"under another kid, which the token leaves open", []authtest.Change{unnamed}, []map[string]any{key.JWK(map[string]any{"kid": "c"})}, "recalled"},
		{"beside another, which the token could mean", []authtest.Change{unnamed}, []map[string]any{key.JWK(nil), other}, "unknown_key kid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			iss := authtest.New(t, authtest.Signing("RS256"))
			c := iss.Config()
			keys := new(successive)
			c.Keys = keys
			v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{c}, Remember: 10})
			if err != nil {
				t.Fatal(err)
			}
			keys.publish(t, key.JWK(nil))
			token := iss.Token(append([]authtest.Change{authtest.SignedBy(key)}, test.token...)...)
			if got := outcomeOf(t, v, token); got != "ok" {
				t.Fatal(got)
			}
			keys.publish(t, test.keys...)
			recalled := v.Recall(token, auth.Proof{}) != nil
			if want := test.want == "recalled"; recalled != want {
				t.Errorf("recalled: %v", recalled)
			}
			if got := outcomeOf(t, v, token); got != test.want && !(recalled && got == "ok") {
				t.Errorf("verified anew: %s, want %s", got, test.want)
			}
		})
	}
}

// successive is a KeySource with one set after another.
type successive struct{ auth.KeySource }

func (s *successive) publish(t *testing.T, jwks ...map[string]any) {
	t.Helper()
	doc, err := json.Marshal(map[string]any{"keys": jwks})
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := auth.ParseKeySet(doc)
	if err != nil {
		t.Fatal(err)
	}
	s.KeySource = auth.StaticKeys(set)
}

// outcomeWith is outcomeOf for a connection that has something to prove.
func outcomeWith(t *testing.T, v *auth.Verifier, token string, proof auth.Proof) string {
	t.Helper()
	_, err := v.Verify(t.Context(), token, proof)
	if err == nil {
		return "ok"
	}
	refusal := err.(*auth.Error)
	return strings.TrimSpace(refusal.Outcome.String() + " " + refusal.Claim)
}

func expected(hits, misses int) *strings.Reader {
	return strings.NewReader(fmt.Sprintf(`
# HELP linegate_token_cache_hits_total Logins whose token was verified before, and not again.
# TYPE linegate_token_cache_hits_total counter
linegate_token_cache_hits_total %d
# HELP linegate_token_cache_misses_total Logins whose token had to be verified.
# TYPE linegate_token_cache_misses_total counter
linegate_token_cache_misses_total %d
`, hits, misses))
}

// A token under another signature is another one, though its Digest is the same.
func TestRecallLooksAtTheSignature(t *testing.T) {
	iss := authtest.New(t)
	v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}, Remember: 10})
	if err != nil {
		t.Fatal(err)
	}
	token := iss.Token()
	if outcomeOf(t, v, token) != "ok" || v.Recall(token, auth.Proof{}) == nil {
		t.Fatal("not recalled")
	}
	signed := token[:strings.LastIndexByte(token, '.')+1]
	for _, forged := range []string{signed, signed + strings.Repeat("A", 86), token[:len(token)-4] + "AAAA"} {
		if v.Recall(forged, auth.Proof{}) != nil {
			t.Errorf("recalled with the signature %q", forged[len(signed):])
		}
	}
}

// What is refused is not remembered, and a verifier remembers nothing unless it
// is told to.
func TestRecallOnlyWhatWasAccepted(t *testing.T) {
	iss := authtest.New(t)
	v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}, Remember: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []string{iss.Token(claim("aud", "other")), iss.Token(claim("scope", "other")), iss.Token(authtest.ForgedBy(newKey(t, "ES256", "test-1")))} {
		_ = outcomeOf(t, v, refused)
		if v.Recall(refused, auth.Proof{}) != nil {
			t.Error("a refused token was recalled")
		}
	}
	forgetful, token := iss.Verifier(), iss.Token()
	if outcomeOf(t, forgetful, token) != "ok" || forgetful.Recall(token, auth.Proof{}) != nil {
		t.Error("remembered without being told to")
	}
}

// However many tokens come, no more are remembered than was said, and the
// expired ones go first.
func TestRecallIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}, Remember: 8})
		if err != nil {
			t.Fatal(err)
		}
		verify := func(n int, life time.Duration) (tokens []string) {
			for i := range n {
				token := iss.Token(authtest.ExpiresIn(life), claim("jti", fmt.Sprint(life, i)))
				if outcomeOf(t, v, token) != "ok" {
					t.Fatal("refused")
				}
				tokens = append(tokens, token)
			}
			return tokens
		}
		recalled := func(tokens []string) (n int) {
			for _, token := range tokens {
				if v.Recall(token, auth.Proof{}) != nil {
					n++
				}
			}
			return n
		}
		long := verify(4, time.Hour)
		verify(4, time.Second)
		time.Sleep(time.Second)
		more := verify(4, time.Minute)
		if n := recalled(long) + recalled(more); n != 8 {
			t.Errorf("%d of 8 recalled, though the other 4 expired", n)
		}
		many := verify(100, 2*time.Hour)
		if n := recalled(long) + recalled(more) + recalled(many); n < 7 || n > 8 {
			t.Errorf("%d of 108 recalled, with room for 8", n)
		}
	})
}
