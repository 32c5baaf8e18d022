package session

import "github.com/linegate/linegate/auth"

// Reviewer is what an Authenticator implements besides when it can tell whether
// an identity that it verified before is still believed. Standing is asked about
// every session in turn, must not wait, and must not call the session or its
// server. Whoever changes what it answers calls Server.Review afterwards,
// without holding a lock that Standing takes.
type Reviewer interface {
	Standing(*auth.Identity) auth.Standing
}

// Review has every session heed how its identity stands now, and returns how
// many were withdrawn by it: those push nothing, and serve no line that they read
// from here on. Those that End was called of before do not count. Sessions that
// are authenticated while it runs ask for themselves.
func (srv *Server) Review() (withdrawn int) {
	if srv.reviewer == nil {
		return 0
	}
	for _, s := range srv.sessions.all() {
		if s.told(srv.reviewer.Standing(s.Identity()).State) {
			withdrawn++
		}
	}
	return withdrawn
}

// told leaves an order where state is news to the session, and reports whether
// it withdrew an open one. Only that is final: the identity may have been
// renewed meanwhile, so of anything else the session asks again.
func (s *Session) told(state auth.State) (withdrawn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == s.orders.standing {
		return false
	}
	if state == auth.Withdrawn {
		withdrawn = s.orders.open && s.orders.end == 0
		s.withdraw()
	}
	s.order(func(o *orders) { o.review = true })
	return withdrawn
}

// withdraw is called with mu held. Pushed lines stop at once.
func (s *Session) withdraw() { s.orders.standing, s.orders.open = auth.Withdrawn, false }

// review tells the machine how the session's identity stands now.
func (s *Session) review(now moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reviewHeld(now)
}

// reviewHeld is review with mu held, so that a Review, which was called after a
// change, compares with the answer to a question that was asked before the
// change, or after it.
func (s *Session) reviewHeld(now moment) {
	if s.srv.reviewer == nil {
		return
	}
	standing := auth.Standing{State: auth.Withdrawn}
	if s.orders.standing != auth.Withdrawn {
		standing = s.srv.reviewer.Standing(s.Identity())
		s.orders.standing = standing.State
	}
	if standing.State == auth.Withdrawn {
		s.withdraw()
	}
	s.machine.review(now, standing)
}
