package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Revocation names tokens of one issuer that are refused from now on, however
// good they are.
type Revocation struct {
	Issuer string // iss, always

	// At most one of these; none: all tokens of the issuer are meant.
	Subject  string
	ClientID string
	TokenID  string
	Key      string            // of the key that verifies them: id or thumbprint
	Digest   [sha256.Size]byte // of one token: Identity.Digest

	// IssuedBefore spares tokens whose iat is at or after it. A token without
	// iat counts as issued before. Zero: none is spared. For a subject, a
	// client or the issuer.
	IssuedBefore time.Time
	// Until is when the last token meant has expired, and the revocation is
	// over; zero: never.
	Until time.Time
}

// Check says what is wrong with a revocation, by the names of the admin API; nil
// when it can be added.
func (r Revocation) Check() error {
	if r.Issuer == "" {
		return errors.New("issuer: missing")
	}
	named := 0
	for _, field := range []struct{ name, value string }{
		{"issuer", r.Issuer},
		{"subject", r.Subject},
		{"client_id", r.ClientID},
		{"token_id", r.TokenID},
		{"key_id", r.Key},
	} {
		switch {
		case len(field.value) > maxName:
			return fmt.Errorf("%s: %w", field.name, errTooLong)
		case !utf8.ValidString(field.value): // no token's is, so it would never match
			return fmt.Errorf("%s: not UTF-8", field.name)
		case field.value != "" && field.name != "issuer":
			named++
		}
	}
	if r.Digest != ([sha256.Size]byte{}) {
		named++
	}
	switch kind := r.target().kind; {
	case named > 1:
		return errors.New("more than one target")
	case !r.IssuedBefore.IsZero() && kind != ofIssuer && kind != ofSubject && kind != ofClient:
		return errors.New("issued_before: only for a subject, a client or an issuer")
	}
	return nil
}

// All reports whether all tokens of the issuer are meant.
func (r Revocation) All() bool { return r.target().kind == ofIssuer }

// Revocations is the set of revocations in force. Its zero value is empty, and a
// nil one too. It is safe for concurrent use.
type Revocations struct {
	count atomic.Int64 // spares a look-up, and the lock, as long as there are none

	mu    sync.RWMutex
	spans map[target][]span // more than one when one target was revoked again
	kinds [kindCount]int    // how many spans are of each kind
}

// target is what a revocation matches in an Identity.
type target struct {
	kind   kind
	issuer string
	name   string
}

type kind uint8

const (
	ofIssuer kind = iota
	ofSubject
	ofClient
	ofToken
	ofKey
	ofDigest

	kindCount
)

// span is which tokens of a target are meant, and for how long: Unix seconds. An
// iat is a whole number of them, so rounding up loses nothing.
type span struct {
	issuedBefore int64
	until        int64
}

// Add puts a revocation in force. Its error is that of Check. One that is there
// already is there twice then, and must be removed twice.
func (rs *Revocations) Add(r Revocation) error {
	if err := r.Check(); err != nil {
		return err
	}
	t, s := r.target(), r.span()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.spans == nil {
		rs.spans = make(map[target][]span)
	}
	rs.spans[t] = append(rs.spans[t], s)
	rs.counted(t.kind, 1)
	return nil
}

// Remove takes one revocation back. Others stay in force, also of its target.
func (rs *Revocations) Remove(r Revocation) {
	t, s := r.target(), r.span()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if i := slices.Index(rs.spans[t], s); i >= 0 {
		rs.keep(t, slices.Delete(rs.spans[t], i, i+1))
		rs.counted(t.kind, -1)
	}
}

// Forget drops all revocations that are over at now.
func (rs *Revocations) Forget(now time.Time) {
	over := func(s span) bool { return s.until <= now.Unix() }
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for t, spans := range rs.spans {
		if kept := slices.DeleteFunc(spans, over); len(kept) < len(spans) {
			rs.keep(t, kept)
			rs.counted(t.kind, len(kept)-len(spans))
		}
	}
}

// Revoked reports whether an identity's token is revoked at now. It allocates
// nothing.
func (rs *Revocations) Revoked(id *Identity, now time.Time) bool {
	return rs.find(id, now) != nil
}

// find returns what is revoked of an identity, for the log; nil: nothing.
func (rs *Revocations) find(id *Identity, now time.Time) error {
	if rs == nil || rs.count.Load() == 0 {
		return nil
	}
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	switch {
	case rs.has(ofIssuer, id, "", now):
		return errRevokedIssuer
	case rs.has(ofSubject, id, id.Subject, now):
		return errRevokedSubject
	case rs.has(ofClient, id, id.ClientID, now):
		return errRevokedClient
	case rs.has(ofToken, id, id.TokenID, now),
		rs.kinds[ofDigest] > 0 && revokes(rs.spans[target{ofDigest, id.Issuer, string(id.Digest[:])}], id, now):
		return errRevokedToken
	case rs.has(ofKey, id, id.KeyID, now), rs.has(ofKey, id, id.Thumbprint, now):
		return errRevokedKey
	}
	return nil
}

var (
	errRevokedIssuer  = errors.New("all tokens of the issuer")
	errRevokedSubject = errors.New("the subject's tokens")
	errRevokedClient  = errors.New("the client's tokens")
	errRevokedToken   = errors.New("this token")
	errRevokedKey     = errors.New("all tokens by this key")
)

// has looks up one name of an identity. Nothing is revoked under the empty name
// but issuers, so a token without a name is not found.
func (rs *Revocations) has(kind kind, id *Identity, name string, now time.Time) bool {
	return rs.kinds[kind] > 0 && revokes(rs.spans[target{kind, id.Issuer, name}], id, now)
}

func revokes(spans []span, id *Identity, now time.Time) bool {
	for _, s := range spans {
		// No iat is the zero time, which is before any.
		if id.IssuedAt.Unix() < s.issuedBefore && now.Unix() < s.until {
			return true
		}
	}
	return false
}

func (rs *Revocations) keep(t target, spans []span) {
	if len(spans) == 0 {
		delete(rs.spans, t)
	} else {
		rs.spans[t] = spans
	}
}

func (rs *Revocations) counted(kind kind, n int) {
	rs.kinds[kind] += n
	rs.count.Add(int64(n))
}

func (r Revocation) target() target {
	switch {
	case r.Subject != "":
		return target{ofSubject, r.Issuer, r.Subject}
	case r.ClientID != "":
		return target{ofClient, r.Issuer, r.ClientID}
	case r.TokenID != "":
		return target{ofToken, r.Issuer, r.TokenID}
	case r.Key != "":
		return target{ofKey, r.Issuer, r.Key}
	case r.Digest != [sha256.Size]byte{}:
		return target{ofDigest, r.Issuer, string(r.Digest[:])}
	}
	return target{ofIssuer, r.Issuer, ""}
}

func (r Revocation) span() span {
	return span{unixOrNever(r.IssuedBefore), unixOrNever(r.Until)}
}

// unixOrNever rounds up to whole seconds; the zero time is one that never comes.
func unixOrNever(t time.Time) int64 {
	switch {
	case t.IsZero():
		return math.MaxInt64
	case t.Nanosecond() > 0:
		return t.Unix() + 1
	}
	return t.Unix()
}
