package auth

import (
	"context"
	"crypto"
	"errors"
	"slices"
)

// KeySource is where an issuer's keys come from: a Remote, or StaticKeys.
type KeySource interface {
	// Current returns the keys in use, or nil when there are none that can
	// be relied on. It never waits.
	Current() *KeySet
	// WaitForKey waits for a set that has kid, or until it is known that the
	// issuer does not publish it. An empty kid asks for any set.
	//
	// Its error is an *Error: UnknownKey only when a set that was fetched
	// after the call lacks kid, otherwise KeysUnavailable with the time
	// after which it makes sense to come again.
	WaitForKey(ctx context.Context, kid string) (*KeySet, error)
	// Standing says whether the key of a token that was verified before, by
	// its RFC 7638 thumbprint, still is one of the issuer's: that it Stands, is
	// Departing, or Departed. It never waits, and an issuer that cannot be
	// asked changes nothing.
	Standing(thumbprint string) Standing
}

// KeySet is the public keys of one issuer, those that can be used. It is
// immutable.
type KeySet struct {
	byID map[string][]*publicKey // under one kid one key, listed for each of its algorithms
	all  []*publicKey            // with those that have no kid
}

// publicKey is one usable key of a set.
type publicKey struct {
	id         string
	thumbprint string // RFC 7638 with SHA-256, base64url: the same key, whatever its id
	alg        string // the only algorithm it may be used with; empty: any that fits
	public     crypto.PublicKey
}

// Len returns how many usable keys the set has; a nil set has none.
func (s *KeySet) Len() int {
	if s == nil {
		return 0
	}
	return len(s.all)
}

// Holds reports whether the set has a usable key with this thumbprint (RFC 7638
// with SHA-256, base64url), whatever its id.
func (s *KeySet) Holds(thumbprint string) bool {
	return s != nil && slices.ContainsFunc(s.all, func(k *publicKey) bool { return k.thumbprint == thumbprint })
}

// Has reports whether the set has a usable key with this id.
func (s *KeySet) Has(kid string) bool {
	return s != nil && len(s.byID[kid]) > 0
}

var (
	errNoKey     = errors.New("the issuer publishes no such key")
	errAmbiguous = errors.New("no kid, and not exactly one key that fits alg")
	errMisfit    = errors.New("alg does not fit the key")
)

// find returns the key for a token's kid and alg. Without kid it must be plain
// which one is meant (RFC 7517 section 4.5 leaves this open).
func (s *KeySet) find(kid, alg string) (*publicKey, *Error) {
	if s == nil {
		return nil, refuse(UnknownKey, "kid", errNoKey)
	}
	if kid != "" {
		if !s.Has(kid) {
			return nil, refuse(UnknownKey, "kid", errNoKey)
		}
		for _, key := range s.byID[kid] {
			if key.fits(alg) {
				return key, nil
			}
		}
		return nil, refuse(Algorithm, "alg", errMisfit)
	}
	var only *publicKey
	for _, key := range s.all {
		if !key.fits(alg) {
			continue
		}
		if only != nil {
			return nil, refuse(UnknownKey, "kid", errAmbiguous)
		}
		only = key
	}
	if only == nil {
		return nil, refuse(UnknownKey, "kid", errAmbiguous)
	}
	return only, nil
}

func (k *publicKey) fits(alg string) bool {
	return fits(alg, k.public) && (k.alg == "" || sameAlgorithm(k.alg, alg))
}

// sameAlgorithm treats EdDSA and Ed25519 as one: RFC 9864 renamed it, and an
// issuer's tokens and key set need not follow on the same day.
func sameAlgorithm(a, b string) bool {
	if a == "Ed25519" {
		a = "EdDSA"
	}
	if b == "Ed25519" {
		b = "EdDSA"
	}
	return a == b
}

// StaticKeys is a source whose keys never change.
func StaticKeys(set *KeySet) KeySource { return staticKeys{set} }

type staticKeys struct{ set *KeySet }

func (s staticKeys) Current() *KeySet { return s.set }

func (s staticKeys) WaitForKey(_ context.Context, kid string) (*KeySet, error) {
	if s.set != nil && (kid == "" || s.set.Has(kid)) {
		return s.set, nil
	}
	return nil, refuse(UnknownKey, "kid", errNoKey)
}

// Standing has no grace: that these keys replaced others was no fetch's mistake.
func (s staticKeys) Standing(thumbprint string) Standing {
	if s.set.Holds(thumbprint) {
		return Standing{}
	}
	return Standing{State: Departed}
}
