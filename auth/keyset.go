package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// ErrNoUsableKey is what ParseKeySet's error wraps when the document is a key
// set without a key that could verify a token.
var ErrNoUsableKey = errors.New("auth: no usable key in the set")

// ParseKeySet reads a JWK set (RFC 7517 section 5). A key that cannot verify
// tokens, or must not, is left out and does not fail the others: one of an
// unknown type or for another use, one that is private, symmetric, too weak or
// off its curve, one whose kid stands for another key as well, even one of another
// type or algorithm (RFC 7517 section 4.5 would allow that). skipped says why, one
// error for each.
//
// It fails when the document is no JWK set, or one of more than 1,000 keys, and
// when no usable key remains.
func ParseKeySet(doc []byte) (set *KeySet, skipped []error, err error) {
	members, err := parseObject(doc)
	if err != nil {
		return nil, nil, fmt.Errorf("auth: key set: %w", err)
	}
	list, _ := members.get("keys")
	var entries []json.RawMessage
	if err := json.Unmarshal([]byte(list), &entries); err != nil || entries == nil {
		return nil, nil, errors.New(`auth: key set: no array "keys"`)
	}
	if len(entries) > maxKeys {
		return nil, nil, fmt.Errorf("auth: key set: more than %d keys", maxKeys)
	}
	set = &KeySet{byID: make(map[string][]*publicKey, len(entries))}
	conflicts := map[string]bool{}
	for i, entry := range entries {
		key, err := parseKey(entry)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d%s: %w", i, kidOf(entry), err))
			continue
		}
		switch others := set.byID[key.id]; {
		case slices.ContainsFunc(others, key.differs):
			conflicts[key.id] = true
			skipped = append(skipped, fmt.Errorf("key %d%s: %w", i, kidOf(entry), errConflict))
		case slices.ContainsFunc(others, key.joins): // one key published twice
		default:
			set.add(key)
		}
	}
	set.drop(conflicts)
	if len(set.all) == 0 {
		return nil, skipped, ErrNoUsableKey
	}
	return set, skipped, nil
}

// maxKeys is the most entries of a set, used or left out.
const maxKeys = 1000

func (s *KeySet) add(key *publicKey) {
	s.all = append(s.all, key)
	if key.id != "" {
		s.byID[key.id] = append(s.byID[key.id], key)
	}
}

// drop removes the keys whose id is in ids.
func (s *KeySet) drop(ids map[string]bool) {
	kept := s.all[:0]
	for _, key := range s.all {
		if ids[key.id] {
			delete(s.byID, key.id)
		} else {
			kept = append(kept, key)
		}
	}
	s.all = kept
}

var (
	errKeyJSON   = errors.New("not a complete JWK of a known type")
	errPrivate   = errors.New("a private key; it is no secret any more")
	errSymmetric = errors.New("a symmetric key")
	errUse       = errors.New("not for signatures")
	errKeyOps    = errors.New("not for verifying")
	errKeyAlg    = errors.New("for an algorithm that is not supported")
	errRSA       = errors.New("RSA of fewer than 2048 or more than 8192 bits, or with a bad modulus or exponent")
	errCurve     = errors.New("an unsupported curve, or a point that is not on it")
	errConflict  = errors.New("another key has the same kid")
)

// parseKey is the only user of jwx in the package: its parsing and key types,
// one key at a time. What jwx lets pass is checked here.
func parseKey(entry []byte) (*publicKey, error) {
	if _, err := parseObject(entry); err != nil {
		return nil, err // jwx takes the last of two members
	}
	parsed, err := jwk.ParseKey(entry)
	if err != nil {
		return nil, errKeyJSON // what jwx says may quote the key
	}
	if _, ok := parsed.(jwk.SymmetricKey); ok {
		return nil, errSymmetric
	}
	if private, err := jwk.IsPrivateKey(parsed); err != nil || private {
		return nil, errPrivate
	}
	if use := parsed.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return nil, errUse
	}
	if ops := parsed.KeyOps(); len(ops) > 0 && !forVerifying(ops) {
		return nil, errKeyOps
	}
	if len(parsed.KeyID()) > maxName {
		return nil, errTooLong
	}
	key := &publicKey{id: parsed.KeyID()}
	if key.public, err = publicOf(parsed); err != nil {
		return nil, err
	}
	if key.thumbprint, err = thumbprint(key.public); err != nil {
		return nil, err
	}
	if alg := parsed.Algorithm(); alg != nil && alg.String() != "" {
		key.alg = alg.String()
		if !fits(key.alg, key.public) {
			return nil, errKeyAlg
		}
	}
	return key, nil
}

// thumbprint names a key by what it is (RFC 7638), however its JWK was written.
func thumbprint(public crypto.PublicKey) (string, error) {
	canonical, err := jwk.FromRaw(public)
	if err != nil {
		return "", errKeyJSON
	}
	sum, err := canonical.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errKeyJSON
	}
	return base64url.EncodeToString(sum), nil
}

func forVerifying(ops jwk.KeyOperationList) bool {
	for _, op := range ops {
		if op == jwk.KeyOpVerify {
			return true
		}
	}
	return false
}

// publicOf returns the key as the standard library knows it, or why it must not
// be used.
func publicOf(parsed jwk.Key) (crypto.PublicKey, error) {
	switch parsed := parsed.(type) {
	case jwk.RSAPublicKey:
		n, e := new(big.Int).SetBytes(parsed.N()), new(big.Int).SetBytes(parsed.E())
		if n.BitLen() < minRSA || n.BitLen() > maxRSA || n.Bit(0) == 0 ||
			e.BitLen() > 31 || e.Bit(0) == 0 || e.Int64() < 3 {
			return nil, errRSA
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case jwk.ECDSAPublicKey:
		key := new(ecdsa.PublicKey)
		if err := parsed.Raw(key); err != nil {
			return nil, errCurve
		}
		if _, err := key.ECDH(); err != nil { // checks the curve and the point
			return nil, errCurve
		}
		return key, nil
	case jwk.OKPPublicKey:
		if parsed.Crv() != jwa.Ed25519 || len(parsed.X()) != ed25519.PublicKeySize {
			return nil, errCurve
		}
		return ed25519.PublicKey(parsed.X()), nil
	}
	return nil, errKeyJSON
}

// RSA below minRSA bits is too weak (RFC 7518 section 3.3); above maxRSA one
// signature would cost as much as dozens.
const (
	minRSA = 2048
	maxRSA = 8192
)

func (k *publicKey) differs(other *publicKey) bool { return !k.same(other) }

// joins makes one of two entries with the same key, if one is for all that the
// other is for, and reports whether it did: other then stands for both.
func (k *publicKey) joins(other *publicKey) bool {
	if !k.same(other) || k.alg != "" && other.alg != "" && !sameAlgorithm(k.alg, other.alg) {
		return false
	}
	if k.alg == "" {
		other.alg = ""
	}
	return true
}

func (k *publicKey) same(other *publicKey) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.public)
}

// kidOf names an entry's kid for a log, bounded and escaped.
func kidOf(entry []byte) string {
	members, err := parseObject(entry)
	if err != nil {
		return ""
	}
	kid, found, err := members.text("kid")
	if !found || err != nil {
		return ""
	}
	return " " + strconv.QuoteToASCII(kid[:min(len(kid), 64)])
}
