package session

import (
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// standing is how a session's identity stands that was not left as it was, as
// last reviewed, and what the session has to do about that.
type standing struct {
	state     auth.State
	untold    bool          // of the departure, until noticeAt
	noticeAt  time.Duration // when to tell it
	graceEnds time.Duration // it is served until then at least
	leavesAt  time.Duration // when it ends, once the departure is final
}

// review takes in how the session's identity stands now. A session whose key
// leaves is told so, once for each departure, and ends, when that is certain and
// the grace is over; each of both at a moment of its own, so that the sessions of
// one key neither renew nor come back as one. Until then a renewal with another
// key saves it, or its own key's return. Nothing saves one that was withdrawn.
func (m *machine) review(now moment, s auth.Standing) {
	if m.stage != open && m.stage != renewing {
		return
	}
	switch {
	case s.State == auth.Withdrawn:
		m.stop(now, wire.TokenRevoked)
	case s.State == m.state(): // heeded already
	case s.State == auth.Stands:
		m.standing = nil
	case s.State == auth.Departing:
		m.standing = &standing{state: s.State, graceEnds: now.mono + s.Grace}
		if spread := noticeSpread(s.Grace); spread > 0 {
			m.standing.untold, m.standing.noticeAt = true, now.mono+m.within(spread)
		}
	case s.State == auth.Departed:
		if m.standing == nil {
			m.standing = new(standing)
		}
		m.standing.state = s.State
		m.standing.leavesAt = max(m.standing.graceEnds, now.mono) + m.within(leaveSpread(s.Grace))
	}
}

func (m *machine) state() auth.State {
	if m.standing == nil {
		return auth.Stands
	}
	return m.standing.state
}

// tellDeparture asks for a token by another key when the moment for that has come.
func (m *machine) tellDeparture(now moment, r *Reply) {
	if m.standing != nil && m.standing.untold && now.mono >= m.standing.noticeAt {
		m.standing.untold = false
		m.askToRenew(min(m.standing.graceEnds-now.mono, m.life.left(now)), r)
	}
}

// noticeSpread is the time over which the sessions of a key that leaves are told
// so, by the grace that they have; without any it is too late for that.
func noticeSpread(grace time.Duration) time.Duration {
	return min(grace/4, 10*time.Second)
}

// leaveSpread is the time over which the ends of a departed key's sessions are
// spread, by the grace that they had.
func leaveSpread(grace time.Duration) time.Duration {
	return max(time.Second, min(grace/2, 30*time.Second))
}
