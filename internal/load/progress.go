package load

import (
	"sync/atomic"
	"time"
)

// Progress is told every second.
type Progress struct {
	Phase                             string
	Elapsed                           time.Duration
	Messages, Logins, Errors, Retries int
}

// phaseName is what the run does now, for a person.
type phaseName struct{ name atomic.Value }

func (n *phaseName) set(name string) { n.name.Store(name) }

func (n *phaseName) String() string {
	name, _ := n.name.Load().(string)
	return name
}

// tellProgress calls Config.Progress every second until the function that it
// returns is called.
func (r *run) tellProgress() (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	ticker := time.NewTicker(time.Second)
	ended, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-ticker.C:
				r.Progress(r.progress())
			case <-ended:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(ended)
		<-gone
	}
}

func (r *run) progress() Progress {
	p := Progress{Phase: r.phase.String(), Elapsed: r.now()}
	for _, t := range r.tallies {
		messages, logins, errors, retries := t.so()
		p.Messages += messages
		p.Logins += logins
		p.Errors += errors
		p.Retries += retries
	}
	return p
}
