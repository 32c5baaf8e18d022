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
		if !m.noticed && now.wall >= m.noticeAt {
			m.noticed = true
			// 30 s that a timer made 29.999 are still 30.
			r.buf = wire.AppendNoticeReauth(r.buf, wholeSeconds(m.ends-now.wall+int64(timerSlack)))
		}
		if m.stage != open { // who is being renewed is neither idle nor sent away
			return
		}
		if m.standing == auth.Departed && now.mono >= m.leavesAt {
			m.finish(wire.KeyRemoved, 0, r)
		}
		if now.mono-m.idleSince >= m.rules.IdleTimeout {
			m.finish(wire.IdleTimeout, 0, r)
		}
	case over:
		if now.mono >= m.deadline {
			m.finish(m.reason, 0, r)
		}
	}
}

// next returns when tick is wanted next.
func (m *machine) next(now moment) time.Duration {
	if m.stage != open && m.stage != renewing {
		return m.deadline
	}
	next := now.until(m.ends)
	if !m.noticed {
		next = min(next, now.until(m.noticeAt))
	}
	if m.stage == renewing {
		return min(next, m.deadline)
	}
	if m.standing == auth.Departed {
		next = min(next, m.leavesAt)
	}
	return min(next, m.idleSince+m.rules.IdleTimeout)
}

// expire stops serving when the session's time has come, and tells whether it
// is over, for that reason or another.
func (m *machine) expire(now moment) bool {
	if (m.stage == open || m.stage == renewing) && now.wall >= m.ends {
		m.stop(now, wire.TokenExpired)
	}
	return m.stage == over
}

// paused tells that the gateway did not read for d, in which idle time stands
// still.
func (m *machine) paused(d time.Duration) { m.idleSince += d }

// wallTime returns t in nanoseconds since the epoch. NumericDates reach further
// than such a number: what lies beyond a century is as good as never.
func wallTime(t time.Time) int64 {
	const never = 1 << 62
	if t.Unix() >= never/int64(time.Second) {
		return never
	}
	return t.UnixNano()
}

// wholeSeconds rounds nanoseconds down, and never below 0.
func wholeSeconds(ns int64) int64 { return max(0, ns/int64(time.Second)) }
