package load

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Result is what came of a run.
type Result struct {
	Config  Config        // as it was in force
	Elapsed time.Duration // of what was measured: without entering and warming up

	Messages int // answered as they should be
	Latency  Histogram
	Logins   int       // in mode login what was measured, in storm those that came back
	Login    Histogram // from the first SYN to the OK

	Back   []time.Duration // storm: when each device was in again, since the cut, in order
	Memory []Memory        // idle, with a PID: of the server, before and after each step

	Failed  int               // connections that failed at least once; being told to come back is no failure
	Errors  map[string]int    // their failures by kind
	Causes  map[string]string // one in words, of each kind that says little
	Retries map[string]int    // told to come back, by what the server said

	Server    *ServerUse // with a PID
	Strangers *StrangersResult
}

// ServerUse is what the server used for what was measured.
type ServerUse struct {
	CPU      time.Duration
	Resident int64 // bytes of anonymous memory at its end
}

// Memory is the server's anonymous resident memory with so many sessions.
type Memory struct {
	Sessions int
	Bytes    int64
}

func newResult(p *plan) *Result {
	return &Result{Config: p.Config, Errors: map[string]int{}, Causes: map[string]string{}, Retries: map[string]int{}}
}

// count adds what a driver has counted.
func (r *Result) count(t *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Messages += t.messages
	r.Latency.Add(&t.latency)
	r.Logins += t.logins
	r.Login.Add(&t.login)
	addCounts(r.Errors, t.errors)
	maps.Copy(r.Causes, t.causes)
	addCounts(r.Retries, t.retries)
}

func addCounts(to, from map[string]int) {
	for kind, n := range from {
		to[kind] += n
	}
}

// Units returns how many of what the mode measures were done: logins in the
// modes login and storm, otherwise messages.
func (r *Result) Units() (n int, one string) {
	switch r.Config.Mode {
	case Login, Storm:
		return r.Logins, "login"
	}
	return r.Messages, "message"
}

// CPUPerUnit returns the server's CPU time for one unit, 0 when it is not known.
func (r *Result) CPUPerUnit() time.Duration {
	n, _ := r.Units()
	if r.Server == nil || n == 0 {
		return 0
	}
	return r.Server.CPU / time.Duration(n)
}

// PerSession returns the bytes that a session takes, 0 when they are not known:
// between the first step and the last, or with a single step since before any.
func (r *Result) PerSession() float64 {
	if len(r.Memory) < 2 {
		return 0
	}
	first, last := r.Memory[0], r.Memory[len(r.Memory)-1]
	if len(r.Memory) > 2 {
		first = r.Memory[1]
	}
	return float64(last.Bytes-first.Bytes) / float64(last.Sessions-first.Sessions)
}

// perSecond returns a rate over what was measured.
func (r *Result) perSecond(n int) float64 {
	if r.Elapsed == 0 {
		return 0
	}
	return float64(n) / r.Elapsed.Seconds()
}

// kinds lists the kinds of counts, the most frequent first.
func kinds(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b))
	})
}
