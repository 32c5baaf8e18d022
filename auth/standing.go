package auth

import "time"

// Standing says whether an Identity that was verified before is still believed.
// Its zero value is that of one that is.
type Standing struct {
	State State
	// Grace is how long a Departing identity is served at least from now. Of a
	// Departed one it is the whole grace that it had: the ends of its sessions
	// are spread over a part of that.
	Grace time.Duration
}

// State is the kind of a Standing.
type State uint8

// The states. A key departs when its issuer's set no longer has it, or when its
// issuer is no longer configured.
const (
	Stands    State = iota // nothing has changed since it was verified
	Departing              // its key left, and may yet come back: renew now
	Departed               // its key left, that is certain, and the grace is over
	Withdrawn              // the token, or what it was issued for, was revoked
)

// Standing says whether an identity that Verify returned is still believed. It
// never waits.
//
// Sessions of an issuer that is no longer configured are treated as if their
// key had left, though there is nothing that a second fetch could confirm: they
// are Departing until its RemovalGrace is over.
func (v *Verifier) Standing(identity *Identity) Standing {
	if v.revocations.Revoked(identity, v.now()) {
		return Standing{State: Withdrawn}
	}
	trust := v.trust.Load()
	if iss := trust.issuers[identity.Issuer]; iss != nil {
		return iss.Keys.Standing(identity.Thumbprint)
	}
	return trust.removed[identity.Issuer].standing(time.Now())
}

// removal is when an issuer was taken out of the configuration; the zero value
// is that of one that nobody remembers.
type removal struct {
	at    time.Time
	grace time.Duration
}

func (r removal) standing(now time.Time) Standing {
	if left := r.at.Add(r.grace).Sub(now); left > 0 {
		return Standing{State: Departing, Grace: left}
	}
	return Standing{State: Departed, Grace: r.grace}
}

// removals returns the issuers that are gone with the next ones, for as long as
// their sessions need to end.
func (t *trust) removals(next map[string]*issuer, now time.Time) map[string]removal {
	gone := make(map[string]removal)
	for name, r := range t.removed {
		if next[name] == nil && now.Before(r.at.Add(2*r.grace)) {
			gone[name] = r
		}
	}
	for name, iss := range t.issuers {
		if next[name] == nil {
			gone[name] = removal{at: now, grace: iss.RemovalGrace}
		}
	}
	return gone
}
