package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that golang-jwt asks for by number
	_ "crypto/sha512"

	"github.com/golang-jwt/jwt/v5"
)

// algorithms are those a gateway can be told to accept, by their JWA names
// (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2). All are
// asymmetric: whoever can check a symmetric signature can also make one.
//
// golang-jwt does the signatures and nothing else, since it takes any crit and
// any typ and reads claims without regard to case. Ed25519 is the name that RFC
// 9864 gives to what EdDSA does with that curve.
var algorithms = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
	"PS256": strict(jwt.SigningMethodPS256), "PS384": strict(jwt.SigningMethodPS384), "PS512": strict(jwt.SigningMethodPS512),
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "ES512": jwt.SigningMethodES512,
	"EdDSA": jwt.SigningMethodEdDSA, "Ed25519": jwt.SigningMethodEdDSA,
}

// strict demands a salt as long as the digest (RFC 7518 section 3.5). golang-jwt
// verifies with any.
func strict(pss *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	method := *pss
	method.VerifyOptions = method.Options
	return &method
}

// verifySignature checks a signature with a key that fits alg.
func verifySignature(alg, signed string, signature []byte, key crypto.PublicKey) error {
	return algorithms[alg].Verify(signed, signature, key)
}

// fits reports whether alg is one of algorithms that a key of this type and
// curve can sign with.
func fits(alg string, key crypto.PublicKey) bool {
	switch method := algorithms[alg].(type) {
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		_, ok := key.(*rsa.PublicKey)
		return ok
	case *jwt.SigningMethodECDSA:
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k.Curve.Params().BitSize == method.CurveBits
	case *jwt.SigningMethodEd25519:
		_, ok := key.(ed25519.PublicKey)
		return ok
	}
	return false
}
