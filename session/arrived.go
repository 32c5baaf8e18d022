package session

import "time"

// arrivedMost bounds what is served of a client that never pauses, in reads.
const arrivedMost = 64

// serveArrived serves what had arrived when a drain ends the session, so that no
// line that came before the BYE went out is left unanswered, except where
// max_outbound of answers are unsent. There a client often is that sends without
// waiting for them, also one that reads as fast as it can.
func (s *Session) serveArrived(now moment) moment {
	if _, full := s.out.full(); s.raw == nil || full || s.machine.stage != open {
		return now
	}
	s.mu.Lock()
	s.orders.deaf = true                  // what else is ordered has nothing to interrupt
	_ = s.nc.SetReadDeadline(time.Time{}) // the order set it; nothing here waits
	s.mu.Unlock()
	_ = s.raw.Read(func(fd uintptr) bool {
		var more bool
		now, more = s.serveBatches(now, int(fd), true)
		for reads := 0; more && reads < arrivedMost; reads++ {
			s.in = growBuffer(s.in, s.machine.lineLimit(s.in)+1)
			n, err := s.readReady(int(fd), s.in[len(s.in):cap(s.in)])
			now, more = s.serveBatches(s.received(n), int(fd), true)
			more = more && err == nil // else there is nothing more, or the end, which is at hand anyway
		}
		return true
	})
	s.dropIdle()
	return now
}
