package session

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/linegate/linegate/wire"
)

// read waits for more input, at most until the machine wants to look at the
// clock, and serves it.
func (s *Session) read(now moment) moment {
	if s.readEnd != 0 {
		return s.endInput(now)
	}
	s.in = growBuffer(s.in, s.machine.lineLimit(s.in)+1)
	due := s.machine.next(now)
	n, err := s.readBefore(due - now.mono)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && s.srv.clock().mono-due > timerSlack {
		// What came while this process, or the whole machine, stood still
		// must not be called missing.
		n, err = s.readBefore(timerSlack)
	}
	s.in = s.in[:len(s.in)+n]
	s.srv.metrics.bytesReceived.Add(int64(n))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.readEnd = readFailure(err)
	}
	s.dropIdle()
	// Served before the clock has its say: what is here came in time. Not
	// before an order, which may be to serve nothing more.
	return s.serveInput(s.obey(s.srv.clock(), true))
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

// readFailure says why a connection ended whose reading did.
func readFailure(err error) wire.Code {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, io.ErrUnexpectedEOF): // in the middle of a record of TLS
		return wire.ClientClosed
	case errors.Is(err, net.ErrClosed):
		return wire.Forced
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.SlowConsumer // it has TLS answer, and takes no answer
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
