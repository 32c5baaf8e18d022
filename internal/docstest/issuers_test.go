// Package docstest holds the documentation to what the program does.
package docstest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// Each configuration block of docs/issuers.md takes its issuer's access tokens
// and refuses every other kind of token from the same keys.
func TestIssuers(t *testing.T) {
	blocks := yamlBlocks(t, filepath.Join("..", "..", "docs", "issuers.md"))
	products := authtest.Products(t)
	if len(blocks) != len(products) {
		t.Errorf("%d blocks for %d products", len(blocks), len(products))
	}
	for _, product := range products {
		t.Run(product.Name, func(t *testing.T) {
			v := verifierFor(t, blocks, product)
			for _, sample := range product.Access {
				identity, err := v.Verify(t.Context(), sample.Token, auth.Proof{})
				if err != nil {
					t.Errorf("%s: %v", sample.Name, err)
				} else if identity.Subject == "" || identity.ClientID == "" {
					t.Errorf("%s: %+v", sample.Name, identity)
				}
			}
			for _, sample := range product.Others {
				_, err := v.Verify(t.Context(), sample.Token, auth.Proof{})
				refusal, ok := errors.AsType[*auth.Error](err)
				if !ok {
					t.Errorf("%s: accepted", sample.Name)
					continue
				}
				t.Logf("%s: %v", sample.Name, err)
				switch refusal.Outcome {
				case auth.Signature, auth.UnknownKey, auth.KeysUnavailable, auth.Expired, auth.Internal:
					t.Errorf("%s: refused for a reason that has nothing to do with its kind: %v", sample.Name, err)
				}
			}
			if len(product.Access) == 0 || len(product.Others) < 3 {
				t.Error("too few samples")
			}
		})
	}
}

// Under any product's block, the tokens of all others are a stranger's.
func TestIssuersApart(t *testing.T) {
	blocks := yamlBlocks(t, filepath.Join("..", "..", "docs", "issuers.md"))
	products := authtest.Products(t)
	for _, product := range products {
		v := verifierFor(t, blocks, product)
		for _, other := range products {
			if other == product {
				continue
			}
			_, err := v.Verify(t.Context(), other.Access[0].Token, auth.Proof{})
			if refusal, ok := errors.AsType[*auth.Error](err); !ok || refusal.Outcome != auth.Issuer {
				t.Errorf("%s under %s: %v", other.Name, product.Name, err)
			}
		}
	}
}

// verifierFor builds a verifier from the one block that names product's issuer,
// with product's published keys.
func verifierFor(t *testing.T, blocks []string, product *authtest.Product) *auth.Verifier {
	t.Helper()
	for _, block := range blocks {
		issuer := load(t, block)
		if issuer.Issuer != product.URL {
			continue
		}
		if issuer.Name != product.Name {
			t.Errorf("block named %s", issuer.Name)
		}
		v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{{
			Name: issuer.Name, Issuer: issuer.Issuer,
			Audience: issuer.Audience, AudienceClaim: issuer.AudienceClaim,
			Algorithms: issuer.Algorithms, TokenTypes: issuer.TokenTypes,
			RequiredClaims: issuer.RequiredClaims,
			RequiredScopes: issuer.RequiredScopes, ScopeClaims: issuer.ScopeClaims,
			SubjectClaim: issuer.SubjectClaim, ClientIDClaims: issuer.ClientIDClaims, TokenIDClaims: issuer.TokenIDClaims,
			Leeway: issuer.Leeway, MaxLifetime: issuer.MaxLifetime,
			Keys: product.Keys(),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Fatalf("no block for %s", product.URL)
	return nil
}

// load reads a block as linegate reads its configuration file: no error, and no
// warning.
func load(t *testing.T, block string) config.Issuer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "linegate.yaml")
	if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := config.Load(config.Options{Path: path})
	if err != nil || len(warnings) != 0 || len(c.Issuers) != 1 {
		t.Fatalf("%v, warnings %v, of\n%s", err, warnings, block)
	}
	return c.Issuers[0]
}

// yamlBlocks returns what stands between the ```yaml fences of a document.
func yamlBlocks(t *testing.T, path string) []string {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(doc), "```yaml\n")[1:] {
		block, _, found := strings.Cut(part, "```\n")
		if !found {
			t.Fatalf("%s: a block without end", path)
		}
		blocks = append(blocks, block)
	}
	return blocks
}
