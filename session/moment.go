package session

import "time"

// moment is one reading of both clocks. A token's exp goes by the wall clock;
// everything else, max_lifetime too, by the monotonic one, which no step of the
// wall clock disturbs.
type moment struct {
	mono time.Duration // since the server was made
	wall int64         // nanoseconds since the Unix epoch
}

// systemClock reads the machine's clocks, or in place of its wall clock the one
// given.
func systemClock(wall func() time.Time) func() moment {
	start := time.Now()
	return func() moment {
		now := time.Now()
		m := moment{mono: now.Sub(start), wall: now.UnixNano()}
		if wall != nil {
			m.wall = wall().UnixNano()
		}
		return m
	}
}
