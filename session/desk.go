package session

import "sync"

// desk is what a session works with while it is awake. One that waits for its
// socket has given it back, so there are as many as are awake, and not as there
// are sessions.
type desk struct {
	in      []byte // read and not yet taken; holds a buffer only while needed
	reply   Reply
	inquiry *inquiry // the check under way; nil: none is
}

var desks = sync.Pool{New: func() any { return new(desk) }}

// sitDown takes a desk, unless the session has one.
func (s *Session) sitDown() {
	if s.desk == nil {
		s.desk = desks.Get().(*desk)
		s.reply.maxLine = s.machine.rules.MaxLine
	}
}

// standUp gives the desk back, with a buffer that holds nothing, unless something
// is left on it.
func (s *Session) standUp() {
	s.dropIdle()
	if s.in == nil && s.reply.buf == nil && s.inquiry == nil {
		desks.Put(s.desk)
		s.desk = nil
	}
}

// dropIdle gives a buffer back that holds nothing.
func (s *Session) dropIdle() {
	if len(s.in) == 0 {
		releaseBuffer(s.in)
		s.in = nil
	}
}
