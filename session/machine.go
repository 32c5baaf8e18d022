package session

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/wire"
)

// machine is the protocol of one connection, without I/O: bytes, verdicts,
// orders and the time go in, lines go to a Reply, and need says what it waits
// for next. It starts no goroutine and reads no clock, so every transport and
// every test drives the same behaviour.
type machine struct {
	rules *Rules
	host  host

	identity atomic.Pointer[auth.Identity] // read by others once they know the session
	life     lifetime
	notice   time.Duration // how much of it is left when a renewal is asked for
	standing *standing     // nil: it stands

	deadline  time.Duration // of every stage but open
	idleSince time.Duration
	asked     time.Duration // when the last AUTH that was to be checked was complete
	token     string        // that is being checked

	lines   [3]uint32 // complete lines by lineKind, taken by the driver
	owed    uint32    // nanoseconds after idleSince in which the bucket of lines fills up
	held    bool      // a line that is complete waits for its turn
	stage   stage
	noticed bool
	renewed bool      // asked is that of a re-AUTH
	reason  wire.Code // why it is over
	end     wire.Code // why it ended
}

// host is what the machine asks of the world around it.
type host interface {
	id() string           // of the session
	jitter(n int64) int64 // in [0, n)
	message(text []byte, r *Reply) error
	// admit makes the session known that is about to open, unless its subject
	// has as many as it may.
	admit(*auth.Identity) bool
	// attempted is told of every AUTH when it has been answered.
	attempted(kind attemptKind, identity *auth.Identity, err error, took time.Duration)
}

// stage is where a connection is in its life.
type stage uint8

const (
	opening  stage = iota // waits for AUTH
	checking              // the opening AUTH is being checked
	open                  // serves lines
	renewing              // a re-AUTH is being checked; the lines behind it wait
	over                  // serves nothing; the BYE follows at the deadline
	ended                 // the last line is written
)

// need is what the machine waits for.
type need uint8

const (
	needInput   need = iota // bytes
	needVerdict             // on machine.token
	needTurn                // the time of turn, for the line that is held
	needTime                // only time
	needNothing             // it has ended
)

// lineKind is a value of the label kind of the lines metric.
type lineKind uint8

const (
	authLine lineKind = iota
	pingLine
	messageLine
)

// attemptKind is a value of the label kind of the attempts metric.
type attemptKind uint8

const (
	login attemptKind = iota
	renewal
)

const (
	// maxBatch bounds the replies that one batch of lines makes before they
	// are sent, so that a client that never pauses still gets them.
	maxBatch = 32 << 10
	// messagesPerLook is how many messages are served by one look at the
	// clock: a backend may take its time over each, and none should be served
	// after the expiry. To look before each would cost a third more.
	messagesPerLook = 8
	// timerSlack is by how much a timer may be late without a reason.
	timerSlack = 50 * time.Millisecond
	// renewalInterval is the least time between two re-AUTHs.
	renewalInterval = time.Second
	// byeSpread is the time over which the BYEs of sessions that are over
	// together are spread; protocol.md allows a second, writing included.
	byeSpread = 700 * time.Millisecond
	// excessSpread is the time over which those return that are refused together.
	excessSpread = 4 * time.Second
)

// start begins the life of a connection.
func (m *machine) start(now moment, rules *Rules, h host) {
	m.rules, m.host = rules, h
	m.deadline = now.mono + rules.AuthTimeout
}

func (m *machine) need() need {
	switch m.stage {
	case opening, open:
		if m.held {
			return needTurn
		}
		return needInput
	case checking, renewing:
		return needVerdict
	case over:
		return needTime
	}
	return needNothing
}

// input serves the complete lines at the start of in and returns how many
// bytes it took. It stops at an AUTH, whose verdict the lines behind it wait
// for, at the end of the connection, at a line that has to wait for its turn, and
// when r has enough for a batch; and it stops, with late set, when it has handed so
// many messages to the backend that now must be read anew.
func (m *machine) input(now moment, in []byte, r *Reply) (taken int, late bool) {
	messages := m.lines[messageLine]
	if m.held && now.mono >= m.turn() {
		m.held = false
	}
	for m.need() == needInput && len(r.buf) < maxBatch {
		if m.lines[messageLine]-messages >= messagesPerLook {
			return taken, true
		}
		if m.expire(now) {
			break
		}
		line, size := m.nextLine(in[taken:], r)
		if size == 0 || m.rules.interval > 0 && !m.mayServe(now.mono) {
			break
		}
		taken += size
		m.idleSince = now.mono
		m.line(now, line, r)
	}
	return taken, false
}

// nextLine cuts the first line off in and returns it without its line end, and
// its size with it: 0 when it is not complete. A line beyond its limit ends
// the connection as soon as that is certain.
func (m *machine) nextLine(in []byte, r *Reply) (line []byte, size int) {
	limit := m.lineLimit(in)
	end := bytes.IndexByte(in, '\n')
	if end > limit || end < 0 && len(in) > limit {
		if m.stage == opening {
			m.finish(wire.InvalidRequest, 0, r)
		} else {
			m.finish(wire.LineTooLong, 0, r)
		}
		return nil, 0
	}
	if end < 0 {
		return nil, 0
	}
	return bytes.TrimSuffix(in[:end], []byte("\r")), end + 1
}

// lineLimit returns how many bytes the line at the start of in may have before
// its LF.
func (m *machine) lineLimit(in []byte) int {
	if bytes.HasPrefix(in, []byte(wire.AuthPrefix)) {
		return m.rules.MaxAuthLine
	}
	return m.rules.MaxLine
}

func (m *machine) line(now moment, line []byte, r *Reply) {
	kind, token := wire.Request(line)
	switch kind {
	case wire.Auth, wire.MalformedAuth:
		m.lines[authLine]++
	case wire.Ping:
		m.lines[pingLine]++
	default:
		m.lines[messageLine]++
	}
	if m.stage == opening {
		m.firstLine(now, kind, token, line, r)
		return
	}
	switch kind {
	case wire.Ping:
		r.buf = wire.AppendPong(r.buf)
	case wire.Message:
		if err := m.host.message(line, r); err != nil {
			r.buf = wire.AppendErr(r.buf, wire.BackendUnavailable, wire.ForMessage, 0)
		}
	case wire.MalformedAuth:
		m.host.attempted(renewal, nil, malformed(line), 0)
		r.buf = wire.AppendErr(r.buf, wire.InvalidRequest, wire.ForAuth, 0)
	case wire.Auth:
		if m.renewed && now.mono-m.asked < renewalInterval {
			m.refuseRenewal(0, &auth.Error{Outcome: auth.RateLimited, RetryAfter: renewalInterval}, r)
			return
		}
		m.renewed, m.asked = true, now.mono
		m.check(renewing, token)
		m.deadline = now.mono + m.rules.AuthTimeout
	}
}

func (m *machine) firstLine(now moment, kind wire.Kind, token, line []byte, r *Reply) {
	switch kind {
	case wire.Auth:
		m.asked = now.mono
		m.check(checking, token) // the deadline stays: it bounds the check too
	case wire.MalformedAuth:
		m.host.attempted(login, nil, malformed(line), 0)
		m.finish(wire.InvalidRequest, 0, r)
	default:
		m.finish(wire.InvalidRequest, 0, r)
	}
}

func (m *machine) check(s stage, token []byte) { m.stage, m.token = s, string(token) }

// malformed is the refusal of an AUTH line that is not well-formed.
func malformed(line []byte) error {
	return &auth.Error{Outcome: auth.Format, Err: errors.New(wire.AuthFault(line))}
}

// announce tells the client of a session that this gateway goes away.
func (m *machine) announce(retryAfter int64, r *Reply) {
	if m.stage == open || m.stage == renewing {
		r.buf = wire.AppendNoticeDraining(r.buf, retryAfter)
	}
}

// stop ends the serving at once. Nothing that comes later saves the session, or
// gives it another reason to end.
func (m *machine) stop(now moment, reason wire.Code) {
	m.stage, m.token, m.reason = over, "", reason
	m.deadline = now.mono + m.within(byeSpread)
}

// within picks a random time below d, so that what befalls many sessions at once
// does not send them off at once.
func (m *machine) within(d time.Duration) time.Duration {
	return time.Duration(m.host.jitter(int64(d)))
}

// finish ends the connection for code, the first time it is called, or for the
// reason that it is over. A BYE is written where the code has one.
func (m *machine) finish(code wire.Code, retryAfter int64, r *Reply) {
	switch m.stage {
	case ended:
		return
	case over:
		code, retryAfter = m.reason, 0
	}
	m.stage, m.token = ended, ""
	m.end = code
	if code.InBye() {
		r.buf = wire.AppendBye(r.buf, code, retryAfter)
	}
}
