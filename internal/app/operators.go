package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/config"
)

// operators judges the tokens of those who use the admin API: by the issuers
// that may grant it, with the keys and revocations that devices are judged by,
// and scopes of its own.
type operators struct{ rules atomic.Pointer[operatorRules] }

type operatorRules struct {
	verifier *auth.Verifier // nil: no issuer may let anybody in
	scopes   []string
}

func newOperators(cfg *config.Config, sources []*source, revoked *auth.Revocations) (*operators, error) {
	rules, err := operatorRulesOf(cfg, sources, revoked)
	if err != nil {
		return nil, err
	}
	o := new(operators)
	o.rules.Store(rules)
	return o, nil
}

func operatorRulesOf(cfg *config.Config, sources []*source, revoked *auth.Revocations) (*operatorRules, error) {
	var granting []auth.IssuerConfig
	for _, c := range verifierConfigs(sources) {
		if !slices.Contains(cfg.Admin.Issuers, c.Name) {
			continue
		}
		c.RequiredScopes = cfg.Admin.Scopes
		if len(cfg.Admin.Audience) > 0 {
			c.Audience = cfg.Admin.Audience
		}
		granting = append(granting, c)
	}
	rules := &operatorRules{scopes: cfg.Admin.Scopes}
	if len(granting) == 0 {
		return rules, nil
	}
	var err error
	if rules.verifier, err = auth.NewVerifier(auth.Config{Issuers: granting, Revocations: revoked}); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return rules, nil
}

// Verify implements admin.Authenticator.
func (o *operators) Verify(ctx context.Context, token string, proof auth.Proof) (*auth.Identity, error) {
	verifier := o.rules.Load().verifier
	if verifier == nil {
		return nil, &auth.Error{Outcome: auth.Issuer, Err: errNobody}
	}
	return verifier.Verify(ctx, token, proof)
}

var errNobody = errors.New("admin.issuers names none")

// Scopes implements admin.Authenticator.
func (o *operators) Scopes() []string { return o.rules.Load().scopes }
