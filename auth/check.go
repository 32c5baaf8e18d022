package auth

import (
	"context"
	"crypto/sha256"
	"errors"
)

// check is one token on its way through the verifier.
type check struct {
	v     *Verifier
	raw   string
	proof Proof

	token  *token
	issuer *issuer
	awaits bool // the key, which is all that is missing

	identity *Identity
	refusal  *Error
}

func (v *Verifier) verify(ctx context.Context, raw string, proof Proof) (*Identity, *Error) {
	c := &check{v: v, raw: raw, proof: proof}
	who := stranger
	if proof.Session {
		who = client
	}
	busy := v.workers.do(ctx, who, c.begin)
	if busy == nil && c.awaits {
		var keys *KeySet
		if keys, c.refusal = waitForKey(ctx, c.issuer.Keys, c.token.kid); c.refusal == nil {
			busy = v.workers.do(ctx, who, func() { c.conclude(keys) })
		}
	}
	if busy != nil {
		c.refusal = busy
	}
	return c.verdict()
}

// verdict says of a refused token what can be said.
func (c *check) verdict() (*Identity, *Error) {
	if c.refusal == nil {
		return c.identity, nil
	}
	if c.token != nil {
		c.refusal.KeyID = c.token.kid
	}
	if c.issuer != nil {
		c.refusal.IssuerName = c.issuer.Name
		if c.token.verified {
			c.refusal.Subject, c.refusal.ClientID, c.refusal.TokenID = c.issuer.names(c.token)
		}
	}
	return nil, c.refusal
}

// begin is the order of checks: structure, issuer, header, key, and the rest
// when the key is known.
func (c *check) begin() {
	if c.token, c.refusal = parseToken(c.raw); c.refusal != nil {
		return
	}
	if c.issuer, c.refusal = c.v.issuerOf(c.token); c.refusal != nil {
		return
	}
	if c.refusal = c.issuer.checkHeader(c.token); c.refusal != nil {
		return
	}
	if len(c.token.signature) == 0 { // no key could save it
		c.refusal = refuse(Signature, "", errEmpty)
		return
	}
	keys := c.issuer.Keys.Current()
	_, refusal := keys.find(c.token.kid, c.token.alg)
	if refusal == nil || refusal.Outcome != UnknownKey || c.token.kid == "" && keys != nil {
		c.conclude(keys)
		return
	}
	// What no key could save does not get to wait, or to cause a fetch; what
	// passes here is checked again after the wait.
	_, c.refusal = c.issuer.identify(c.token, c.proof, c.v.now())
	c.awaits = c.refusal == nil
}

// conclude is the rest of the checks: signature, claims, and what is permitted.
func (c *check) conclude(keys *KeySet) {
	key, refusal := keys.find(c.token.kid, c.token.alg)
	if refusal != nil {
		c.refusal = refusal
		return
	}
	t := c.token
	if err := verifySignature(t.alg, t.signed, t.signature, key.public); err != nil {
		c.refusal = refuse(Signature, "", err)
		return
	}
	t.verified = true
	identity, refusal := c.issuer.identify(t, c.proof, c.v.now())
	if refusal != nil {
		c.refusal = refusal
		return
	}
	identity.KeyID, identity.Thumbprint = key.id, key.thumbprint
	identity.own()
	identity.Digest = sha256.Sum256([]byte(t.signed))
	if c.refusal = c.v.permit(c.issuer, identity); c.refusal != nil {
		return
	}
	c.identity = identity
	c.v.cache.add(c.raw, identity, c.v.now())
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
