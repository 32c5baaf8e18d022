package session

import "time"

// arrivedMost bounds what is served of a client that never pauses, in reads.
const arrivedMost = 64

// serveArrived serves what had arrived when a drain ends the session, so that no
// line that came before the BYE went out is left unanswered. A client that does
// not take its answers gets no more.
func (s *Session) serveArrived(now moment) moment {
	if _, full := s.out.full(); s.raw == nil || full || s.machine.stage != open {
		return now
	}
	s.mu.Lock()
	s.orders.deaf = true                  // what else is ordered has nothing to interrupt
	_ = s.nc.SetReadDeadline(time.Time{}) // the order set it; nothing here waits
	s.mu.Unlock()
	_ = s.raw.Read(func(fd uintptr) bool {
		for range arrivedMost {
			now = s.serveInput(now)
			batch := len(s.reply.buf) >= maxBatch // there may be more in s.in
			s.send(int(fd))
			if _, full := s.out.full(); full || s.machine.need() != needInput {
				break
			}
			if batch {
				continue
			}
			s.in = growBuffer(s.in, s.machine.lineLimit(s.in)+1)
			n, err := s.readReady(int(fd), s.in[len(s.in):cap(s.in)])
			if err != nil {
				break // nothing more, or the end, which is at hand anyway
			}
			s.in = s.in[:len(s.in)+n]
			s.srv.metrics.bytesReceived.Add(int64(n))
			now = s.srv.clock()
		}
		return true
	})
	s.dropIdle()
	return now
}
