package session

import (
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// tick does what is due at now. It is called before every batch, and when the
// time that next gave has come.
func (m *machine) tick(now moment, r *Reply) {
	switch m.stage {
	case opening:
		if now.mono >= m.deadline {
			m.finish(wire.AuthTimeout, 0, r)
		}
	case checking:
		if now.mono >= m.deadline {
			m.login(now, nil, errLate, r)
		}
	case open, renewing:
		if m.expire(now) {
			return
		}
		if m.stage == renewing && now.mono >= m.deadline {
			m.verdict(now, nil, errLate, r)
		}
		if left := m.life.left(now); !m.noticed && left <= m.notice {
			m.noticed = true
			m.askToRenew(left, r)
		}
		if m.stage != open { // who is being renewed is neither idle nor sent away
			return
		}
		m.tellDeparture(now, r)
		if m.state() == auth.Departed && now.mono >= m.standing.leavesAt {
			m.finish(wire.KeyRemoved, 0, r)
		}
		if !m.held && now.mono-m.idleSince >= m.rules.IdleTimeout {
			m.finish(wire.IdleTimeout, 0, r)
		}
	case over:
		if now.mono >= m.deadline {
			m.finish(m.reason, 0, r)
		}
	}
}

// next returns when tick is wanted next. A line's turn is for input.
func (m *machine) next(now moment) time.Duration {
	if m.stage != open && m.stage != renewing {
		return m.deadline
	}
	next := now.mono + m.life.left(now)
	if !m.noticed {
		next -= m.notice
	}
	if m.stage == renewing {
		return min(next, m.deadline)
	}
	if m.standing != nil && m.standing.untold {
		next = min(next, m.standing.noticeAt)
	}
	if m.state() == auth.Departed {
		next = min(next, m.standing.leavesAt)
	}
	if m.held { // nobody is idle whose line waits
		return next
	}
	return min(next, m.idleSince+m.rules.IdleTimeout)
}

// expire stops serving when the session's time has come, and tells whether it
// is over, for that reason or another.
func (m *machine) expire(now moment) bool {
	if (m.stage == open || m.stage == renewing) && m.life.left(now) <= 0 {
		m.stop(now, wire.TokenExpired)
	}
	return m.stage == over
}

// askToRenew tells the client what is left. 30 s that a timer made 29.999 are
// still 30.
func (m *machine) askToRenew(left time.Duration, r *Reply) {
	r.buf = wire.AppendNoticeReauth(r.buf, wholeSeconds(left+timerSlack))
}

// paused tells that the gateway did not read for d, in which idle time stands
// still.
func (m *machine) paused(d time.Duration) { m.active(m.idleSince + d) }
