package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// Proof is what a connection proves of its client besides the token. The zero
// value proves nothing, as plain TCP does.
type Proof struct {
	// Certificate is the certificate, in DER, whose key the client has shown
	// to hold in the TLS handshake; nil: none.
	Certificate []byte
}

var (
	errConfirmation = errors.New("bound by another method than x5t#S256 alone, which cannot be checked here")
	errNoProof      = errors.New("bound to a client certificate, and the connection has none")
	errOtherProof   = errors.New("bound to another client certificate than the connection's")
)

// checkBinding looks for the confirmation that a bound token asks for (RFC 7800
// section 3.1). The only kind that a connection can give is its TLS client
// certificate (RFC 8705 section 3.1). A token with any other kind, also beside
// that one, is refused: it is not for whoever bears it.
func checkBinding(t *token, proof Proof) *Error {
	raw, found := t.claims["cnf"]
	if !found {
		return nil
	}
	members, err := parseObject([]byte(raw))
	if err != nil {
		return refuse(Binding, "cnf", err)
	}
	text, found, err := members.text("x5t#S256")
	if err != nil || !found || len(members) != 1 {
		return refuse(Binding, "cnf", errConfirmation)
	}
	bound, err := base64url.DecodeString(text)
	if err != nil || len(bound) != sha256.Size || base64url.EncodeToString(bound) != text { // it skips CR and LF
		return refuse(Binding, "cnf", errConfirmation)
	}
	if proof.Certificate == nil {
		return refuse(Binding, "cnf", errNoProof)
	}
	actual := sha256.Sum256(proof.Certificate)
	if subtle.ConstantTimeCompare(bound, actual[:]) != 1 {
		return refuse(Binding, "cnf", errOtherProof)
	}
	return nil
}
