package devissuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// checkChallenge demands PKCE with S256 (RFC 7636 section 4.3) of everybody
// (RFC 9700 section 2.1.1).
func checkChallenge(challenge, method string) *tokenError {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	switch {
	case challenge == "":
		return invalidRequest("code_challenge is missing")
	case method != "S256":
		return invalidRequest("code_challenge_method is not S256")
	case err != nil || len(raw) != sha256.Size || len(challenge) != 43:
		return invalidRequest("code_challenge is not the base64url form of a SHA-256 digest")
	}
	return nil
}

// verifies reports whether verifier has the form of RFC 7636 section 4.1 and
// makes challenge.
func verifies(verifier, challenge string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, unreserved) != "" {
		return false
	}
	digest := sha256.Sum256([]byte(verifier))
	made := base64.RawURLEncoding.EncodeToString(digest[:])
	return subtle.ConstantTimeCompare([]byte(made), []byte(challenge)) == 1
}
