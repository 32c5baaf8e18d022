package session

import (
	"time"

	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// close ends the connection in order: what is unsent goes out, then FIN, then
// a bounded wait for the client's.
func (s *Session) close() {
	releaseBuffer(s.in) // what the client said last was read into it
	s.in = nil
	s.standUp()
	s.mu.Lock()
	s.orders.deaf = true
	s.mu.Unlock()
	switch s.machine.end {
	case wire.ClientReset, wire.WriteFailed, wire.Forced:
		return // nobody is there
	}
	switch s.machine.end {
	case wire.ClientClosed, wire.IdleTimeout, wire.Draining, wire.Replaced:
		// A client that goes on reading gets all that it was promised.
	default:
		_ = s.nc.SetWriteDeadline(time.Now().Add(s.machine.rules.WriteTimeout))
	}
	<-s.out.empty()
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
