package session

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// verdict is how a check ended.
type verdict struct {
	identity *auth.Identity
	err      error
	panicked bool
}

// inquiry is a check under way.
type inquiry struct {
	session *Session
	token   string
	proof   auth.Proof
	ctx     context.Context // until it is in vain
	stop    context.CancelFunc
	verdict chan verdict
}

// awaitVerdict has the machine's token checked on a goroutine of its own, so
// that time and orders are heeded meanwhile, and a signature's deep stack is
// gone with it.
func (s *Session) awaitVerdict(now moment) {
	if id := s.recall(); id != nil {
		s.judge(verdict{identity: id})
		return
	}
	if s.inquiry == nil {
		if s.gate != nil {
			(*s.gate).Checking()
		}
		q := &inquiry{session: s, token: s.machine.token, proof: s.proof(), verdict: make(chan verdict, 1)}
		q.ctx, q.stop = context.WithTimeout(context.Background(), s.checkTime(now))
		s.inquiry = q
		go q.run()
	}
	s.sleep(now, never, s.inquiry.verdict)
}

// recall spares a login the check, where its token was verified before. A
// renewal's token is new, and this stack is to stay small.
func (s *Session) recall() *auth.Identity {
	if s.srv.recaller == nil || s.machine.stage != checking || s.inquiry != nil {
		return nil
	}
	return s.srv.recaller.Recall(s.machine.token, s.proof())
}

// checkTime is how long a token may be checked: until 1 s before the machine's
// deadline, so that its client can still be told.
func (s *Session) checkTime(now moment) time.Duration {
	left := s.machine.deadline - now.mono
	return max(left-time.Second, left/2)
}

func (q *inquiry) run() { q.verdict <- q.ask() }

func (q *inquiry) ask() (v verdict) {
	srv := q.session.srv
	defer func() {
		if panicked := recover(); panicked != nil { // what it says may hold a part of the token
			srv.log.Error("the authenticator panicked", slog.String("stack", auth.PanicStack(panicked)))
			v.panicked = true
		}
	}()
	identity, err := srv.auth.Verify(q.ctx, q.token, q.proof)
	return verdict{identity: identity, err: err}
}

// proof is what the connection proves of its client besides the token.
func (s *Session) proof() auth.Proof {
	proof := auth.Proof{Session: s.machine.stage == renewing}
	if secure, ok := s.nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		if chain := secure.ConnectionState().PeerCertificates; len(chain) > 0 {
			proof.Certificate = chain[0].Raw
		}
	}
	return proof
}

func (s *Session) dropCheck() {
	if s.desk != nil && s.inquiry != nil {
		s.inquiry.stop()
		s.inquiry = nil
	}
}

// judge gives the machine its verdict. A session that it opens is known from
// here on.
func (s *Session) judge(v verdict) {
	if v.panicked {
		panic("session: the authenticator panicked") // ends this connection alone
	}
	if s.reply.buf == nil {
		s.reply.buf = growBuffer(nil, 0)
	}
	now := s.srv.clock()
	if s.machine.stage != checking {
		s.judgeRenewal(now, v)
		return
	}
	s.sessionID = s.srv.newID()
	if s.judgeLogin(now, v) {
		s.enter()
	}
}

// judgeRenewal drops a verdict that comes when the session has been ordered to
// end: whoever did that may rely on Identity from then on.
func (s *Session) judgeRenewal(now moment, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders.end != 0 {
		return // the order is obeyed next
	}
	s.machine.verdict(now, v.identity, v.err, &s.reply)
	if s.machine.stage == open {
		s.reviewHeld(now)
	}
}

// judgeLogin lets others find the session, and sends the OK, if the verdict opens
// it. Whoever has either can push to the session, though no line comes before the
// OK, and counts it in a Review: what changed since its token was checked it has
// heeded by then. One that was ordered to end takes nobody's place.
func (s *Session) judgeLogin(now moment, v verdict) (opened bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders.end != 0 {
		return false // the order is obeyed next
	}
	s.since = now
	s.machine.verdict(now, v.identity, v.err, &s.reply)
	if s.machine.stage != open {
		return false
	}
	s.entered = true
	s.deep, s.served = true, now.mono-silence // what comes need not wait on this stack
	if s.gate != nil {
		(*s.gate).Authenticated()
		s.gate = nil // an idle session keeps none
	}
	s.orders.open = true
	s.reviewHeld(now)
	s.send(steady.NoFD)
	return true
}

// enter tells of a session that has opened.
func (s *Session) enter() {
	s.srv.events.add(event{session: s, identity: s.Identity()})
	if s.srv.watcher != nil {
		s.srv.watcher.Opened(s)
	}
}

// leave undoes judgeLogin and enter, once; it is also deferred, for panics.
func (s *Session) leave() {
	s.dropCheck()
	if s.gate != nil {
		(*s.gate).Refused()
		s.gate = nil
	}
	if !s.entered {
		return
	}
	s.entered = false
	s.shut()
	s.srv.sessions.remove(s)
	reason := s.machine.end
	if reason == 0 { // Serve did not come to its end
		reason = wire.Panic
	}
	s.srv.events.add(event{session: s, reason: reason, lasted: s.srv.clock().mono - s.since.mono})
	if s.srv.watcher != nil {
		s.srv.watcher.Closed(s)
	}
}
