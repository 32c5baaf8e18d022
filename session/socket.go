package session

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/linegate/linegate/internal/steady"
)

// What a session saves by waiting for its socket itself, with TLS or without: it
// waits without a buffer, in the goroutine that serves, and reads, serves and
// writes a batch without a step through the runtime's poller.

const (
	// hotGap is the longest time between two batches of a session that is
	// hot: it waits again after a read that did not fill its buffer, without
	// another that would find nothing. The end of the stream may have come
	// with those bytes, and the poller tells of it only once.
	hotGap = 250 * time.Millisecond
	// silence is the time after a batch in which a session looks again: for
	// the end of its stream, if it was hot, and for a goroutine to wait in
	// place of this one, whose stack the batch may have made grow. A single
	// ping after a pause, which is all that most sessions ever say, leaves no
	// reason to look: the stack that a goroutine begins with has room for it.
	silence = time.Second
	// busyTurn is for how long a session whose client never pauses is served before
	// all others whose clients have sent something. Its goroutine steps back to where
	// it waits for its socket, for only when no goroutine is left to run does the
	// scheduler ask at once who else may; a mere runtime.Gosched would run it again.
	busyTurn = 500 * time.Microsecond
	// stepBack is for how long at most, where its client sends nothing more and its
	// socket is not empty.
	stepBack = time.Millisecond
)

// serveSocket waits for input, at most until the machine wants to look at the
// clock, and serves what comes for as long as nothing but input is wanted.
func (s *Session) serveSocket(now moment) moment {
	if s.readEnd != 0 {
		return s.endInput(now)
	}
	due := s.machine.next(now)
	if s.deep {
		due = min(due, s.served+silence)
	}
	if !s.arm(now, due) {
		return s.srv.clock()
	}
	err := s.raw.Read(s.readable)
	now = s.srv.clock()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		if err != nil {
			s.readEnd = readFailure(err)
		}
		return now
	}
	s.armed = 0
	if now.mono-due > timerSlack && s.arm(now, now.mono+timerSlack) {
		// What came while this process, or the whole machine, stood still
		// must not be called missing.
		_ = s.raw.Read(s.readable)
		s.armed = 0
		now = s.srv.clock()
	}
	return now
}

// arm sees to it that waiting ends at due, or sooner: a deadline that is early
// costs one look at the clock, one that moves with every line a timer each. It
// is false when an order has come that must be looked at first.
func (s *Session) arm(now moment, due time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders.any {
		return false
	}
	if s.armed == 0 || due < s.armed {
		s.armed = max(due, 1)
		_ = s.nc.SetReadDeadline(time.Now().Add(due - now.mono))
	}
	return true
}

// onReadable reads until the socket has no more, and serves each batch. It
// reports whether something else than input is wanted, an order to be heeded for
// one; else it is called again when the socket has more.
func (s *Session) onReadable(fd uintptr) (done bool) {
	var begun time.Duration
	for !s.urgent.Load() {
		s.sitDown()
		s.in = growBuffer(s.in, s.machine.lineLimit(s.in)+1)
		room := cap(s.in) - len(s.in)
		n, err := s.readReady(int(fd), s.in[len(s.in):cap(s.in)])
		if err == syscall.EAGAIN {
			s.standUp() // it waits without a desk
			return false
		}
		if err != nil {
			s.readEnd = readFailure(err)
		}
		watched := s.deep
		now, more := s.serveBatches(s.received(n), int(fd), false)
		if !more || err != nil {
			return true
		}
		s.deep = s.deep || s.hot || s.sealed != nil
		if s.deep && !watched && !s.arm(now, now.mono+silence) {
			return true // instead of a look at the silent socket there is an order
		}
		if s.hot && n < room {
			return false // it is empty, most likely: see hotGap
		}
		if begun == 0 {
			begun = now.mono
		} else if now.mono-begun >= busyTurn {
			return !s.arm(now, now.mono+stepBack) // others come first, see busyTurn
		}
	}
	return true
}

// readReady reads what there is, and says EAGAIN where that is nothing.
func (s *Session) readReady(fd int, b []byte) (int, error) {
	if s.sealed != nil {
		return s.sealed.ReadReady(fd, b)
	}
	return steady.ReadNow(fd, b)
}

// received takes in n bytes that were read, and returns when.
func (s *Session) received(n int) (now moment) {
	s.in = s.in[:len(s.in)+n]
	s.srv.metrics.bytesReceived.Add(int64(n))
	now = s.srv.clock()
	s.hot = now.mono-s.served <= hotGap
	s.served = now.mono
	if s.urgent.Load() { // an order may be to serve nothing more
		now = s.obey(now, true)
	}
	return now
}

// serveBatches serves what was read, and reports whether only input is wanted now.
// Orders interrupt it, except where what arrived before one is served.
func (s *Session) serveBatches(now moment, fd int, arrived bool) (_ moment, more bool) {
	for {
		now = s.serveInput(now)
		if s.machine.need() != needInput {
			return now, false
		}
		batch := len(s.reply.buf) >= maxBatch // there may be more in s.in
		s.send(fd)
		s.out.settle()
		_, full := s.out.full()
		if more = !full && (arrived || now.mono < s.armed && !s.urgent.Load()); !more || !batch {
			return now, more
		}
	}
}

// silent reports whether the session has been so for long enough to be left to
// another goroutine.
func (s *Session) silent(now moment) bool {
	return s.deep && s.raw != nil && now.mono-s.served >= silence
}

// handOver leaves the session to another goroutine, which begins with a look at
// the socket: not even that may allocate there, because it can grow a stack.
func (s *Session) handOver() {
	s.deep = false
	s.in = growBuffer(s.in, s.machine.lineLimit(s.in)+1)
}
