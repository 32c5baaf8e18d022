//go:build soak

// Package soak is a gateway that lives for as long as one likes among clients of
// all kinds and misfortunes of all kinds, and an oracle that says what must not
// have been.
package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	duration = flag.Duration("duration", time.Minute, "how long clients are there; what goes before and behind each round is not counted")
	seed     = flag.Uint64("seed", 0, "of everything that is chosen at random; 0: any")
	logFile  = flag.String("log", "", "file for the gateway's log")
)

// TestSoak is rounds of equal make. After each of them everybody has left, and
// the gateway must hold what it held after the first, which warms it up.
func TestSoak(t *testing.T) {
	for *seed == 0 {
		*seed = rand.Uint64()
	}
	fmt.Printf("seed %d\n", *seed)
	s := newSite(t, *seed)
	defer s.report()

	stop := make(chan struct{})
	var beside sync.WaitGroup
	alone := sync.OnceFunc(func() { close(stop); beside.Wait() })
	defer alone()
	beside.Go(func() { s.gateway.scrapeEachSecond(stop) })
	beside.Go(func() { s.late.watch(stop) })
	rounds := max(2, int(*duration/time.Minute))
	// A short round has not done everything once. And with the race detector it is
	// that whose memory is seen: twenty times the program's.
	memory := *duration >= 2*time.Minute && !raceDetector
	var first held
	for round := range rounds {
		s.round(round, *duration/time.Duration(rounds))
		if round == 0 {
			first = s.gateway.settle(nil)
			t.Logf("round  1, to warm up: %v; %s", first, first.memory)
			continue
		}
		after := s.gateway.settle(&first)
		t.Logf("round %2d: %v; %s", round+1, after, after.memory)
		s.compare(round, first, after, memory)
		// If it was not quite at rest after the first round it is held to less now.
		first.goroutines, first.descriptors = min(first.goroutines, after.goroutines), min(first.descriptors, after.descriptors)
	}
	alone()
	s.farewell()
}

// round is a time with clients and misfortunes, behind a short one that is
// quiet enough to count.
func (s *site) round(round int, lasts time.Duration) {
	s.gateway.alive()
	s.muster(round)
	ctx, leave := context.WithTimeout(context.Background(), lasts)
	defer leave()
	var all sync.WaitGroup
	all.Go(func() { s.misfortunes(ctx, round) })
	all.Go(func() { s.clients(ctx, round) })
	all.Wait()
	s.calm()
	s.gateway.alive()
	s.part(round)
	s.gateway.eventually("without connections", func() bool { return s.metric("linegate_connections_open") == 0 })
	if open := s.metric("linegate_sessions_open"); open != 0 {
		s.find("%v sessions are open without connections", open)
	}
	made := s.dialled.Load()
	for _, network := range s.networks {
		made += network.Made()
	}
	s.tally(made, s.scrape())
}

// crowd is how many come to a muster. A session that is over leaves a little
// behind for good, a record of its goroutine, which the next one uses again: so
// each round has had as many at once.
const crowd = 600

// muster has a crowd log in while nobody else is there: each view that an
// operator has shows these sessions, and no other.
func (s *site) muster(round int) {
	present, leave := s.gather(fmt.Sprint("muster ", round), crowd)
	defer leave()
	if len(present) != crowd {
		s.find("of a crowd of %d only %d were let in", crowd, len(present))
	}
	for _, name := range []string{"linegate_sessions_open", "linegate_connections_open"} {
		if open := s.metric(name); open != float64(len(present)) {
			s.find("%s is %v, with %d sessions", name, open, len(present))
		}
	}
	listed := s.gateway.sessions(s.operator())
	if len(listed) != len(present) {
		s.find("%d sessions are listed, with %d there", len(listed), len(present))
	}
	for _, p := range present {
		id, _ := p.identity()
		if got, want := listed[id], remote(p.door, p.socket); got != want {
			s.find("%s, session %s: listed with the address %q, and it is %s", p.name, id, got, want)
		}
	}
}

// gather logs so many in, by each door as many, some at a time. They ping until
// leave is called, which ends them all.
func (s *site) gather(name string, number int) (present []*peer, leave func()) {
	var mu sync.Mutex
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		r := random(s.seed, name+" pings")
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
			}
			mu.Lock()
			all := slices.Clone(present)
			mu.Unlock()
			for _, p := range all {
				p.say(r, []request{ping()}, "ping")
			}
		}
	}()
	var all sync.WaitGroup
	const atOnce = 16
	for worker := range atOnce {
		all.Go(func() {
			r := random(s.seed, fmt.Sprint(name, worker))
			for i := worker; i < number; i += atOnce {
				name := fmt.Sprintf("%s, %d", name, i)
				p := s.dial(context.Background(), name, way{door: doors[i%len(doors)]})
				if p == nil {
					continue
				}
				if !p.login(context.Background(), r, s.newToken(name, time.Minute)) {
					p.bye()
					continue
				}
				mu.Lock()
				present = append(present, p)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return present, func() {
		close(stop)
		<-stopped
		for _, p := range present {
			p.bye()
		}
	}
}

// part has the issuer replace all of its keys and each token of the round shown
// once more, which nobody takes any more. After that no token is remembered, or
// there would be as many as it happens: some hundred bytes each.
func (s *site) part(round int) {
	s.mu.Lock()
	shown := s.shown
	s.shown = nil
	clear(s.tokens)
	s.mu.Unlock()
	s.replaceKeys()
	s.gateway.eventually("in possession of the new key", func() bool {
		present, leave := s.gather("first with the new key", 1)
		leave()
		return len(present) == 1
	})
	var all sync.WaitGroup
	const atOnce = 64
	for worker := range atOnce {
		all.Go(func() {
			r := random(s.seed, fmt.Sprint("part", round, worker))
			for i := worker; i < len(shown); i += atOnce {
				p := s.dial(context.Background(), "parting of "+shown[i].subject, way{door: plain})
				if p == nil {
					continue
				}
				if p.login(context.Background(), r, shown[i]) {
					s.find("%s: a token was taken whose key is gone%s", p.name, aboutToken(shown[i]))
				} else {
					s.count("tokens shown once more, and refused", 1)
				}
				p.bye()
			}
		})
	}
	all.Wait()
}

// farewell is a drain: whoever is there is told, and the process ends in order.
func (s *site) farewell() {
	present, leave := s.gather("farewell", 20)
	defer leave()
	s.drain()
	s.gateway.stop(drainTimeout + patience)
	for _, p := range present {
		<-p.heard
	}
}

// report says what there was, and fails the test for what must not have been.
func (s *site) report() {
	s.t.Helper()
	for _, line := range s.counted() {
		s.t.Log(line)
	}
	s.t.Log(&s.late)
	for _, finding := range s.found() {
		s.t.Errorf("seed %d: %s", s.seed, finding)
	}
}

// watch goes on until stop is closed.
func (l *lateness) watch(stop <-chan struct{}) {
	const each = 20 * time.Millisecond
	for {
		begun := time.Now()
		select {
		case <-stop:
			return
		case <-time.After(each):
		}
		now := time.Now()
		l.note(now, now.Sub(begun)-each)
	}
}
