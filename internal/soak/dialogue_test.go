package soak

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/linegate/linegate/wire"
)

// dialogue is what the client of one connection has said, and judges what it
// hears: each reply belongs to the oldest request that has none, nothing but a
// BYE answers somebody who is not authenticated, and every BYE has its reason.
type dialogue struct {
	*oracle
	*deeds
	name   string
	faulty bool // the way to the gateway is: connections end, and lines are late
	unread bool // the client does not take what it is sent
	begun  time.Time

	mu        sync.Mutex
	asked     []request // without a reply, the oldest first
	session   string    // its id; empty: not authenticated
	token     *token    // that was accepted last
	accepted  time.Time // when the AUTH with it was sent
	idle      time.Duration
	spoke     time.Time // when a line was sent last
	authed    time.Time // when an AUTH was sent last
	lastHeard time.Time // when a line came last, or it began
	withdrawn time.Time // when an operator was told that the session serves no more
	renew     bool      // the gateway wants a new token
	yields    bool      // newer sessions of its subject may take its place
	left      bool      // the client has ended its stream
	over      bool      // a BYE came, or the end
	deaf      bool      // the client is gone, and what still comes is nobody's
	changed   chan struct{}
}

// request is one line to the gateway.
type request struct {
	kind  wire.Kind
	text  string // of a message, as it comes back
	token *token // of an AUTH
	sent  time.Time
}

// How the gateway is configured, as far as clients notice.
const (
	authTimeout = 10 * time.Second
	maxLine     = 8 << 10
)

func newDialogue(o *oracle, d *deeds, name string, faulty bool) *dialogue {
	now := time.Now()
	return &dialogue{oracle: o, deeds: d, name: name, faulty: faulty, begun: now, spoke: now, lastHeard: now, changed: make(chan struct{}, 1)}
}

// ask notes a request, just before it is sent.
func (d *dialogue) ask(requests ...request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range requests {
		r.sent = time.Now()
		d.spoke = r.sent
		if r.kind == wire.Auth {
			d.authed = r.sent
		}
		d.asked = append(d.asked, r)
	}
}

func auth(t *token) request { return request{kind: wire.Auth, token: t} }
func ping() request         { return request{kind: wire.Ping} }

// message is a line that is data; what comes back is trimmed.
func message(line string) request {
	return request{kind: wire.Message, text: string(wire.Trim([]byte(line)))}
}

// hear judges a line from the gateway, which comes without its LF.
func (d *dialogue) hear(line []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.tell()
	d.lastHeard = time.Now()
	reply := wire.Parse(line)
	switch {
	case d.deaf:
	case d.over:
		d.wrong("%.80q came after the end", line)
	case reply.Verb == wire.Bye:
		d.over = true
		d.count("BYE "+reply.Word, 1)
		if !d.explained(reply.Word) {
			d.wrong("told %.120q for no reason%s", line, d.about())
		}
	case d.session == "" && reply.Verb != wire.OKAuth:
		d.wrong("%.80q answers a client that is not authenticated", line)
	case reply.Verb == wire.Notice:
		d.count("NOTICE "+reply.Word, 1)
		d.renew = d.renew || reply.Word == "reauth"
	case len(d.asked) == 0:
		d.wrong("%.80q answers nothing", line)
	default:
		first := d.asked[0]
		d.asked = d.asked[1:]
		d.match(first, reply, line)
	}
}

// match compares a reply with the request that it has to belong to.
func (d *dialogue) match(first request, reply wire.Reply, line []byte) {
	subject, _ := reply.Value("for")
	switch {
	case first.kind == wire.Auth && reply.Verb == wire.OKAuth:
		d.authenticated(first, reply)
	case first.kind == wire.Auth && reply.Verb == wire.Err && subject == wire.ForAuth:
		d.count("ERR "+reply.Word, 1)
		if !d.refused(reply.Word, first) {
			d.wrong("%.120q for no reason%s", line, aboutToken(first.token))
		}
	case first.kind == wire.Ping && reply.Verb == wire.Pong:
		d.served(first, "pings answered")
	case first.kind == wire.Message && reply.Verb == wire.Data && string(reply.Text) == first.text:
		d.served(first, "messages answered")
	default:
		d.wrong("%.80q (%d bytes) answers a %v %.60q (%d bytes)", line, len(line), kinds[first.kind], first.text, len(first.text))
	}
}

var kinds = map[wire.Kind]string{wire.Auth: "AUTH", wire.Ping: "ping", wire.Message: "message"}

func (d *dialogue) served(first request, what string) {
	d.count(what, 1)
	if !d.withdrawn.IsZero() && first.sent.After(d.withdrawn) {
		d.wrong("a line was served that was sent %v after the session was withdrawn", first.sent.Sub(d.withdrawn))
	}
}

func (d *dialogue) authenticated(first request, reply wire.Reply) {
	id, _ := reply.Value("session")
	subject, _ := reply.Value("sub")
	why := d.forbidden(first.token, first.sent)
	switch {
	case why != "":
		d.wrong("a token was accepted that is %s", why)
	case subject != first.token.subject:
		d.wrong("a token of %s made a session of %q", first.token.subject, subject)
	case id == "" || d.session != "" && d.session != id:
		d.wrong("session %q became %q", d.session, id)
	}
	if d.session == "" {
		d.count("sessions", 1)
	} else {
		d.count("renewals", 1)
	}
	d.letIn(first.token.key)
	d.session, d.token, d.accepted = id, first.token, first.sent
	d.idle, d.renew = reply.Seconds("idle_timeout"), false
}

// refused reports whether there was a reason to answer this to an AUTH.
func (d *dialogue) refused(code string, r request) bool {
	switch code {
	case wire.InvalidToken.String():
		return d.refusable(r.token, r.sent)
	case wire.TemporarilyUnavailable.String(): // its key may not be known yet
		return r.token.bad != "" || !d.known(r.token.key, r.sent)
	case wire.RateLimited.String():
		return true // only those who hurry are told
	}
	return false
}

// explained reports whether there was a reason for this BYE.
func (d *dialogue) explained(code string) bool {
	now := time.Now()
	if d.session == "" {
		if code == wire.AuthTimeout.String() {
			return d.faulty || now.Sub(d.begun) >= authTimeout
		}
		return len(d.asked) > 0 && d.asked[0].kind == wire.Auth && code != wire.RateLimited.String() && d.refused(code, d.asked[0])
	}
	switch code {
	case wire.IdleTimeout.String():
		return d.faulty || now.Sub(d.spoke) >= d.idle
	case wire.TokenExpired.String():
		return !now.Before(d.token.expires)
	case wire.TokenRevoked.String():
		return d.withdrawable(d.session, d.token, d.accepted) || d.anyAsked(func(r request) bool {
			return d.withdrawable(d.session, r.token, r.sent)
		})
	case wire.KeyRemoved.String():
		return d.isRemoved(d.token.key)
	case wire.SlowConsumer.String():
		return d.faulty || d.unread
	case wire.Replaced.String():
		return d.faulty || d.yields
	case wire.Draining.String():
		return d.isDraining()
	}
	return false
}

// anyAsked reports whether a renewal under way, which may have been done, is so.
func (d *dialogue) anyAsked(is func(request) bool) bool {
	for _, r := range d.asked {
		if r.kind == wire.Auth && is(r) {
			return true
		}
	}
	return false
}

// yield notes that a session more of its subject is about to come than it may
// have.
func (d *dialogue) yield() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.yields = true
}

// leave notes that the client ends its stream and listens on.
func (d *dialogue) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = true
}

// end judges the end of the stream, where err is nil, or of the connection.
func (d *dialogue) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.tell()
	if d.over {
		return
	}
	d.over = true
	switch {
	case d.faulty, d.unread:
	case err == nil && d.left && d.session != "":
		if len(d.asked) > 0 && !d.ending() {
			d.wrong("%d complete lines were not answered before the end", len(d.asked))
		}
	case (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) && d.ending():
		// A BYE that is lost behind what was sent meanwhile.
	case d.left && d.session == "" && d.ending():
	case errors.Is(err, os.ErrDeadlineExceeded) && (d.ending() || d.anyAsked(func(request) bool { return true })):
		// The client waits for its pongs, and they for a renewal that waits for
		// keys; or the session serves nothing any more, and its BYE is on its way.
	default:
		d.wrong("the connection ended without a BYE, %d lines after the last answer, %v ago: %v%s",
			len(d.asked), time.Since(d.lastHeard).Round(time.Millisecond), err, d.about())
	}
}

// ending reports whether the gateway has a reason of its own to end the session.
func (d *dialogue) ending() bool {
	if d.session == "" {
		return len(d.asked) > 0 && d.asked[0].kind == wire.Auth && (d.refused(wire.InvalidToken.String(), d.asked[0]) || d.refused(wire.TemporarilyUnavailable.String(), d.asked[0]))
	}
	for _, code := range []wire.Code{wire.IdleTimeout, wire.TokenExpired, wire.TokenRevoked, wire.KeyRemoved, wire.Replaced, wire.Draining} {
		if d.explained(code.String()) {
			return true
		}
	}
	return false
}

// gone ends a dialogue whose client does not listen any more.
func (d *dialogue) gone() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over, d.deaf = true, true
	d.tell()
}

// withdraw notes that the session serves nothing more that is sent from now on,
// unless a renewal under way may have made it another token's.
func (d *dialogue) withdraw(meant func(*token) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	other := d.anyAsked(func(r request) bool { return !meant(r.token) })
	if d.session != "" && meant(d.token) && !other && d.withdrawn.IsZero() {
		d.withdrawn = time.Now()
	}
}

// about names what the gateway's log calls the session.
func (d *dialogue) about() string {
	if d.session != "" {
		return ", session " + d.session
	}
	if len(d.asked) > 0 && d.asked[0].token != nil {
		return aboutToken(d.asked[0].token)
	}
	return ""
}

func aboutToken(t *token) string {
	return ", token " + t.id + " by key " + t.key + " until " + t.expires.Format(time.TimeOnly)
}

func (d *dialogue) wrong(format string, args ...any) {
	d.find(d.name+": "+format, args...)
}

// tell wakes whoever waits for this dialogue.
func (d *dialogue) tell() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// stranger is a dialogue with somebody who must not be let in: one BYE at most
// is all that he hears.
type stranger struct {
	*oracle
	name  string
	heard int
}

func (s *stranger) hear(line []byte) {
	s.heard++
	reply := wire.Parse(line)
	switch {
	case reply.Verb != wire.Bye:
		s.find("%s: a stranger was told %.80q", s.name, line)
	case s.heard > 1:
		s.find("%s: a stranger was told more: %.80q", s.name, line)
	default:
		s.count("BYE "+reply.Word, 1)
	}
}
