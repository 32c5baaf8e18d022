package load

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// poller drives some devices with an epoll of its own.
type poller struct {
	plan    *plan
	epoll   int
	sockets []socket
	in      []byte // what was read, for any of them
	events  []unix.EpollEvent

	phase    phase
	busy     int // sockets not settled
	timers   timers
	nextScan moment // for replies that never come
}

// socket is a device's connection. It is registered once, edge-triggered, for
// all it may become ready for.
type socket struct {
	*device
	fd      int // -1: none
	number  int // of its connections, to tell events of former ones
	linked  bool
	settled bool
	written int
	timer   int // counts its timers: only the last is in force
	since   moment
}

// The sizes of what a poller asks for at once.
const (
	readSize     = 256 << 10
	eventsAtOnce = 256
	beginAtOnce  = 64
	// scanInterval is how often replies are looked for that never come, and
	// the context.
	scanInterval = 100 * time.Millisecond
)

func newPoller(p *plan, devices []*device, t *tally) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	w := &poller{
		plan: p, epoll: epoll,
		sockets: make([]socket, len(devices)),
		in:      make([]byte, readSize),
		events:  make([]unix.EpollEvent, eventsAtOnce),
	}
	for i, d := range devices {
		d.tally = t
		w.sockets[i] = socket{device: d, fd: -1}
	}
	return w, nil
}

func (w *poller) play(ctx context.Context, p phase, width int) error {
	w.phase, w.busy, w.timers = p, 0, w.timers[:0]
	for i := range w.sockets {
		w.sockets[i].settled = true
		w.sockets[i].timer++
	}
	for begun := 0; begun < len(w.sockets) || w.busy > 0; {
		for range beginAtOnce {
			if begun == len(w.sockets) || w.busy >= width {
				break
			}
			now := w.plan.now()
			w.do(&w.sockets[begun], begun, w.phase.begin(w.sockets[begun].device, now), now)
			begun++
		}
		if begun == len(w.sockets) && w.busy == 0 {
			return nil
		}
		idle := w.busy >= width || begun == len(w.sockets)
		if err := w.turn(idle); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// turn handles what is ready; if nothing is, and if it may, it waits for that.
func (w *poller) turn(mayWait bool) error {
	patience := time.Duration(0)
	if mayWait {
		patience = scanInterval
		if len(w.timers) > 0 {
			patience = min(patience, max(0, w.timers[0].at-w.plan.now()))
		}
	}
	n, err := w.wait(patience)
	if err != nil {
		return err
	}
	for _, e := range w.events[:n] {
		i := int(e.Fd)
		if s := &w.sockets[i]; s.fd >= 0 && int32(s.number) == e.Pad {
			w.ready(s, i, e.Events)
		}
	}
	now := w.plan.now()
	for len(w.timers) > 0 && w.timers[0].at <= now {
		t := w.timers.pop()
		if s := &w.sockets[t.socket]; s.timer == t.number {
			w.wake(s, t.socket, now)
		}
	}
	if now >= w.nextScan {
		w.nextScan = now + scanInterval
		w.scan(now)
	}
	return nil
}

// wait is epoll_wait, with a patience finer than a millisecond.
func (w *poller) wait(patience time.Duration) (int, error) {
	ms := int(patience / time.Millisecond)
	if rest := patience % time.Millisecond; rest > 0 && ms < 2 {
		for {
			limit := unix.NsecToTimespec(int64(patience))
			ready := []unix.PollFd{{Fd: int32(w.epoll), Events: unix.POLLIN}}
			if _, err := unix.Ppoll(ready, &limit, nil); err != unix.EINTR {
				break
			}
		}
		ms = 0
	}
	for {
		n, err := unix.EpollWait(w.epoll, w.events, ms)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("epoll: %w", err)
		default:
			return n, nil
		}
	}
}

// ready handles a socket of which epoll says that something changed.
func (w *poller) ready(s *socket, i int, events uint32) {
	ended := events&(unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0
	if !s.linked && !w.connected(s, i) {
		return
	}
	if s.written < len(s.send) && !w.flush(s, i) {
		return
	}
	if events&unix.EPOLLIN != 0 || ended {
		w.read(s, i, ended)
	}
}

// read takes what has come. Unless the stream has ended, a read that does not
// fill the buffer has taken all there is: what comes after it is another event.
func (w *poller) read(s *socket, i int, ended bool) {
	for number := s.number; s.fd >= 0 && s.number == number; {
		n, err := unix.Read(s.fd, w.in)
		now := w.plan.now()
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			w.lost(s, i, err, now)
			return
		case n == 0:
			w.lost(s, i, io.EOF, now)
			return
		}
		if e := s.take(now, w.in[:n]); e != none {
			w.after(s, i, e, now)
		}
		if n < len(w.in) && !ended {
			return
		}
	}
}

func (w *poller) lost(s *socket, i int, err error, now moment) {
	w.after(s, i, s.fail(failureOf(err)), now)
}

// after does what the phase wants after something happened.
func (w *poller) after(s *socket, i int, e event, now moment) {
	if e == failed {
		w.hangUp(s)
	}
	w.do(s, i, w.phase.next(s.device, e, now), now)
}

func (w *poller) do(s *socket, i int, a action, now moment) {
	settled := a.do == rest || a.do == leave
	if s.settled != settled {
		s.settled = settled
		if settled {
			w.busy--
		} else {
			w.busy++
		}
	}
	s.timer++
	switch a.do {
	case write:
		s.written, s.since = 0, now
		w.flush(s, i)
	case connect:
		w.hangUp(s)
		if a.at > now {
			w.timers.push(timer{a.at, i, s.timer})
			return
		}
		w.connect(s, i, now)
	case sleep:
		w.timers.push(timer{a.at, i, s.timer})
	case leave:
		w.hangUp(s)
	}
}

// wake ends a sleep.
func (w *poller) wake(s *socket, i int, now moment) {
	if s.stage == away {
		w.connect(s, i, now)
		return
	}
	w.after(s, i, timeUp, now)
}

// flush writes what the socket takes, and reports whether the connection is
// still there. Where the server has closed it, it may have said why.
func (w *poller) flush(s *socket, i int) bool {
	number := s.number
	for s.written < len(s.send) {
		n, err := unix.Write(s.fd, s.send[s.written:])
		switch {
		case err == unix.EAGAIN:
			return true
		case err == unix.EINTR:
		case err != nil:
			w.read(s, i, true)
			if s.fd >= 0 && s.number == number {
				w.lost(s, i, err, w.plan.now())
			}
			return false
		default:
			s.written += n
		}
	}
	return true
}

func (w *poller) connect(s *socket, i int, now moment) {
	s.connecting(now)
	s.since, s.linked = now, false
	s.number++
	fd, err := openSocket(w.plan)
	if err != nil {
		w.lost(s, i, err, now)
		return
	}
	s.fd = fd
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(i), Pad: int32(s.number),
	}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		w.lost(s, i, err, now)
	}
}

// connected is the end of connecting, and reports whether it went well.
func (w *poller) connected(s *socket, i int) bool {
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		w.lost(s, i, err, w.plan.now())
		return false
	}
	s.linked = true
	s.hello()
	s.written = 0
	return true
}

// scan ends connections whose reply does not come.
func (w *poller) scan(now moment) {
	for i := range w.sockets {
		s := &w.sockets[i]
		if s.fd >= 0 && s.waits() && now-s.since > w.plan.Timeout {
			w.after(s, i, s.fail(failure{kind: timedOut}), now)
		}
	}
}

func (w *poller) hangUp(s *socket) {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	s.stage = away
}

func (w *poller) cut() {
	for i := range w.sockets {
		if s := &w.sockets[i]; s.fd >= 0 {
			_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			w.hangUp(s)
		}
	}
}

func (w *poller) close() {
	for i := range w.sockets {
		w.hangUp(&w.sockets[i])
	}
	unix.Close(w.epoll)
}
