package devissuer

import (
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/linegate/linegate/internal/mint"
)

// maxRetiring bounds how many keys are published beside the signing one and its
// successor: rotation on request must not grow the key set for ever. The
// timer alone does not reach it.
const maxRetiring = MaxRotations + 2

// errTooManyKeys is returned by rotate until the oldest key retires.
var errTooManyKeys = errors.New("too many keys wait for the last token they signed to expire")

// keyRing holds the keys in the three ages of their lives. A key is published
// first, and signs only from the rotation after that, when verifiers have long
// seen it; it retires when no token that it signed can be valid any more.
type keyRing struct {
	algorithm string
	lifetime  time.Duration // of tokens

	mu       sync.Mutex // guards what follows
	next     *mint.Key  // published, signs after the next rotation
	signing  *mint.Key
	retiring []retiringKey // oldest first
}

type retiringKey struct {
	key   *mint.Key
	until time.Time // by then every token that it signed has expired
}

func newKeyRing(algorithm string, lifetime time.Duration) (*keyRing, error) {
	signing, err := newKey(algorithm)
	if err != nil {
		return nil, err
	}
	next, err := newKey(algorithm)
	if err != nil {
		return nil, err
	}
	return &keyRing{algorithm: algorithm, lifetime: lifetime, signing: signing, next: next}, nil
}

// newKey makes a key with an id that no earlier run of this server used: a
// verifier that outlives a restart must not take the new key for an old one.
func newKey(algorithm string) (*mint.Key, error) {
	return mint.NewKey(algorithm, "dev-"+rand.Text()[:10])
}

// signer returns the key that signs. A token's iat must have been read from
// the clock before, or it may outlive its key.
func (r *keyRing) signer() *mint.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signing
}

// published returns the keys to publish at now, the signing one first.
func (r *keyRing) published(now time.Time) []*mint.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retire(now)
	keys := []*mint.Key{r.signing, r.next}
	for _, old := range r.retiring {
		keys = append(keys, old.key)
	}
	return keys
}

// rotate moves every key on by one age and returns the one that signs now.
func (r *keyRing) rotate(now time.Time) (signing *mint.Key, err error) {
	fresh, err := newKey(r.algorithm) // slow for RSA: not under the lock
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retire(now)
	if len(r.retiring) == maxRetiring {
		return nil, errTooManyKeys
	}
	r.retiring = append(r.retiring, retiringKey{key: r.signing, until: now.Add(r.lifetime)})
	r.signing, r.next = r.next, fresh
	return r.signing, nil
}

// retire forgets the keys whose time has come.
func (r *keyRing) retire(now time.Time) {
	r.retiring = slices.DeleteFunc(r.retiring, func(old retiringKey) bool {
		return !now.Before(old.until)
	})
}
