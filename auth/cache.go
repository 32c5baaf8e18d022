package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// tokenCache remembers tokens that were verified, by the SHA-256 of all of their
// bytes, the signature among them (Identity.Digest leaves that out), so that a
// device that reconnects need not have it checked again. What it remembers is what
// a token says; whether that still holds is looked at each time (Verifier.Recall).
type tokenCache struct {
	max int // tokens at most; 0: it remembers none

	mu      sync.Mutex
	tokens  map[digest]*Identity // what a token says, without its bytes
	sweepAt int                  // how many tokens there are when the expired ones are looked for
}

type digest [sha256.Size]byte

// key returns the key that a token would be verified with now.
func (g *Grant) key() *publicKey {
	kid := ""
	if g.named {
		kid = g.KeyID
	}
	key, _ := g.issuer.Keys.Current().find(kid, g.alg)
	return key
}

// maxRemembered is the longest token that is remembered, in bytes: an Identity
// has all its scopes, so a long one costs much.
const maxRemembered = 4 << 10

// minSweep keeps a small cache from being swept all the time.
const minSweep = 1024

// get returns nil for a token that is not remembered.
func (c *tokenCache) get(token digest) *Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[token]
}

// add makes room first: expired tokens go when there are twice as many as the
// last look left, and when that is not enough, an eighth of the others, whichever
// they are: those devices pay for one signature more.
func (c *tokenCache) add(raw string, id *Identity, now time.Time) {
	if c.max == 0 || len(raw) > maxRemembered {
		return
	}
	token := digest(sha256.Sum256([]byte(raw)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = make(map[digest]*Identity)
		c.sweepAt = min(minSweep, c.max)
	}
	if len(c.tokens) >= c.sweepAt {
		c.sweep(now)
	}
	c.tokens[token] = id
}

func (c *tokenCache) sweep(now time.Time) {
	for token, id := range c.tokens {
		if !now.Before(id.Expires) {
			delete(c.tokens, token)
		}
	}
	if excess := len(c.tokens) - c.max*7/8; len(c.tokens) >= c.max {
		for token := range c.tokens {
			if excess--; excess < 0 {
				break
			}
			delete(c.tokens, token)
		}
	}
	c.sweepAt = min(max(2*len(c.tokens), minSweep), c.max)
}

// forget drops a token that no longer holds.
func (c *tokenCache) forget(token digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tokens, token)
}

// Recall returns whom a token speaks for that was verified before, and whose
// reasons still hold, without looking at its signature; nil when it must be
// verified, also to learn why it is refused. It does not wait, and needs a hundredth
// of the time.
//
// A token is not recalled once it has expired, once its issuer's configuration
// changed, the issuer's set (or one that is not too old) no longer has its key
// under the token's kid and for its alg, it was revoked, or it is bound to another
// client certificate than the connection's.
func (v *Verifier) Recall(raw string, proof Proof) *Identity {
	if v.cache.max == 0 {
		return nil
	}
	token := digest(sha256.Sum256([]byte(raw)))
	id := v.cache.get(token)
	if id != nil && !v.holds(token, id, proof) {
		id = nil
	}
	v.metrics.recalled(id != nil)
	return id
}

// holds reports whether everything still is as when the token was verified.
func (v *Verifier) holds(token digest, id *Identity, proof Proof) bool {
	iss, now := id.issuer, v.now()
	key := id.key()
	if v.trust.Load().issuers[iss.Issuer] != iss || !now.Before(id.Expires) || key == nil || key.thumbprint != id.Thumbprint {
		v.cache.forget(token)
		return false
	}
	return now.Unix() >= id.validFrom && proof.confirms(id.binding) == nil && v.permit(iss, id) == nil
}
