package gateway

import (
	"container/list"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"
)

// handshakes bounds how many TLS handshakes are computed at once: that is what a
// flood would buy, and live sessions need the processors too. The others wait in
// line; whoever would wait too long is closed before anything was computed.
type handshakes struct {
	max int

	mu      sync.Mutex
	running int
	line    list.List     // of chan struct{}, closed when the turn has come
	cost    time.Duration // of one turn, lately
}

// maxHandshakeWait is how long a handshake waits for a turn, at most until its
// deadline. One that has had
// none is refused at once when, as far as can be told, it would wait longer.
const maxHandshakeWait = 2 * time.Second

var errBusy = errors.New("too many TLS handshakes wait to be computed")

// turn is one handshake's place among the handshakes.
type turn struct {
	*handshakes
	conn  *conn
	until time.Time // the handshake's deadline
	since time.Time // it began; zero: there was none yet
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
	took := time.Since(t.since)
	t.mu.Lock()
	t.cost += (took - t.cost) / 16
	t.mu.Unlock()
	t.pass()
}

func (t *turn) await() error {
	place, err := t.enter(t.since.IsZero())
	if place == nil {
		return err
	}
	ready := place.Value.(chan struct{})
	timer := time.NewTimer(min(maxHandshakeWait, time.Until(t.until)))
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
func (h *handshakes) enter(new bool) (*list.Element, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running < h.max {
		h.running++
		return nil, nil
	}
	if wait := time.Duration(h.line.Len()) * h.cost / time.Duration(h.max); new && wait > maxHandshakeWait {
		return nil, errBusy
	}
	return h.line.PushBack(make(chan struct{})), nil
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
