package session

import (
	"errors"

	"github.com/linegate/linegate/wire"
)

// Backend is where messages go. Its methods are called from many sessions at
// once, for one session never at once, and must not block: the session serves
// nothing while they run.
type Backend interface {
	// Message takes one message of s: a line that is no command, without its
	// line end, otherwise untouched. text is valid only during the call.
	// What the backend answers at once goes into r; what it has to say later
	// it gives to s.Push.
	//
	// Returning nil means that the backend has taken the message: a pong to
	// a later ping tells the client so. An error is logged, and the client
	// is told ERR backend_unavailable: not delivered.
	Message(s *Session, text []byte, r *Reply) error
}

// Watcher is what a Backend implements besides when it wants to know which
// sessions there are, to push lines to them.
type Watcher interface {
	// Opened is called when s has been authenticated, before its first
	// message. Closed is called once after it, when s serves nothing more.
	Opened(s *Session)
	Closed(s *Session)
}

// Reply collects the lines that answer a client, in order. It is valid only
// during the call that it was handed to.
type Reply struct {
	buf     []byte
	maxLine int
}

// ErrText refuses a text that holds LF or CR or is longer than max_line, and
// so cannot be one line.
var ErrText = wire.ErrText

// Line appends "from server: " and text.
func (r *Reply) Line(text []byte) (err error) {
	r.buf, err = wire.AppendData(r.buf, text, r.maxLine)
	return err
}

// Errors of Session.Push.
var (
	// ErrClosed: the session is not authenticated yet, or has ended.
	ErrClosed = errors.New("session: closed")
	// ErrSlow: the line does not fit into what may wait for the client to
	// take it. The session ends with slow_consumer.
	ErrSlow = errors.New("session: the client does not take what is pushed")
)

// Echo is the backend that answers each message with its own text, trimmed.
type Echo struct{}

// Message answers with text.
func (Echo) Message(_ *Session, text []byte, r *Reply) error {
	// Not Line: a CR that the client put inside its own line is its data,
	// and goes back as it came.
	r.buf = wire.AppendEcho(r.buf, wire.Trim(text))
	return nil
}
