package session

import (
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// orders is what others want of a session.
type orders struct {
	any        bool       // there is an order, or a reason to look at the clock
	deaf       bool       // the session closes: reads are its own affair
	open       bool       // it is authenticated, and neither over nor withdrawn
	mute       bool       // its client ended its stream: nothing is pushed any more
	review     bool       // its identity may stand otherwise than it was told
	standing   auth.State // as it was told
	end        wire.Code
	retryAfter int32 // seconds
	announce   int32 // retry_after of NOTICE draining
}

// End asks the session to end for code, from any goroutine, without waiting.
// The first order counts; no renewal is accepted behind it. retryAfter, rounded up
// to seconds, is told to the client; 0 is not.
func (s *Session) End(code wire.Code, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orderEnd(code, int32(wire.Seconds(retryAfter)))
}

// orderEnd is End with mu held.
func (s *Session) orderEnd(code wire.Code, retryAfter int32) {
	if s.orders.end == 0 {
		s.order(func(o *orders) { o.end, o.retryAfter = code, retryAfter })
	}
}

// Announce tells the client of an authenticated session that this gateway goes
// away, and when to come back, counted from the close.
func (s *Session) Announce(retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(func(o *orders) { o.announce = int32(wire.Seconds(retryAfter)) })
}

// wake makes the serving goroutine look at its orders and the clock.
func (s *Session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(func(*orders) {})
}

// order leaves an order and interrupts whatever the serving goroutine waits
// for. Called with mu held.
func (s *Session) order(leave func(*orders)) {
	leave(&s.orders)
	s.orders.any = true
	s.urgent.Store(true)
	if !s.orders.deaf {
		_ = s.nc.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
	}
	if s.poke != nil {
		close(s.poke)
		s.poke = nil
	}
}

// listen returns what is closed when an order comes, or has come.
func (s *Session) listen() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	poke := make(chan struct{})
	if s.orders.any {
		close(poke)
	} else {
		s.poke = poke
	}
	return poke
}

func (s *Session) unlisten() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poke = nil
}

// shut is called when the session is over.
func (s *Session) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders.open = false
}

// mute ends the pushing of lines.
func (s *Session) mute() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders.mute = true
}

// obey carries out what others ordered, and returns the time, which an order may
// be to look at anew. What was due before an order came before it. Who is serving
// leaves the end of a drain to Attend, behind what is being served.
func (s *Session) obey(now moment, serving bool) moment {
	s.mu.Lock()
	o := s.orders
	later := serving && o.end == wire.Draining
	s.orders.any, s.orders.review, s.orders.announce = later, false, 0
	s.urgent.Store(later)
	if o.any {
		now = s.srv.clock()
		s.armed = 0 // the order moved the deadline
	}
	s.mu.Unlock()
	if !o.any {
		return now
	}
	s.deep = true
	s.machine.expire(now)
	if err := s.out.failure(); err != nil {
		s.machine.finish(writeFailure(err), 0, &s.reply)
	}
	if o.announce > 0 {
		s.machine.announce(int64(o.announce), &s.reply)
	}
	if o.review {
		s.review(now)
	}
	if o.end == 0 || later {
		return now
	}
	if o.end == wire.Draining {
		now = s.serveArrived(now)
	}
	s.machine.finish(o.end, int64(o.retryAfter), &s.reply)
	return now
}
