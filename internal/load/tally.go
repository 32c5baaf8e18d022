package load

import (
	"maps"
	"sync"
	"time"
)

// tally is what was counted, by one driver of devices. It is safe for
// concurrent use.
type tally struct {
	mu       sync.Mutex
	messages int
	latency  Histogram
	logins   int
	login    Histogram
	errors   map[string]int    // by kind: connections that failed
	causes   map[string]string // of those kinds, the first
	retries  map[string]int    // by kind: told to come back, and did
}

func newTally() *tally {
	return &tally{errors: map[string]int{}, causes: map[string]string{}, retries: map[string]int{}}
}

// replied counts n replies that came after d.
func (t *tally) replied(d time.Duration, n int) {
	if n == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.messages += n
	t.latency.Record(d, n)
}

// loggedIn counts a device that is in, d after it began to connect.
func (t *tally) loggedIn(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.logins++
	t.login.Record(d, 1)
}

func (t *tally) failed(why failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors[why.kind]++
	if why.cause != "" && t.causes[why.kind] == "" {
		t.causes[why.kind] = why.cause
	}
}

func (t *tally) retried(kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retries[kind]++
}

// forget begins anew, but for what failed: with the messages, and the logins
// where these are what is measured.
func (t *tally) forget(logins bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.messages, t.latency = 0, Histogram{}
	if logins {
		t.logins, t.login = 0, Histogram{}
	}
}

// so returns the counts so far, without the histograms.
func (t *tally) so() (messages, logins, errors, retries int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.messages, t.logins, sum(t.errors), sum(t.retries)
}

func sum(counts map[string]int) (n int) {
	for v := range maps.Values(counts) {
		n += v
	}
	return n
}
