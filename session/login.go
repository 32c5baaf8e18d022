package session

import (
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// errLate is the refusal of a token that could not be checked in time.
var errLate = &auth.Error{Outcome: auth.KeysUnavailable}

// verdict answers the AUTH that was being checked. A verdict that comes when
// none is awaited, because the session expired or ended meanwhile, is void.
func (m *machine) verdict(now moment, identity *auth.Identity, err error, r *Reply) {
	switch m.stage {
	case checking:
		m.token = ""
		m.login(now, identity, err, r)
	case renewing:
		if m.expire(now) {
			return
		}
		m.token = ""
		m.stage = open
		m.active(now.mono) // it stood still while the gateway did not read
		m.renew(now, identity, err, r)
	}
}

func (m *machine) login(now moment, identity *auth.Identity, err error, r *Reply) {
	if err == nil && wallTime(identity.Expires) <= now.wall {
		err = refuse(auth.Expired, identity)
	}
	if err == nil && !m.host.admit(identity) {
		refusal := refuse(auth.TooManySessions, identity)
		refusal.RetryAfter = time.Second + m.within(excessSpread)
		err = refusal
	}
	m.host.attempted(login, identity, err, now.mono-m.asked)
	if err != nil {
		code, retryAfter := refusal(err)
		m.finish(code, retryAfter, r)
		return
	}
	m.stage = open
	m.active(now.mono)
	m.adopt(now, identity)
	m.sayOK(now, r)
}

func (m *machine) renew(now moment, identity *auth.Identity, err error, r *Reply) {
	if err == nil {
		switch current := m.identity.Load(); {
		case identity.Issuer != current.Issuer || identity.Subject != current.Subject:
			err = refuse(auth.Mismatch, identity)
		case wallTime(identity.Expires) <= now.wall:
			err = refuse(auth.Expired, identity)
		}
	}
	if err != nil {
		m.refuseRenewal(now.mono-m.asked, err, r)
		return
	}
	m.host.attempted(renewal, identity, nil, now.mono-m.asked)
	// The same token extends nothing, not even where max_lifetime cut it
	// short, and is not asked to be renewed a second time.
	if current := m.identity.Load(); identity.Digest != current.Digest {
		if identity.Thumbprint != current.Thumbprint {
			m.standing = nil // another key, which nobody said had left
		}
		m.adopt(now, identity)
	}
	m.sayOK(now, r)
}

func (m *machine) refuseRenewal(took time.Duration, err error, r *Reply) {
	m.host.attempted(renewal, nil, err, took)
	code, retryAfter := refusal(err)
	r.buf = wire.AppendErr(r.buf, code, wire.ForAuth, retryAfter)
}

// adopt takes over the rights and the life of a verified token.
func (m *machine) adopt(now moment, identity *auth.Identity) {
	m.identity.Store(identity)
	m.life = lifetimeOf(identity, now)
	m.notice = min(m.rules.ReauthNotice, m.life.left(now)/10)
	m.noticed = false
}

func (m *machine) sayOK(now moment, r *Reply) {
	left := wholeSeconds(m.life.left(now))
	r.buf = wire.AppendOK(r.buf, wire.OK{
		Subject:     m.identity.Load().Subject,
		Session:     m.host.id(),
		ExpiresIn:   left,
		ReauthIn:    m.reauthIn(left),
		IdleTimeout: int64(m.rules.IdleTimeout / time.Second),
		MaxLine:     m.rules.MaxLine,
	})
}

// reauthIn picks when the client should renew: at 70 to 85 % of what is left,
// so that a fleet does not renew at once, and at least 1.
func (m *machine) reauthIn(left int64) int64 {
	earliest, latest := (left*70+99)/100, left*85/100
	if latest <= earliest { // no whole second lies between
		return max(1, latest)
	}
	return earliest + m.host.jitter(latest-earliest+1)
}
