package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Verifier.
type Config struct {
	Issuers     []IssuerConfig
	Revocations *Revocations // looked at by every Verify and Standing; nil: none
	// Remember is how many verified tokens Recall knows at most; 0: none.
	Remember int
	Metrics  *Metrics // of Recall; nil: none
	// Workers is how many tokens are verified at once; 0: one a processor.
	Workers int
	// Now is the wall clock, for the times in tokens; nil: time.Now.
	Now func() time.Time
	// Changed is called, on a goroutine of its own, when the grace of issuers
	// is over that SetIssuers removed, and with it the Standing of what they
	// issued; nil: nobody is told.
	Changed func()
}

// IssuerConfig says which tokens of one issuer are accepted. The zero value of
// a field has the default named here.
type IssuerConfig struct {
	Name   string // for metrics and logs; required
	Issuer string // compared byte for byte with iss; required

	Audience      []string // one of these must be in the audience claim; required
	AudienceClaim string   // aud (default), client_id or azp

	Algorithms []string // JWA names; default ES256, RS256, EdDSA
	// TokenTypes lists the accepted values of the header's typ: at+jwt
	// (default), JWT, and none for a header without typ.
	TokenTypes []string

	// RequiredClaims names claims that must each be one of the strings
	// listed, or an array with one of them in it.
	RequiredClaims map[string][]string
	RequiredScopes []string // all must be present; none: any scope will do
	ScopeClaims    []string // their union counts; default scope, scp

	SubjectClaim   string   // default sub
	ClientIDClaims []string // the first present counts; default client_id, azp, appid
	TokenIDClaims  []string // the first present counts; default jti, uti

	Leeway      time.Duration // how far nbf and iat may be ahead, 0 to 60 s; exp has none
	MaxLifetime time.Duration // how long one AUTH carries a session at most; default 24 h

	// RemovalGrace is how long sessions are served after the issuer was removed;
	// 0: no longer. What happens when a key is removed is up to Keys.
	RemovalGrace time.Duration
	Keys         KeySource // required
}

// Verifier checks tokens of its configured issuers. It is safe for concurrent
// use.
type Verifier struct {
	now         func() time.Time
	changed     func()
	revocations *Revocations
	metrics     *Metrics
	cache       tokenCache
	workers     workers

	mu    sync.Mutex // one SetIssuers at a time
	trust atomic.Pointer[trust]
}

// trust is immutable.
type trust struct {
	issuers map[string]*issuer // by iss
	removed map[string]removal
}

// NewVerifier returns a verifier, or an error that names the issuer and the
// field at fault.
func NewVerifier(c Config) (*Verifier, error) {
	v := &Verifier{
		now: c.Now, changed: c.Changed, revocations: c.Revocations, metrics: c.Metrics,
		cache: tokenCache{max: c.Remember}, workers: workers{max: c.Workers},
	}
	if v.workers.max == 0 {
		v.workers.max = runtime.GOMAXPROCS(0)
	}
	if v.now == nil {
		v.now = time.Now
	}
	v.trust.Store(new(trust))
	if err := v.SetIssuers(c.Issuers); err != nil {
		return nil, err
	}
	return v, nil
}

// SetIssuers replaces all issuers at once; after an error nothing has changed.
// A Verify that is under way ends with the issuers that it began with. Standing
// may be another afterwards.
func (v *Verifier) SetIssuers(configs []IssuerConfig) error {
	if len(configs) == 0 {
		return errors.New("auth: no issuers")
	}
	byIss := make(map[string]*issuer, len(configs))
	names := make(map[string]bool, len(configs))
	for _, c := range configs {
		iss, err := newIssuer(c)
		if err != nil {
			return fmt.Errorf("auth: issuer %q: %w", c.Name, err)
		}
		if byIss[c.Issuer] != nil || names[c.Name] {
			return fmt.Errorf("auth: issuer %q: its name or issuer is configured twice", c.Name)
		}
		byIss[c.Issuer], names[c.Name] = iss, true
	}
	v.replace(byIss)
	return nil
}

func (v *Verifier) replace(issuers map[string]*issuer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old, now := v.trust.Load(), time.Now()
	removed := old.removals(issuers, now)
	for url, iss := range issuers { // what is remembered of one that stays as it was, stays
		if before := old.issuers[url]; before != nil && before.same(iss) {
			issuers[url] = before
		}
	}
	v.trust.Store(&trust{issuers, removed})
	for _, r := range removed {
		if r.at.Equal(now) && r.grace > 0 && v.changed != nil {
			time.AfterFunc(r.grace, v.changed)
		}
	}
}

// Verify checks an access token, a compact JWS, and returns whom it speaks for.
// A token that is bound to a client certificate needs the connection's proof.
// The error is always an *Error. When the token's key is not known, Verify waits
// for the issuer's next key set, at most until ctx ends; with a known key it
// never waits.
func (v *Verifier) Verify(ctx context.Context, raw string, proof Proof) (*Identity, error) {
	identity, refusal := v.verify(ctx, raw, proof)
	if refusal != nil {
		return nil, refusal
	}
	return identity, nil
}
