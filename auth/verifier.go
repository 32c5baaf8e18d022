package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Verifier.
type Config struct {
	Issuers     []IssuerConfig
	Revocations *Revocations // looked at by every Verify and Standing; nil: none
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
	v := &Verifier{now: c.Now, changed: c.Changed, revocations: c.Revocations}
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

func (v *Verifier) verify(ctx context.Context, raw string, proof Proof) (*Identity, *Error) {
	t, refusal := parseToken(raw)
	if refusal != nil {
		return nil, refusal
	}
	iss, refusal := v.issuerOf(t)
	if refusal != nil {
		refusal.KeyID = t.kid
		return nil, refusal
	}
	identity, refusal := v.verifyFor(ctx, iss, t, proof)
	if refusal == nil {
		identity.Digest = sha256.Sum256([]byte(t.signed))
		refusal = v.permit(iss, identity)
	}
	if refusal != nil {
		refusal.IssuerName, refusal.KeyID = iss.Name, t.kid
		if t.verified {
			refusal.Subject, refusal.ClientID, refusal.TokenID = iss.names(t)
		}
		return nil, refusal
	}
	return identity, nil
}

// issuerOf finds the issuer that the token names. That is not yet verified, and
// only chooses the rules and keys to check it by.
func (v *Verifier) issuerOf(t *token) (*issuer, *Error) {
	name, found, err := t.claims.text("iss")
	if !found {
		err = errMissing
	}
	if err != nil {
		return nil, refuse(Issuer, "iss", err)
	}
	iss := v.trust.Load().issuers[name]
	if iss == nil {
		refusal := refuse(Issuer, "iss", errNotConfigured)
		refusal.Iss = name
		return nil, refusal
	}
	return iss, nil
}

var errNotConfigured = errors.New("not a configured issuer")

// verifyFor is the order of checks: header, key, signature, claims.
func (v *Verifier) verifyFor(ctx context.Context, iss *issuer, t *token, proof Proof) (*Identity, *Error) {
	if refusal := iss.checkHeader(t); refusal != nil {
		return nil, refusal
	}
	if len(t.signature) == 0 { // no key could save it
		return nil, refuse(Signature, "", errEmpty)
	}
	keys := iss.Keys.Current()
	key, refusal := keys.find(t.kid, t.alg)
	if refusal != nil && refusal.Outcome == UnknownKey && (t.kid != "" || keys == nil) {
		// What no key could save does not get to wait, or to cause a
		// fetch; what passes here is checked again after the wait.
		if _, refusal := iss.identify(t, proof, v.now()); refusal != nil {
			return nil, refusal
		}
		keys, refusal = waitForKey(ctx, iss.Keys, t.kid)
		if refusal == nil {
			key, refusal = keys.find(t.kid, t.alg)
		}
	}
	if refusal != nil {
		return nil, refusal
	}
	if err := verifySignature(t.alg, t.signed, t.signature, key.public); err != nil {
		return nil, refuse(Signature, "", err)
	}
	t.verified = true
	identity, refusal := iss.identify(t, proof, v.now())
	if refusal != nil {
		return nil, refusal
	}
	identity.own()
	identity.KeyID, identity.Thumbprint = key.id, key.thumbprint
	return identity, nil
}

// permit comes last, when the token is known to be the issuer's: whether it was
// revoked, and whether it has the scopes required. In this order, since
// insufficient_scope is said of valid tokens only, and what one that is not
// verified says of its scopes is not believed, not even to its disadvantage.
func (v *Verifier) permit(iss *issuer, id *Identity) *Error {
	if what := v.revocations.find(id, v.now()); what != nil {
		return refuse(Revoked, "", what)
	}
	return iss.checkScopes(id)
}

func waitForKey(ctx context.Context, source KeySource, kid string) (*KeySet, *Error) {
	keys, err := source.WaitForKey(ctx, kid)
	if err == nil {
		return keys, nil
	}
	if refusal, ok := errors.AsType[*Error](err); ok {
		own := *refusal // the source may share one among many that wait
		return nil, &own
	}
	return nil, refuse(KeysUnavailable, "", err)
}
