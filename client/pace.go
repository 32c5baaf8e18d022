package client

import (
	"time"

	"github.com/linegate/linegate/wire"
)

// The protocol's times for coming back.
const (
	firstBackoff   = time.Second
	longestBackoff = 5 * time.Minute
	stayAway       = time.Hour   // after fix and none
	ownJitter      = time.Second // what is at most added to a retry_after
	settled        = time.Minute // a session this long makes earlier failures forgotten

	// longestRetryAfter is how much of a retry_after is believed: one wrong
	// setting on a gateway must not keep a fleet away for ever.
	longestRetryAfter = 24 * time.Hour
)

// pace says how long to wait after each of a row of failures, always with
// jitter: a thousand clients that lost one gateway must not return as one.
type pace struct {
	rand     func() float64
	failures int  // back-offs since the last forget
	reauthed bool // since the last forget, a new token was asked for at once
}

// after returns the wait that a failure with this action and retry_after asks
// for, and counts it.
func (p *pace) after(action wire.Action, retryAfter time.Duration) time.Duration {
	var wait time.Duration
	switch {
	case action == wire.Fix || action == wire.None:
		wait = stayAway + p.jitter(longestBackoff)
	case action == wire.Reauth && !p.reauthed:
		p.reauthed = true // at once, but only once
	default:
		wait = p.backoff()
	}
	if retryAfter > 0 {
		wait = max(wait, min(retryAfter, longestRetryAfter)+p.jitter(ownJitter))
	}
	return wait
}

// forget starts the row anew.
func (p *pace) forget() { p.failures, p.reauthed = 0, false }

// backoff has full jitter: anything from nothing to a ceiling that doubles.
func (p *pace) backoff() time.Duration {
	ceiling := firstBackoff
	for range p.failures {
		ceiling = min(2*ceiling, longestBackoff)
	}
	if ceiling < longestBackoff {
		p.failures++
	}
	return p.jitter(ceiling)
}

func (p *pace) jitter(ceiling time.Duration) time.Duration {
	return time.Duration(p.rand() * float64(ceiling))
}
