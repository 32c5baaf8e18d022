package session

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/steady"
	"github.com/linegate/linegate/wire"
)

// Session is one connection's life. The goroutine that calls Serve drives the
// protocol machine; everybody else only leaves orders and pushed lines.
type Session struct {
	// Static after New.
	srv  *Server
	nc   net.Conn
	gate *Gate // nil: nobody wants to know; or it is authenticated

	// Owned by the serving goroutine. What it holds while it waits, every
	// idle session costs: fields that stay empty then are few and small.
	raw      syscall.RawConn       // the socket; nil: read by nc.Read
	sealed   sealed                // nc, where it is behind TLS
	readable func(fd uintptr) bool // onReadable, made once
	armed    time.Duration         // when the read deadline is; 0: to be set
	served   time.Duration         // when the last batch was
	machine  machine               // its life is written with mu held once others know the session
	*desk                          // nil while it waits for its socket
	hot      bool                  // the batch before the last was a moment earlier
	deep     bool                  // this goroutine's stack may have grown
	entered  bool                  // authenticated, and not yet left
	readEnd  wire.Code             // what reading ended with, heeded when in is used up; 0: it goes on

	urgent atomic.Bool // orders.any, to be read without mu
	mu     sync.Mutex
	orders orders
	poke   chan struct{} // wakes the serving goroutine where it sleeps; else nil

	// Set when the session is authenticated, before the registry or the
	// backend sees it.
	sessionID string
	since     moment

	out outbox
}

// ID returns the session's id, as the client was told it.
func (s *Session) ID() string { return s.sessionID }

// Identity returns whom the session was last authenticated as. Its issuer and
// subject never change; a renewal can change everything else, until End is
// called.
func (s *Session) Identity() *auth.Identity { return s.machine.identity.Load() }

// Remote returns the client's address.
func (s *Session) Remote() string { return s.nc.RemoteAddr().String() }

// Opened returns when the session was authenticated, by the wall clock.
func (s *Session) Opened() time.Time { return time.Unix(0, s.since.wall) }

// Expires returns when the session ends unless it is renewed: when its token
// expires, or its issuer's max_lifetime is over. By the wall clock as it is set now.
func (s *Session) Expires() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.srv.clock()
	return time.Unix(0, now.wall+int64(s.machine.life.left(now)))
}

// Push sends a line to the client from any goroutine, without blocking. It
// returns ErrText for a text that cannot be one line, ErrClosed when the
// session is not open, and ErrSlow when too much is unsent already, which ends
// the session.
func (s *Session) Push(text []byte) error {
	line, err := wire.AppendData(nil, text, s.machine.rules.MaxLine)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.orders.open || s.orders.mute || s.machine.life.left(s.srv.clock()) <= 0 {
		return ErrClosed
	}
	if !s.out.push(line) {
		s.orderEnd(wire.SlowConsumer, 0)
		return ErrSlow
	}
	return nil
}

// Serve runs the connection to its close, and returns why it ended.
func (s *Session) Serve() wire.Code {
	for {
		if end := s.Attend(); end != 0 {
			return end
		}
	}
}

// Attend is Serve in parts. It returns 0 when the session is silent and this
// goroutine's stack may have grown: another one, which is to call Attend again,
// waits on a smaller one. Its frame lies beneath each ping: eight bytes more, a call
// that is inlined, and 2 KiB are not enough (see TestMemoryOfPings).
func (s *Session) Attend() wire.Code {
	handedOver := false
	defer func() {
		if !handedOver {
			s.leave()
			s.nc.Close()
		}
	}()
	now := s.srv.clock()
	for {
		s.sitDown()
		now = s.obey(now, false)
		s.machine.tick(now, &s.reply)
		if s.machine.need() != needVerdict {
			s.dropCheck() // a verdict that came too late is void
		}
		now = s.serveInput(now)
		batch := len(s.reply.buf) >= maxBatch // there may be more in s.in
		if s.machine.stage == over || s.machine.stage == ended {
			s.shut() // no pushed line may come behind the BYE
		}
		if s.machine.stage == ended {
			s.leave() // who has read the BYE finds its place free
		}
		s.deep = s.deep || len(s.reply.buf) > 0
		s.send(steady.NoFD)
		switch s.machine.need() {
		case needNothing:
			s.close()
			return s.machine.end
		case needVerdict:
			s.awaitVerdict(now)
			now = s.srv.clock()
		case needTurn:
			if relief, full := s.out.full(); full {
				now = s.awaitRelief(now, relief)
			} else {
				s.sleep(now, s.machine.turn(), nil)
				now = s.srv.clock()
			}
		case needTime:
			s.sleep(now, never, nil)
			now = s.srv.clock()
		case needInput:
			if relief, full := s.out.full(); full {
				now = s.awaitRelief(now, relief)
			} else if batch {
				now = s.srv.clock()
			} else if s.silent(now) {
				s.handOver()
				handedOver = true
				return 0
			} else if s.raw != nil {
				now = s.serveSocket(now)
			} else {
				now = s.read(now)
			}
		}
	}
}

// serveInput serves what was read, and returns the time, which may have gone
// on meanwhile, and with it what others ordered.
func (s *Session) serveInput(now moment) moment {
	if len(s.in) > 0 && s.reply.buf == nil {
		s.reply.buf = growBuffer(nil, 0)
	}
	for len(s.in) > 0 {
		taken, late := s.machine.input(now, s.in, &s.reply)
		s.take(taken)
		if !late {
			break
		}
		now = s.obey(s.srv.clock(), true)
	}
	return now
}

// take drops n bytes of input that were served, and the buffer with the last.
func (s *Session) take(n int) {
	if n > 0 {
		s.deep = s.deep || s.machine.lines != [...]uint32{pingLine: 1, messageLine: 0}
		s.srv.metrics.count(&s.machine.lines)
	}
	if n < len(s.in) {
		s.in = s.in[:copy(s.in, s.in[n:])]
		return
	}
	releaseBuffer(s.in)
	s.in = nil
}

// send hands the replies of a batch to the outbox.
func (s *Session) send(fd int) {
	if s.reply.buf == nil {
		return
	}
	s.out.add(s.reply.buf, fd)
	releaseBuffer(s.reply.buf) // an idle session keeps none
	s.reply.buf = nil
}

// sleep waits for a verdict, an order, the machine's next moment, or until due.
func (s *Session) sleep(now moment, due time.Duration, verdicts <-chan verdict) {
	timer := time.NewTimer(min(s.machine.next(now), due) - now.mono)
	defer timer.Stop()
	poke := s.listen()
	defer s.unlisten()
	select {
	case v := <-verdicts:
		s.dropCheck() // it is over, and the next AUTH needs its own
		s.judge(v)
	case <-poke:
	case <-timer.C:
	}
}

// awaitRelief stops reading until enough of what is unsent has gone. Idle time
// stands still meanwhile.
func (s *Session) awaitRelief(now moment, relief <-chan struct{}) moment {
	timer := time.NewTimer(s.machine.next(now) - now.mono)
	defer timer.Stop()
	poke := s.listen()
	defer s.unlisten()
	select {
	case <-relief:
	case <-poke:
	case <-timer.C:
	}
	later := s.srv.clock()
	s.machine.paused(later.mono - now.mono)
	return later
}
