package load

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// streams drives TLS, and plain TCP where there is no epoll: a goroutine for
// each device that is not settled. What happens to a settled one is seen in the
// next phase.
type streams struct {
	all []*stream
}

func newStreams(devices []*device, tallies []*tally) fleet {
	f := new(streams)
	for i, d := range devices {
		d.tally = tallies[i%len(tallies)]
		f.all = append(f.all, &stream{device: d})
	}
	return f
}

func (f *streams) play(ctx context.Context, p phase, width int) error {
	places := make(chan struct{}, width)
	var busy sync.WaitGroup
	defer busy.Wait()
	for _, s := range f.all {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		busy.Go(func() {
			s.play(ctx, p)
			<-places
		})
	}
	busy.Wait()
	return ctx.Err()
}

func (f *streams) cut() {
	for _, s := range f.all {
		if s.tcp != nil {
			_ = s.tcp.SetLinger(0)
			s.tcp.Close()
		}
		s.tcp, s.nc, s.stage = nil, nil, away
	}
}

func (f *streams) close() {
	for _, s := range f.all {
		s.hangUp()
	}
}

// stream is a device's connection.
type stream struct {
	*device
	tcp *net.TCPConn // nil: none
	nc  net.Conn     // the same, behind TLS where that is
	in  []byte
}

// play is a device's part in a phase.
func (s *stream) play(ctx context.Context, p phase) {
	s.in = make([]byte, 16<<10)
	defer func() { s.in = nil }()
	a := p.begin(s.device, s.plan.now())
	for ctx.Err() == nil {
		var e event
		switch a.do {
		case rest:
			return
		case leave:
			s.hangUp()
			return
		case connect:
			s.hangUp()
			if !pause(ctx, a.at-s.plan.now()) {
				return
			}
			s.connecting(s.plan.now())
			if e = s.connect(ctx); e == none {
				s.hello()
				e = s.ask(ctx)
			}
		case write:
			e = s.ask(ctx)
		case sleep:
			e = s.listen(ctx, a.at)
		}
		if e == failed {
			s.hangUp()
		}
		if e != none {
			a = p.next(s.device, e, s.plan.now())
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *stream) connect(ctx context.Context) event {
	ctx, cancel := context.WithTimeout(ctx, s.plan.Timeout)
	defer cancel()
	tcp, nc, err := s.plan.dial(ctx, s.plan.target)
	s.tcp, s.nc = tcp, nc
	if err != nil {
		return s.fail(failureOf(err))
	}
	return none
}

// ask sends and listens to the answer.
func (s *stream) ask(ctx context.Context) event {
	_ = s.nc.SetWriteDeadline(time.Now().Add(s.plan.Timeout))
	if _, err := s.nc.Write(s.send); err != nil {
		// The server may have said why.
		if e := s.listen(ctx, s.plan.now()+time.Second); e == failed {
			return e
		}
		return s.fail(failureOf(err))
	}
	e := s.listen(ctx, s.plan.now()+s.plan.Timeout)
	if e == timeUp {
		return s.fail(failure{kind: timedOut})
	}
	return e
}

// glance is how long a read may not notice that the run was given up.
const glance = time.Second

// listen takes what comes until something happened, if only that it is until.
func (s *stream) listen(ctx context.Context, until moment) event {
	for ctx.Err() == nil {
		now := s.plan.now()
		if now >= until {
			return timeUp
		}
		_ = s.nc.SetReadDeadline(time.Now().Add(min(until-now, glance)))
		n, err := s.nc.Read(s.in)
		if n > 0 {
			if e := s.take(s.plan.now(), s.in[:n]); e != none {
				return e
			}
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return s.fail(failureOf(err))
		}
	}
	return none
}

func (s *stream) hangUp() {
	if s.nc != nil {
		s.nc.Close()
	}
	s.tcp, s.nc, s.stage = nil, nil, away
}
