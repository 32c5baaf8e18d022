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
