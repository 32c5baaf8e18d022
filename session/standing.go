package session

import (
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// review takes in how the session's identity stands now. A session whose key
// leaves is told so, once for each departure, and ends, when that is certain and
// the grace is over, at a moment of its own, so that the sessions of one key do
// not come back as one. Until then a renewal with another key saves it, or its
// own key's return. Nothing saves one that was withdrawn.
func (m *machine) review(now moment, s auth.Standing, r *Reply) {
	if m.stage != open && m.stage != renewing {
		return
	}
	before := m.standing
	m.standing = s.State
	switch {
	case s.State == auth.Withdrawn:
		m.stop(now, wire.TokenRevoked)
	case s.State == before: // told, or chosen, already
	case s.State == auth.Departing:
		left := min(s.Grace+timerSlack, m.life.left(now))
		r.buf = wire.AppendNoticeReauth(r.buf, wholeSeconds(left))
	case s.State == auth.Departed:
		m.leavesAt = now.mono + time.Duration(m.host.jitter(int64(leaveSpread(s.Grace))))
	}
}

// leaveSpread is the time over which the ends of a departed key's sessions are
// spread, by the grace that they had.
func leaveSpread(grace time.Duration) time.Duration {
	return max(time.Second, min(grace/2, 30*time.Second))
}
