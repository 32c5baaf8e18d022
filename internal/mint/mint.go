// Package mint makes what an authorization server makes: signing keys, signed
// tokens and the public JSON of a key. The development issuer and the tests'
// issuer are built on it; the gateway, which only checks, never imports it.
package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that signing asks for by name
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
)

// Algorithms lists what NewKey can make, by their JWA names (RFC 7518 section
// 3.1, RFC 8037, RFC 9864).
var Algorithms = []string{
	"ES256", "ES384", "ES512", "RS256", "RS384", "RS512",
	"PS256", "PS384", "PS512", "EdDSA", "Ed25519",
}

// Key is a private signing key with the id under which it is published. It is
// safe for concurrent use.
type Key struct {
	ID        string
	Algorithm string
	signer    crypto.Signer
}

// NewKey makes a key for one of Algorithms; RSA keys have 2048 bits.
func NewKey(algorithm, id string) (*Key, error) {
	var signer crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		signer, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA", "Ed25519":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("mint: no algorithm %q", algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("mint: %w", err)
	}
	return &Key{ID: id, Algorithm: algorithm, signer: signer}, nil
}

// FromSigner wraps an existing private key (RSA, ECDSA or Ed25519).
func FromSigner(algorithm, id string, signer crypto.Signer) *Key {
	return &Key{ID: id, Algorithm: algorithm, signer: signer}
}

// Public returns the public half.
func (k *Key) Public() crypto.PublicKey { return k.signer.Public() }

// Token signs claims as a compact JWS (RFC 7515 section 7.1). The header has
// the key's alg and kid and typ at+jwt (RFC 9068); members of header replace
// these, and a nil one removes its member.
func (k *Key) Token(header, claims map[string]any) (string, error) {
	h := map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "at+jwt"}
	for name, value := range header {
		h[name] = value
		if value == nil {
			delete(h, name)
		}
	}
	rawHeader, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("mint: header: %w", err)
	}
	rawClaims, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("mint: claims: %w", err)
	}
	return k.TokenRaw(rawHeader, rawClaims)
}

// TokenRaw signs a header and a payload as they are, whatever they hold.
func (k *Key) TokenRaw(header, payload []byte) (string, error) {
	input := encode(header) + "." + encode(payload)
	signature, err := k.Sign([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

// Sign returns the JWS signature of input with the key's own algorithm,
// whatever a header around it may claim.
func (k *Key) Sign(input []byte) ([]byte, error) {
	if priv, ok := k.signer.(ed25519.PrivateKey); ok {
		return ed25519.Sign(priv, input), nil
	}
	hash := hashOf(k.Algorithm)
	digester := hash.New()
	digester.Write(input)
	digest := digester.Sum(nil)
	switch priv := k.signer.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, priv, digest)
		if err != nil {
			return nil, fmt.Errorf("mint: %w", err)
		}
		size := (priv.Curve.Params().BitSize + 7) / 8
		signature := make([]byte, 2*size)
		r.FillBytes(signature[:size])
		s.FillBytes(signature[size:])
		return signature, nil
	case *rsa.PrivateKey:
		if k.Algorithm[0] == 'P' {
			return rsa.SignPSS(rand.Reader, priv, hash, digest,
				&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, priv, hash, digest)
	}
	return nil, fmt.Errorf("mint: no signing with %T", k.signer)
}

func hashOf(algorithm string) crypto.Hash {
	switch algorithm[len(algorithm)-3:] {
	case "384":
		return crypto.SHA384
	case "512":
		return crypto.SHA512
	}
	return crypto.SHA256
}

// JWK returns the public key as an RFC 7517 object with kid, alg and use;
// members of extra replace these, and a nil one removes its member.
func (k *Key) JWK(extra map[string]any) map[string]any {
	jwk := map[string]any{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	switch pub := k.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 0x04, then both coordinates at full width
		if err != nil {
			panic("mint: own key is off its curve: " + err.Error())
		}
		size := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"] = "EC", pub.Curve.Params().Name
		jwk["x"], jwk["y"] = encode(point[1:1+size]), encode(point[1+size:])
	case *rsa.PublicKey:
		jwk["kty"] = "RSA"
		jwk["n"], jwk["e"] = encode(pub.N.Bytes()), encode(big.NewInt(int64(pub.E)).Bytes())
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(pub)
	}
	maps.Copy(jwk, extra)
	maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == nil })
	return jwk
}

// JWKS returns the RFC 7517 section 5 document that publishes keys.
func JWKS(keys ...*Key) []byte {
	list := make([]map[string]any, 0, len(keys))
	for _, k := range keys {
		list = append(list, k.JWK(nil))
	}
	doc, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		panic("mint: own keys do not marshal: " + err.Error())
	}
	return doc
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
