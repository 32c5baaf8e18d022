package session

import (
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// farewell is how many write time-outs a client has that goes on reading, for the
// answers that it was promised before the BYE, and the BYE.
const farewell = 12

// endInput ends the session for what its reading ended with. A client that ended its
// stream has all its answers first. Until then the session is open: its place is
// taken, its time runs on, and others can end it.
func (s *Session) endInput(now moment) moment {
	reason := s.readEnd
	if reason == wire.ClientClosed {
		s.mute() // what is pushed on and on would keep it open
		if gone, left := s.out.left(); left {
			return s.awaitRelief(now, gone)
		}
		if err := s.out.failure(); err != nil {
			reason = writeFailure(err)
		}
	}
	s.machine.finish(reason, 0, &s.reply)
	return now
}

// close ends the connection in order: what is unsent goes out, then FIN, then
// a bounded wait for the client's.
func (s *Session) close() {
	releaseBuffer(s.in) // what the client said last was read into it
	s.in = nil
	s.standUp()
	s.mu.Lock()
	s.orders.deaf = true
	s.mu.Unlock()
	patience := s.machine.rules.WriteTimeout
	switch s.machine.end {
	case wire.ClientReset, wire.WriteFailed, wire.Forced:
		return // nobody is there
	case wire.IdleTimeout, wire.Draining, wire.Replaced:
		patience *= farewell
	}
	_ = s.nc.SetWriteDeadline(time.Now().Add(patience))
	if gone, left := s.out.left(); left {
		<-gone
	}
	switch {
	case s.out.failure() != nil:
	case s.machine.end == wire.ClientClosed: // the client's FIN is here already
		if s.raw == nil || s.sealed != nil {
			steady.EndStream(s.nc) // else the close does, with nothing left to read
		}
	default:
		steady.Hangup(s.nc)
	}
}
