package app

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// liveness tells whether the process still does its work: that its accept loops
// go round, and that what everybody needs a moment of (the tables of connections
// and of sessions) can be had. /healthz and the watchdog ask it.
type liveness struct {
	parts []part

	mu   sync.Mutex
	look *look // under way; nil: none is
}

// part is one that has to answer, or to return what is wrong with it.
type part struct {
	name   string
	answer func() error
}

// look goes through all parts. Where one is stuck, so is the look.
type look struct {
	at   atomic.Pointer[part]
	done chan struct{}
	err  error // when done
}

func newLiveness(a *App) *liveness {
	return &liveness{parts: []part{
		{"accepting", a.gateway.Stuck},
		{"sessions", func() error { a.sessions.Open(); return nil }},
	}}
}

// check returns nil when all is well, and otherwise what is not, at the latest
// when ctx is done. However many ask, one look is under way.
func (l *liveness) check(ctx context.Context) error {
	look := l.join()
	select {
	case <-look.done:
		return look.err
	case <-ctx.Done():
		if at := look.at.Load(); at != nil {
			return fmt.Errorf("%s: no answer", at.name)
		}
		return ctx.Err()
	}
}

func (l *liveness) join() *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.look == nil {
		l.look = &look{done: make(chan struct{})}
		go l.run(l.look)
	}
	return l.look
}

func (l *liveness) run(k *look) {
	for i := range l.parts {
		p := &l.parts[i]
		k.at.Store(p)
		if err := p.answer(); err != nil {
			k.err = fmt.Errorf("%s: %w", p.name, err)
			break
		}
	}
	l.mu.Lock()
	l.look = nil
	l.mu.Unlock()
	close(k.done)
}
