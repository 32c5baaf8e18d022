package session

import "sync"

// desk is what a session works with while it is awake. There are as many as
// sessions that are, and not as there are sessions.
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

// standUp gives back what holds nothing: the buffer, and with it the desk.
func (s *Session) standUp() {
	if len(s.in) > 0 {
		return
	}
	releaseBuffer(s.in)
	s.in = nil
	if s.reply.buf == nil && s.inquiry == nil {
		desks.Put(s.desk)
		s.desk = nil
	}
}
