package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/config"
)

// operators judges the tokens of those who use the admin API: by the issuers
// that may grant it, with the keys and revocations that devices are judged by,
// and scopes of its own.
type operators struct {
	revoked *auth.Revocations
	now     func() time.Time
	rules   atomic.Pointer[operatorRules]
}

type operatorRules struct {
	verifier *auth.Verifier // nil: no issuer may let anybody in
	scopes   []string
	issuers  map[string]string // names of all that are configured, by iss
}

func newOperators(cfg *config.Config, sources []*source, revoked *auth.Revocations, now func() time.Time) (*operators, error) {
	o := &operators{revoked: revoked, now: now}
	rules, err := o.rulesOf(cfg, sources)
	if err != nil {
		return nil, err
	}
	o.rules.Store(rules)
	return o, nil
}

func (o *operators) rulesOf(cfg *config.Config, sources []*source) (*operatorRules, error) {
	rules := &operatorRules{scopes: cfg.Admin.Scopes, issuers: map[string]string{}}
	var granting []auth.IssuerConfig
	for _, c := range verifierConfigs(sources) {
		rules.issuers[c.Issuer] = c.Name
		if !slices.Contains(cfg.Admin.Issuers, c.Name) {
			continue
		}
		c.RequiredScopes = cfg.Admin.Scopes
		if len(cfg.Admin.Audience) > 0 {
			c.Audience = cfg.Admin.Audience
		}
		granting = append(granting, c)
	}
	if len(granting) == 0 {
		return rules, nil
	}
	var err error
	if rules.verifier, err = auth.NewVerifier(auth.Config{Issuers: granting, Revocations: o.revoked, Now: o.now}); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return rules, nil
}

// Verify implements admin.Authenticator.
func (o *operators) Verify(ctx context.Context, token string, proof auth.Proof) (*auth.Identity, error) {
	rules := o.rules.Load()
	if rules.verifier == nil {
		return nil, &auth.Error{Outcome: auth.Issuer, Err: errNobody}
	}
	identity, err := rules.verifier.Verify(ctx, token, proof)
	if refused, ok := errors.AsType[*auth.Error](err); ok && rules.issuers[refused.Iss] != "" {
		refused.IssuerName, refused.Iss, refused.Err = rules.issuers[refused.Iss], "", errNotGranting
	}
	return identity, err
}

var (
	errNobody      = errors.New("admin.issuers names none")
	errNotGranting = errors.New("not one of admin.issuers")
)

// Scopes implements admin.Authenticator.
func (o *operators) Scopes() []string { return o.rules.Load().scopes }
