package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/oplog"
	"github.com/linegate/linegate/wire"
)

// Session is one connection's life. The goroutine that calls Serve drives the
// protocol machine; everybody else only leaves orders and pushed lines.
type Session struct {
	// Static after New.
	srv           *Server
	nc            net.Conn
	rules         *Rules
	authenticated func()

	// Owned by the serving goroutine.
	machine   machine
	reply     Reply
	in        []byte       // read and not yet taken; holds a buffer only while needed
	readErr   error        // what reading ended with; served when in is used up
	verdict   chan verdict // of the check under way; nil: none is
	stopCheck context.CancelFunc
	entered   bool // authenticated, and not yet left

	// Set when the session is authenticated, before the registry or the
	// backend sees it.
	sessionID string
	identity  atomic.Pointer[auth.Identity]
	ends      atomic.Int64  // machine.ends, for those who push
	since     time.Duration // mono

	out  outbox
	poke chan struct{} // wakes the serving goroutine where it does not read

	mu     sync.Mutex
	orders orders
}

// orders is what others want of a session.
type orders struct {
	any        bool // there is an order, or a reason to look at the clock
	deaf       bool // the session closes: reads are its own affair
	open       bool // it may be pushed to
	end        wire.Code
	retryAfter int64
	announce   int64 // retry_after of NOTICE draining
}

type verdict struct {
	identity *auth.Identity
	err      error
	panicked bool
}

// ID returns the session's id, as the client was told it.
func (s *Session) ID() string { return s.sessionID }

// Identity returns whom the session was last authenticated as. Its issuer and
// subject never change; a renewal can change everything else.
func (s *Session) Identity() *auth.Identity { return s.identity.Load() }

// Push sends a line to the client from any goroutine, without blocking. It
// returns ErrText for a text that cannot be one line, ErrClosed when the
// session is not open, and ErrSlow when too much is unsent already, which ends
// the session.
func (s *Session) Push(text []byte) error {
	line, err := wire.AppendData(nil, text, s.rules.MaxLine)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.orders.open || s.srv.clock().wall >= s.ends.Load() {
		return ErrClosed
	}
	if !s.out.push(line) {
		s.orderEnd(wire.SlowConsumer, 0)
		return ErrSlow
	}
	return nil
}

// End asks the session to end for code, from any goroutine, without waiting.
// The first order counts. retryAfter, rounded up to seconds, is told to the
// client; 0 is not.
func (s *Session) End(code wire.Code, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orderEnd(code, seconds(retryAfter))
}

// orderEnd is End with mu held.
func (s *Session) orderEnd(code wire.Code, retryAfter int64) {
	if s.orders.end == 0 {
		s.order(func(o *orders) { o.end, o.retryAfter = code, retryAfter })
	}
}

// Announce tells the client of an authenticated session that this gateway goes
// away, and when to come back, counted from the close.
func (s *Session) Announce(retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(func(o *orders) { o.announce = seconds(retryAfter) })
}

// wake makes the serving goroutine look at its orders and the clock.
func (s *Session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order(func(*orders) {})
}

// order leaves an order and interrupts whatever the serving goroutine waits
// for. Called with mu held.
func (s *Session) order(leave func(*orders)) {
	leave(&s.orders)
	s.orders.any = true
	if !s.orders.deaf {
		_ = s.nc.SetReadDeadline(time.Unix(1, 0)) // fails only when closed
	}
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// Serve runs the connection from its first line to its close, and returns why
// it ended.
func (s *Session) Serve() wire.Code {
	defer s.nc.Close()
	defer s.leave()
	now := s.srv.clock()
	for {
		s.obey()
		s.machine.tick(now, &s.reply)
		if s.machine.need() != needVerdict {
			s.dropCheck() // a verdict that came too late is void
		}
		now = s.serveInput(now)
		batch := len(s.reply.buf) >= maxBatch // there may be more in s.in
		if s.machine.stage == expired || s.machine.stage == ended {
			s.mute() // no pushed line may come behind the BYE
		}
		s.send()
		switch s.machine.need() {
		case needNothing:
			s.leave()
			s.close()
			return s.machine.end
		case needVerdict:
			s.awaitVerdict(now)
			now = s.srv.clock()
		case needTime:
			s.sleep(now, nil)
			now = s.srv.clock()
		case needInput:
			if relief, full := s.out.full(); full {
				now = s.awaitRelief(now, relief)
			} else if batch {
				now = s.srv.clock()
			} else {
				now = s.read(now)
			}
		}
	}
}

// serveInput serves what was read, and returns the time, which may have gone
// on meanwhile.
func (s *Session) serveInput(now moment) moment {
	for len(s.in) > 0 {
		taken, late := s.machine.input(now, s.in, &s.reply)
		s.take(taken)
		if !late {
			break
		}
		now = s.srv.clock()
	}
	return now
}

// obey carries out what others ordered.
func (s *Session) obey() {
	s.mu.Lock()
	o := s.orders
	s.orders.any, s.orders.announce = false, 0
	s.mu.Unlock()
	if !o.any {
		return
	}
	if err := s.out.failure(); err != nil {
		s.machine.finish(writeFailure(err), 0, &s.reply)
	}
	if o.announce > 0 {
		s.machine.announce(o.announce, &s.reply)
	}
	if o.end != 0 {
		s.machine.finish(o.end, o.retryAfter, &s.reply)
	}
}

// take drops n bytes of input that were served, and the buffer with the last.
func (s *Session) take(n int) {
	if n > 0 {
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
func (s *Session) send() {
	if len(s.reply.buf) == 0 {
		return
	}
	s.out.add(s.reply.buf)
	s.reply.buf = s.reply.buf[:0]
	if cap(s.reply.buf) > 4<<10 { // an idle session keeps no large buffer
		s.reply.buf = nil
	}
}

// read waits for more input, at most until the machine wants to look at the
// clock, and serves it.
func (s *Session) read(now moment) moment {
	if s.readErr != nil {
		s.machine.finish(readFailure(s.readErr), 0, &s.reply)
		return now
	}
	s.in = growBuffer(s.in, s.machine.lineLimit(s.in)+1)
	due := s.machine.next(now)
	n, err := s.readBefore(due - now.mono)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && s.srv.clock().mono-due > timerSlack {
		// What came while this process, or the whole machine, stood still
		// must not be called missing.
		n, err = s.readBefore(time.Millisecond)
	}
	s.in = s.in[:len(s.in)+n]
	s.srv.metrics.bytesReceived.Add(int64(n))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.readErr = err
	}
	if len(s.in) == 0 {
		releaseBuffer(s.in)
		s.in = nil
	}
	// Served before the clock has its say: what is here came in time.
	return s.serveInput(s.srv.clock())
}

// readBefore reads behind what is in s.in, until an order comes or d has
// passed.
func (s *Session) readBefore(d time.Duration) (int, error) {
	if !s.armRead(d) {
		return 0, nil
	}
	return s.nc.Read(s.in[len(s.in):cap(s.in)])
}

// armRead sets the read deadline, unless an order has come that must be looked
// at first.
func (s *Session) armRead(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders.any {
		return false
	}
	_ = s.nc.SetReadDeadline(time.Now().Add(d))
	return true
}

// awaitVerdict has the machine's token checked on a goroutine of its own, so
// that time and orders are heeded meanwhile, and a signature's deep stack is
// gone with it.
func (s *Session) awaitVerdict(now moment) {
	if s.verdict == nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.checkTime(now))
		s.verdict, s.stopCheck = make(chan verdict, 1), cancel
		go func(token string, result chan<- verdict) {
			result <- s.check(ctx, token)
		}(s.machine.token, s.verdict)
	}
	s.sleep(now, s.verdict)
}

// checkTime is how long a token may be checked: until 1 s before the machine's
// deadline, so that its client can still be told.
func (s *Session) checkTime(now moment) time.Duration {
	left := s.machine.deadline - now.mono
	return max(left-time.Second, left/2)
}

func (s *Session) check(ctx context.Context, token string) (v verdict) {
	defer func() {
		if recover() != nil { // what it says may hold a part of the token
			s.srv.log.Error("the authenticator panicked", slog.String("stack", string(debug.Stack())))
			v.panicked = true
		}
	}()
	identity, err := s.srv.auth.Verify(ctx, token)
	return verdict{identity: identity, err: err}
}

func (s *Session) dropCheck() {
	if s.stopCheck != nil {
		s.stopCheck()
	}
	s.verdict, s.stopCheck = nil, nil
}

// sleep waits for a verdict, an order, or the machine's next moment.
func (s *Session) sleep(now moment, verdicts <-chan verdict) {
	timer := time.NewTimer(s.machine.next(now) - now.mono)
	defer timer.Stop()
	select {
	case v := <-verdicts:
		s.dropCheck() // it is over, and the next AUTH needs its own
		s.judge(v)
	case <-s.poke:
	case <-timer.C:
	}
}

// judge gives the machine its verdict. A session that it opens is known from
// here on.
func (s *Session) judge(v verdict) {
	if v.panicked {
		panic("session: the authenticator panicked") // ends this connection alone
	}
	now := s.srv.clock()
	first := s.machine.stage == checking
	if first {
		s.sessionID = s.srv.newID()
	}
	s.machine.verdict(now, v.identity, v.err, &s.reply)
	if s.machine.stage != open {
		return
	}
	s.identity.Store(s.machine.identity)
	s.ends.Store(s.machine.ends)
	if first {
		s.enter(now)
	}
}

// enter makes an authenticated session known.
func (s *Session) enter(now moment) {
	s.since, s.entered = now.mono, true
	s.srv.sessions.add(s)
	if s.authenticated != nil {
		s.authenticated()
	}
	s.send() // the OK, when everybody knows, and before any pushed line
	s.mu.Lock()
	s.orders.open = true
	s.mu.Unlock()
	identity := s.machine.identity
	s.srv.log.Info("session opened", s.logID(), s.logRemote(),
		slog.String("issuer", identity.IssuerName), foreign("subject", identity.Subject),
		foreign("client_id", identity.ClientID), foreign("kid", identity.KeyID),
		slog.Time("expires", identity.Expires))
	if s.srv.watcher != nil {
		s.srv.watcher.Opened(s)
	}
}

// mute ends the pushing of lines.
func (s *Session) mute() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders.open = false
}

// leave undoes enter, once; it is also deferred, for panics.
func (s *Session) leave() {
	s.dropCheck()
	if !s.entered {
		return
	}
	s.entered = false
	s.mute()
	s.srv.sessions.remove(s)
	reason := s.machine.end
	if reason == 0 { // Serve did not come to its end
		reason = wire.Panic
	}
	s.srv.log.Info("session closed", s.logID(), slog.String("reason", reason.String()),
		slog.Duration("duration", s.srv.clock().mono-s.since))
	if s.srv.watcher != nil {
		s.srv.watcher.Closed(s)
	}
}

// awaitRelief stops reading until half of what is unsent has gone. Idle time
// stands still meanwhile.
func (s *Session) awaitRelief(now moment, relief <-chan struct{}) moment {
	timer := time.NewTimer(s.machine.next(now) - now.mono)
	defer timer.Stop()
	select {
	case <-relief:
	case <-s.poke:
	case <-timer.C:
	}
	later := s.srv.clock()
	s.machine.paused(later.mono - now.mono)
	return later
}

// host: what the machine asks for.

func (s *Session) id() string { return s.sessionID }

func (s *Session) jitter(n int64) int64 { return s.srv.jitter(n) }

func (s *Session) message(text []byte, r *Reply) error {
	err := s.srv.backend.Message(s, text, r)
	if err != nil {
		s.srv.log.Warn("backend did not take a message", s.logID(), slog.Any("error", err))
	}
	return err
}

func (s *Session) attempted(kind attemptKind, identity *auth.Identity, err error, took time.Duration) {
	s.srv.metrics.attempt(kind, identity, err, took)
	if err == nil {
		if kind == renewal {
			s.srv.log.Info("session renewed", s.logID(), foreign("kid", identity.KeyID),
				slog.Time("expires", identity.Expires))
		}
		return
	}
	attrs := []any{slog.String("outcome", outcome(err).String()), s.logRemote()}
	if kind == renewal {
		attrs = append(attrs, s.logID())
	}
	var refused *auth.Error
	if errors.As(err, &refused) {
		attrs = append(attrs, slog.String("issuer", refused.IssuerName), foreign("kid", refused.KeyID),
			slog.String("claim", refused.Claim))
		err = refused.Err
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	s.srv.log.Warn(attemptRefused[kind], attrs...)
}

var attemptRefused = [...]string{login: "login refused", renewal: "renewal refused"}

func (s *Session) logID() slog.Attr { return slog.String("session", s.sessionID) }

// foreign is an attribute whose value a stranger chose.
func foreign(key, value string) slog.Attr {
	return slog.Attr{Key: key, Value: oplog.Foreign(value)}
}

func (s *Session) logRemote() slog.Attr {
	return slog.String("remote", s.nc.RemoteAddr().String())
}

// readFailure says why a connection ended whose reading did.
func readFailure(err error) wire.Code {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
		return wire.ClientClosed
	case errors.Is(err, net.ErrClosed):
		return wire.Forced
	}
	return wire.ClientReset
}

// writeFailure says why a connection ended whose writing failed.
func writeFailure(err error) wire.Code {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.SlowConsumer
	case errors.Is(err, net.ErrClosed):
		return wire.Forced
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return wire.ClientReset
	}
	return wire.WriteFailed
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
