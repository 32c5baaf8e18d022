package authtest

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/linegate/linegate/internal/mint"
)

// Change makes a token differ from the valid one.
type Change func(*draft)

type draft struct {
	header, claims       map[string]any
	rawHeader, rawClaims []byte
	key                  *mint.Key
	edit                 func(string) string
}

// Claim sets a claim; nil removes it.
func Claim(name string, value any) Change { return func(d *draft) { set(d.claims, name, value) } }

// Header sets a member of the header; nil removes it.
func Header(name string, value any) Change { return func(d *draft) { set(d.header, name, value) } }

// OnlyClaims removes every claim; the changes that follow build upon nothing.
func OnlyClaims() Change { return func(d *draft) { clear(d.claims) } }

// RawClaims replaces the payload by bytes that JSON encoding would not make.
func RawClaims(payload string) Change { return func(d *draft) { d.rawClaims = []byte(payload) } }

// RawHeader replaces the header by bytes that JSON encoding would not make.
func RawHeader(header string) Change { return func(d *draft) { d.rawHeader = []byte(header) } }

// SignedBy signs with key, and names it by its id and algorithm.
func SignedBy(key *mint.Key) Change {
	return func(d *draft) {
		d.key = key
		d.header["kid"], d.header["alg"] = key.ID, key.Algorithm
	}
}

// ForgedBy signs with key under the name of the key that signs now.
func ForgedBy(key *mint.Key) Change { return func(d *draft) { d.key = key } }

// ExpiresIn sets exp to that long after now.
func ExpiresIn(d time.Duration) Change { return Claim("exp", time.Now().Add(d).Unix()) }

// Sub sets the subject.
func Sub(subject string) Change { return Claim("sub", subject) }

// Edit changes the finished token's text.
func Edit(edit func(string) string) Change { return func(d *draft) { d.edit = edit } }

// Token mints a token. Without changes it is one that Config accepts, a second
// one with a jti of its own.
func (iss *Issuer) Token(changes ...Change) string {
	iss.t.Helper()
	d := iss.draft()
	for _, change := range changes {
		change(d)
	}
	header, claims := d.rawHeader, d.rawClaims
	var err error
	if header == nil {
		if header, err = json.Marshal(d.header); err != nil {
			iss.t.Fatalf("authtest: header: %v", err)
		}
	}
	if claims == nil {
		if claims, err = json.Marshal(d.claims); err != nil {
			iss.t.Fatalf("authtest: claims: %v", err)
		}
	}
	token, err := d.key.TokenRaw(header, claims)
	if err != nil {
		iss.t.Fatalf("authtest: %v", err)
	}
	if d.edit != nil {
		return d.edit(token)
	}
	return token
}

// Unsigned is a valid token's text with alg none and, as RFC 7519 section 6 has
// it, an empty signature.
func (iss *Issuer) Unsigned() string {
	return iss.Token(Header("alg", "none"), Edit(func(token string) string {
		return token[:strings.LastIndexByte(token, '.')+1]
	}))
}

func (iss *Issuer) draft() *draft {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.minted++
	now := time.Now()
	return &draft{
		key: iss.signing,
		header: map[string]any{
			"typ": "at+jwt", "alg": iss.signing.Algorithm, "kid": iss.signing.ID,
		},
		claims: map[string]any{
			"iss": iss.URL, "aud": Audience, "sub": Subject, "client_id": Client, "scope": Scope,
			"jti": iss.Name + "-token-" + strconv.Itoa(iss.minted),
			"iat": now.Unix(), "exp": now.Add(Lifetime).Unix(),
		},
	}
}

func set(members map[string]any, name string, value any) {
	if value == nil {
		delete(members, name)
	} else {
		members[name] = value
	}
}
