package session

import (
	"time"

	"github.com/linegate/linegate/auth"
)

// lifetime is how long one AUTH carries a session: until its token's exp by the
// wall clock, or max_lifetime by the monotonic one, whichever is over first.
type lifetime struct {
	expires int64         // wall
	longest time.Duration // mono: the end of max_lifetime
}

// never is a time that neither clock reaches.
const never = 1 << 62

// lifetimeOf is that of an identity whose AUTH is answered now.
func lifetimeOf(identity *auth.Identity, now moment) lifetime {
	l := lifetime{expires: wallTime(identity.Expires), longest: never}
	if identity.MaxLifetime > 0 {
		l.longest = now.mono + identity.MaxLifetime
	}
	return l
}

// left is how much of it remains; 0 or less: it is over.
func (l lifetime) left(now moment) time.Duration {
	return min(time.Duration(l.expires-now.wall), l.longest-now.mono)
}

// wallTime returns t in nanoseconds since the epoch. NumericDates reach further
// than such a number: what lies beyond a century is as good as never.
func wallTime(t time.Time) int64 {
	if t.Unix() >= never/int64(time.Second) {
		return never
	}
	return t.UnixNano()
}

// wholeSeconds rounds down, and never below 0.
func wholeSeconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }
