package auth

import (
	"encoding/base64"
	"errors"
	"strings"
)

// token is a compact JWS taken apart (RFC 7515 section 7.1). Nothing in it is to
// be believed unless verified is set.
type token struct {
	alg, kid  string
	typ       string
	hasTyp    bool
	claims    object
	grant     Grant  // until its own is found or made
	signed    string // header and payload as they came, which the signature covers
	signature []byte
	verified  bool // the signature is the issuer's
}

var (
	errByte     = errors.New("a byte that no compact JWS has")
	errParts    = errors.New("not three parts")
	errEmpty    = errors.New("an empty part")
	errEncoding = errors.New("not base64url in its one spelling")
	errCritical = errors.New("extensions are not understood")
	errTooLong  = errors.New("longer than 256 bytes")
	errMissing  = errors.New("missing")
)

// maxName is the most bytes that an issuer, subject, client id, token id or key
// id may have.
const maxName = 256

// parseToken reads bytes, structure and header. The members jku, x5u, jwk and
// x5c, by which a token could bring its own key, are ignored like any unknown
// one.
func parseToken(raw string) (*token, *Error) {
	// Before decoding: encoding/base64 skips CR and LF, even when strict.
	for i := range len(raw) {
		if !tokenByte[raw[i]] {
			return nil, refuse(Format, "", errByte)
		}
	}
	header, rest, found := strings.Cut(raw, ".")
	payload, signature, found2 := strings.Cut(rest, ".")
	if !found || !found2 || strings.IndexByte(signature, '.') >= 0 {
		return nil, refuse(Format, "", errParts)
	}
	if header == "" || payload == "" { // an empty signature is that of alg none
		return nil, refuse(Format, "", errEmpty)
	}
	t := &token{signed: raw[:len(header)+1+len(payload)]}
	var err error
	if t.signature, err = base64url.DecodeString(signature); err != nil {
		return nil, refuse(Format, "", errEncoding)
	}
	members, err := decodeObject(header)
	if err != nil {
		return nil, refuse(Format, "", err)
	}
	if err := t.readHeader(members); err != nil {
		return nil, err
	}
	if t.claims, err = decodeObject(payload); err != nil {
		return nil, refuse(Format, "", err)
	}
	return t, nil
}

func (t *token) readHeader(members object) *Error {
	// A recipient must refuse extensions that it does not understand (RFC
	// 7515 section 4.1.11), and this one understands none. b64 would change
	// what is signed (RFC 7797) and is only lawful when listed in crit.
	for _, name := range [...]string{"crit", "b64"} {
		if members.has(name) {
			return refuse(Format, name, errCritical)
		}
	}
	var found bool
	var err error
	if t.alg, found, err = members.text("alg"); err != nil {
		return refuse(Format, "alg", err)
	} else if !found {
		return refuse(Format, "alg", errMissing)
	}
	if t.typ, t.hasTyp, err = members.text("typ"); err != nil {
		return refuse(Format, "typ", err)
	}
	if t.kid, _, err = members.text("kid"); err != nil {
		return refuse(Format, "kid", err)
	}
	if len(t.kid) > maxName {
		t.kid = ""
		return refuse(Claims, "kid", errTooLong)
	}
	return nil
}

func decodeObject(part string) (object, error) {
	doc, err := base64url.DecodeString(part)
	if err != nil {
		return nil, errEncoding
	}
	return parseObject(doc)
}

// base64url refuses padding, and bits behind the last byte that are not zero:
// a token has one spelling only.
var base64url = base64.RawURLEncoding.Strict()

var tokenByte = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_." {
		set[c] = true
	}
	return set
}()

func refuse(outcome Outcome, claim string, err error) *Error {
	return &Error{Outcome: outcome, Claim: claim, Err: err}
}
