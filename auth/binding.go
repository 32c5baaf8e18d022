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
	// Session says that the client was authenticated before, and renews: its
	// token is verified before those of strangers.
	Session bool
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
func checkBinding(t *token, proof Proof, id *Identity) *Error {
	raw, found := t.claims.get("cnf")
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
	thumbprint, err := base64url.DecodeString(text)
	if err != nil || len(thumbprint) != sha256.Size || base64url.EncodeToString(thumbprint) != text { // it skips CR and LF
		return refuse(Binding, "cnf", errConfirmation)
	}
	id.binding = (*[sha256.Size]byte)(thumbprint)
	if err := proof.confirms(id.binding); err != nil {
		return refuse(Binding, "cnf", err)
	}
	return nil
}

// confirms compares with the thumbprint of the certificate that a token is bound
// to; nil is that of a token for its bearer.
func (p Proof) confirms(binding *[sha256.Size]byte) error {
	if binding == nil {
		return nil
	}
	if p.Certificate == nil {
		return errNoProof
	}
	actual := sha256.Sum256(p.Certificate)
	if subtle.ConstantTimeCompare(binding[:], actual[:]) != 1 {
		return errOtherProof
	}
	return nil
}
