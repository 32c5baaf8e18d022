package load

import (
	"bytes"
	"time"
)

// device is one connection's part in a run, without I/O: the bytes that came
// and the time go in, what happened comes out, and what is to be written stands
// in send. A device that comes back is the same device.
type device struct {
	plan  *plan
	tally *tally // of whoever drives it
	id    int
	token string
	stage stage

	began moment // its connecting
	at    moment // it was in
	asked moment // what stands in due is counted from here
	turn  moment // its next paced request
	heard moment // its last request, for keeping an idle session
	idle  time.Duration

	send    []byte // to be written
	due     []byte // the replies to it, byte for byte
	seen    int    // how much of due has come
	size    int    // of each reply in due
	odd     []byte // the start of a line that is not the reply due
	count   uint64 // echoes asked for, so that no two are alike
	text    []byte // of the last echo asked for
	texts   []byte // memory for send and
	replies []byte // due, of echoes
	lost    failure
	stained bool // it failed once, and may have come back
	cut     bool // by the server, in a storm that the server makes
}

// stage is where a device is in its life.
type stage uint8

const (
	away    stage = iota // not connected
	opening              // connecting, and until it is let in
	inside
)

// event is what happened to a device.
type event uint8

const (
	none     event = iota
	entered        // it is in
	answered       // all that it asked for has come
	failed         // its connection is of no more use; lost says why
	timeUp         // what it slept for
)

// maxOdd is the longest line that no reply due explains.
const maxOdd = 64 << 10

// connecting begins an attempt to get in.
func (d *device) connecting(now moment) {
	d.stage, d.began = opening, now
	d.due, d.seen, d.odd = nil, 0, nil
}

// hello is what a connection begins with.
func (d *device) hello() { d.send = d.plan.dialect.open(nil, d.token) }

// pings asks for n pongs, counted from asked.
func (d *device) pings(n int, asked moment) {
	d.size = len(d.plan.dialect.pong)
	d.send, d.due = d.plan.pings[:n*len(d.plan.dialect.ping)], d.plan.pongs[:n*d.size]
	d.seen, d.asked, d.heard = 0, asked, asked
}

// echoes asks for n echoes, each of another text.
func (d *device) echoes(n int, asked moment) {
	d.texts, d.replies = d.texts[:0], d.replies[:0]
	for range n {
		text := d.nextText()
		d.texts = d.plan.dialect.echo(d.texts, text)
		d.replies = d.plan.dialect.echoed(d.replies, text)
	}
	d.send, d.due = d.texts, d.replies
	d.size = len(d.due) / n
	d.seen, d.asked, d.heard = 0, asked, asked
}

// nextText returns a text of the size asked for, no two alike: it ends in the
// device's number and the echo's, as far as they fit.
func (d *device) nextText() []byte {
	if d.text == nil {
		d.text = bytes.Repeat([]byte("x"), d.plan.Size)
	}
	d.count++
	before := putNumber(d.text, d.count)
	if len(before) > 1 {
		putNumber(before[:len(before)-1], uint64(d.id))
	}
	return d.text
}

// putNumber writes n's digits to the end of b, as far as they fit, and returns
// what is before them.
func putNumber(b []byte, n uint64) []byte {
	for more := true; more && len(b) > 0; more = n > 0 {
		b[len(b)-1] = '0' + byte(n%10)
		b, n = b[:len(b)-1], n/10
	}
	return b
}

// waits reports whether a reply is due.
func (d *device) waits() bool { return d.stage == opening || d.seen < len(d.due) }

// take takes what came. It is called until all of in is taken, unless failed.
func (d *device) take(now moment, in []byte) event {
	happened := none
	for len(in) > 0 {
		if d.stage == inside && len(d.odd) == 0 {
			n := d.expected(now, in)
			in = in[n:]
			if d.seen == len(d.due) && n > 0 {
				happened = answered
			}
			if len(in) == 0 {
				break
			}
			// What is not the reply due began where a reply should have.
			whole := d.seen / max(d.size, 1) * d.size
			d.odd, d.seen = append([]byte(nil), d.due[whole:d.seen]...), whole
		}
		end := bytes.IndexByte(in, '\n')
		if end < 0 {
			d.odd = append(d.odd, in...)
			if len(d.odd) > maxOdd {
				return d.fail(failure{kind: wrongReply})
			}
			break
		}
		line := append(d.odd, in[:end+1]...)
		in, d.odd = in[end+1:], nil
		switch e := d.line(now, line); e {
		case failed:
			return failed
		case entered:
			happened = entered
		}
	}
	return happened
}

// expected takes what is as it should be, and returns how much that is.
func (d *device) expected(now moment, in []byte) int {
	n := min(len(in), len(d.due)-d.seen)
	if !bytes.Equal(in[:n], d.due[d.seen:d.seen+n]) {
		for n = 0; in[n] == d.due[d.seen+n]; n++ {
		}
	}
	if n == 0 {
		return 0
	}
	before := d.seen / d.size
	d.seen += n
	d.tally.replied(now-d.asked, d.seen/d.size-before)
	return n
}

// line takes a line that is not the reply due.
func (d *device) line(now moment, line []byte) event {
	judge := d.plan.dialect.otherwise
	if d.stage == opening {
		judge = d.plan.dialect.opened
	}
	switch m := judge(line); {
	case m.kind == refused:
		return d.fail(m.failure)
	case m.kind == in && d.stage == opening:
		d.stage, d.at, d.heard, d.idle = inside, now, now, m.idle
		d.send, d.due, d.seen = nil, nil, 0
		d.tally.loggedIn(now - d.began)
		return entered
	case m.kind == in:
		return d.fail(failure{kind: wrongReply})
	}
	return none
}

func (d *device) fail(f failure) event {
	d.lost, d.stage = f, away
	d.send, d.due, d.seen, d.odd = nil, nil, 0, nil
	return failed
}
