package session

import "time"

// A session may be held to so many lines a second by a bucket that holds the lines
// of one second and is full at the start. Every complete line takes one out; one
// that finds none waits for its turn, and what is behind it is not read.

const (
	// burst is the time whose lines the bucket holds.
	burst = time.Second
	// turnLength is the time whose lines wait for each other: to wake up for each
	// would cost more than to serve it.
	turnLength = 100 * time.Millisecond
)

// mayServe takes a line out of the bucket, or holds the line that has come, and what
// is behind it, until its turn.
func (m *machine) mayServe(now time.Duration) bool {
	m.active(now)
	owed := time.Duration(m.owed) + m.rules.interval
	m.held = owed > burst
	if !m.held {
		m.owed = uint32(owed)
	}
	return !m.held
}

// turn is when the line that is held may be served.
func (m *machine) turn() time.Duration {
	return m.idleSince + time.Duration(m.owed) - burst + max(m.rules.interval, turnLength)
}

// active lets the time without a line begin at since. What the bucket lacks is
// counted from there, too: so it takes four bytes, and not a word.
func (m *machine) active(since time.Duration) {
	m.owed = uint32(max(0, time.Duration(m.owed)-(since-m.idleSince)))
	m.idleSince = since
}
