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

var errUnknownKey = errors.New("no key with this kid is published")

// keyRing holds the keys in the three ages of their lives. A key is published
// first, and signs only from the rotation after that, when verifiers have long
// seen it; it retires when no token that it signed can be valid any more.
type keyRing struct {
	mu        sync.Mutex // guards what follows
	algorithm string     // of keys to come
	lifetime  time.Duration
	longest   time.Duration // lifetime of a token that the signing key has signed
	next      *mint.Key     // published, signs after the next rotation
	signing   *mint.Key
	retiring  []retiringKey // oldest first
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
	return &keyRing{algorithm: algorithm, lifetime: lifetime, longest: lifetime, signing: signing, next: next}, nil
}

// newKey makes a key with an id that no earlier run of this server used: a
// verifier that outlives a restart must not take the new key for an old one.
func newKey(algorithm string) (*mint.Key, error) {
	return mint.NewKey(algorithm, "dev-"+rand.Text()[:10])
}

// signer returns the key that signs and the lifetime of what it signs. A
// token's iat must have been read from the clock before, or it may outlive its
// key.
func (r *keyRing) signer() (*mint.Key, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signing, r.lifetime
}

// published returns the keys to publish at now, the signing one first, then the
// one that signs next.
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

// publishes reports whether a key with this id is published.
func (r *keyRing) publishes(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.signing.ID == id || r.next.ID == id ||
		slices.ContainsFunc(r.retiring, func(old retiringKey) bool { return old.key.ID == id })
}

// rotate moves every key on by one age and returns the one that signs now.
func (r *keyRing) rotate(now time.Time) (signing *mint.Key, err error) {
	fresh, err := r.fresh() // slow for RSA: not under the lock
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retire(now)
	if len(r.retiring) == maxRetiring {
		return nil, errTooManyKeys
	}
	r.retiring = append(r.retiring, retiringKey{key: r.signing, until: now.Add(r.longest)})
	r.advance(fresh)
	return r.signing, nil
}

// remove takes a key out of publication at once, as after a theft; the tokens
// that it signed are worth nothing from then on. Its successor takes its place.
func (r *keyRing) remove(now time.Time, id string) error {
	fresh, err := r.fresh()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retire(now)
	switch id {
	case r.signing.ID:
		r.advance(fresh)
		return nil
	case r.next.ID:
		r.next = fresh
		return nil
	}
	before := len(r.retiring)
	r.retiring = slices.DeleteFunc(r.retiring, func(old retiringKey) bool { return old.key.ID == id })
	if len(r.retiring) == before {
		return errUnknownKey
	}
	return nil
}

// setLifetime changes the lifetime of tokens to come.
func (r *keyRing) setLifetime(lifetime time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lifetime, r.longest = lifetime, max(r.longest, lifetime)
}

// setAlgorithm changes the algorithm of keys to come, the next one included:
// it is published from now on, and signs after the next rotation.
func (r *keyRing) setAlgorithm(algorithm string) error {
	fresh, err := newKey(algorithm)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.algorithm != algorithm {
		r.algorithm, r.next = algorithm, fresh
	}
	return nil
}

// settings returns the algorithm of keys and the lifetime of tokens to come.
func (r *keyRing) settings() (algorithm string, lifetime time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.algorithm, r.lifetime
}

func (r *keyRing) fresh() (*mint.Key, error) {
	algorithm, _ := r.settings()
	return newKey(algorithm)
}

// advance makes the next key sign.
func (r *keyRing) advance(fresh *mint.Key) {
	r.signing, r.next, r.longest = r.next, fresh, r.lifetime
}

// retire forgets the keys whose time has come.
func (r *keyRing) retire(now time.Time) {
	r.retiring = slices.DeleteFunc(r.retiring, func(old retiringKey) bool {
		return !now.Before(old.until)
	})
}
