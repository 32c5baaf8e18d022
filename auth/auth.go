// Package auth turns a token into an Identity or a refusal. It knows keys and
// claims, and nothing of connections or lines.
//
// A Verifier holds the configured issuers. Each has its own key set, so a key
// is looked up by issuer and kid, never by kid alone. Tokens are compact JWS
// (RFC 7515) with the claims of a JWT (RFC 7519), by default access tokens as
// RFC 9068 profiles them; RFC 8725 is the bar for what is refused.
package auth

import (
	"crypto/sha256"
	"iter"
	"time"
)

// Identity is whom a verified token speaks for. It is immutable, and may be
// shared by sessions.
type Identity struct {
	*Grant

	Subject  string    // unique within Issuer only: a subject is the pair of both
	TokenID  string    // empty when the token has none
	IssuedAt time.Time // zero when the token has none
	Expires  time.Time // exp: expired when now is at or after it

	// Digest is the SHA-256 of what the token's signature covers: it tells
	// whether the same token came again, without keeping it. The signature is
	// left out, since anybody can make a second good one of an ECDSA one.
	Digest [sha256.Size]byte

	validFrom int64              // Unix seconds; by nbf and iat, the leeway granted
	binding   *[sha256.Size]byte // of the client certificate; nil: for its bearer
}

// Grant is what an Identity has in common with many others. A Verifier shares it
// among them: a fleet's sessions hold one.
type Grant struct {
	IssuerName string   // the issuer's configured name
	Issuer     string   // iss
	ClientID   string   // empty when the token has none
	Scopes     []string // of all configured scope claims, each once, sorted
	KeyID      string   // of the key that verified it; empty when that has none
	Thumbprint string   // of that key: RFC 7638 with SHA-256, base64url

	// MaxLifetime is how long one AUTH with this token carries a session
	// at most, whatever Expires says.
	MaxLifetime time.Duration

	issuer *issuer // the configuration that it was verified under
	alg    string  // by which the key was used; the issuer's string, not the token's
	named  bool    // the key, by the token's kid; else it was the only one that fits alg
}

// Outcome says how an attempt to authenticate ended: the closed set of values
// of the metric label and the log attribute "outcome".
type Outcome uint8

// The outcomes. The verifier gives those down to Revoked, and Internal; the
// rest belong to its callers.
const (
	OK              Outcome = iota
	Format                  // not a compact JWS, or its JSON is not what RFC 7515 and 7519 ask for
	Algorithm               // alg is not on the issuer's list, or does not fit the key
	Signature               // the signature does not verify
	Expired                 // exp has passed
	NotYetValid             // nbf or iat lies in the future by more than the leeway
	Issuer                  // iss is missing or not configured
	Audience                // none of the issuer's audiences is in the audience claim
	Type                    // typ is not on the issuer's list
	Scope                   // a required scope is missing
	Claims                  // a claim is missing, too long, of a wrong type or value
	UnknownKey              // a key set fetched after the token came has no such key
	KeysUnavailable         // it could not be checked: no keys, or no fetch in time
	Binding                 // the token is bound (cnf) to what this connection cannot prove
	Revoked                 // the token was revoked
	Mismatch                // a re-AUTH named another issuer or subject
	RateLimited             // re-AUTH came too soon after the last
	Overload                // not tried: too many attempts at once
	TooManySessions         // its subject has as many sessions as it may
	Internal                // a fault of the gateway

	outcomeCount
)

var outcomeWords = [outcomeCount]string{
	"ok", "format", "algorithm", "signature", "expired", "not_yet_valid",
	"issuer", "audience", "type", "scope", "claims", "unknown_key",
	"keys_unavailable", "binding", "revoked", "mismatch", "rate_limited",
	"overload", "too_many_sessions", "internal",
}

// String returns the outcome as metrics and logs spell it.
func (o Outcome) String() string {
	if o >= outcomeCount {
		return "internal"
	}
	return outcomeWords[o]
}

// Outcomes returns all outcomes, in order.
func Outcomes() []Outcome {
	all := make([]Outcome, outcomeCount)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// Error is a refusal: a public outcome and a private cause. It never holds a
// part of the token beyond the names listed here, each of which the log bounds
// and escapes.
type Error struct {
	Outcome    Outcome
	IssuerName string // configured name; empty when the token's issuer is not configured
	Iss        string // as the token has it, unverified; for Issuer alone
	KeyID      string // as the token names it, unverified
	Claim      string // the claim or header member at fault, where there is one
	// Whom the token speaks for, as far as it says so. Empty unless its
	// signature was verified.
	Subject, ClientID, TokenID string
	// RetryAfter is how long to wait before trying again, for
	// KeysUnavailable, Overload and TooManySessions.
	RetryAfter time.Duration
	Err        error // the cause, for the log; may be nil
}

// Error describes the refusal for a log.
func (e *Error) Error() string {
	s := "auth: " + e.Outcome.String()
	if e.Claim != "" {
		s += " (" + e.Claim + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Names yields whose token was refused, as far as that is known, by the names
// that the log has for it. They are the token's, so the log escapes them.
func (e *Error) Names() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, name := range [...][2]string{
			{"iss", e.Iss}, {"subject", e.Subject}, {"client_id", e.ClientID}, {"token_id", e.TokenID},
		} {
			if name[1] != "" && !yield(name[0], name[1]) {
				return
			}
		}
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
