package gateway

import (
	"container/list"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/linegate/linegate/internal/cost"
)

// handshakes bounds how many TLS handshakes are computed at once: that is what a
// flood would buy, and live sessions need the processors too. The others wait in
// line until their deadline; whoever could not be done by then, even if the
// processors had nothing else to do, is closed before anything is computed.
type handshakes struct {
	max int

	mu      sync.Mutex
	running int
	line    list.List     // of chan struct{}, closed when the turn has come
	cost    cost.Estimate // of a whole handshake
}

var errBusy = errors.New("too many TLS handshakes wait to be computed")

// turn is one handshake's place among the handshakes.
type turn struct {
	*handshakes
	conn  *conn
	until time.Time     // the handshake's deadline
	since time.Time     // it began; zero: there was none yet
	spent time.Duration // in turns that are over
}

// Begin waits for the turn. Nothing is computed for a connection that was told to
// end meanwhile.
func (t *turn) Begin() error {
	if err := t.await(); err != nil {
		return err
	}
	if t.conn.endedFor() != 0 {
		t.pass()
		return net.ErrClosed
	}
	t.since = time.Now()
	return nil
}

// End gives it back.
func (t *turn) End() {
	t.spent += time.Since(t.since)
	t.pass()
}

// succeeded has the next ones judged by what this one took. A turn alone says
// little: a stranger's few bytes, or a piece of a hello, take next to nothing.
func (t *turn) succeeded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cost.Add(t.spent)
}

func (t *turn) await() error {
	place, err := t.enter()
	if place == nil {
		return err
	}
	ready := place.Value.(chan struct{})
	timer := time.NewTimer(time.Until(t.until))
	defer timer.Stop()
	select {
	case <-ready:
	case <-timer.C:
		if t.giveUp(place) {
			return errBusy
		}
	}
	runtime.Gosched() // sessions that have something to serve come first
	return nil
}

// enter takes a turn if one is free, and otherwise a place in the line.
func (t *turn) enter() (*list.Element, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running < t.max {
		t.running++
		return nil, nil
	}
	first := t.since.IsZero() // what was begun is not given up as long as there is hope
	if wait := time.Duration(t.line.Len()) * t.cost.Least() / time.Duration(t.max); first && wait > time.Until(t.until) {
		return nil, errBusy
	}
	return t.line.PushBack(make(chan struct{})), nil
}

// pass gives a turn to whoever has waited longest.
func (h *handshakes) pass() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if next := h.line.Front(); next != nil {
		close(h.line.Remove(next).(chan struct{}))
		return
	}
	h.running--
}

// giveUp leaves the line, and reports false when the turn has come meanwhile.
func (h *handshakes) giveUp(place *list.Element) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-place.Value.(chan struct{}):
		return false
	default:
		h.line.Remove(place)
		return true
	}
}
