package auth

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// workers do the deep and expensive part of verifying, a bounded number at once:
// that is what a flood of logins would buy, and live sessions need the processors
// too. What is asked for waits in line; what would wait too long is refused
// before anything is spent on it.
//
// A worker is a goroutine for as long as there is work, so its stack grows once
// for many signatures, and none is left when there is nothing to do.
type workers struct {
	max int

	mu      sync.Mutex
	waiting [2][]*job // for clients, then for strangers; in the order of their coming
	running int
	cost    time.Duration // of one job, lately
}

// whose is for whom a job is done. A client, who has a session, comes before all
// strangers: no flood of theirs makes a renewal come too late.
type whose int

const (
	client whose = iota
	stranger
)

type job struct {
	ctx    context.Context
	do     func()
	done   chan struct{}
	failed any // what do panicked with
}

// maxQueue is how long a job may have to wait, as far as can be told when it
// comes.
const maxQueue = 5 * time.Second

var errBusy = errors.New("too many tokens wait to be verified")

// do has f done by a worker. It returns an Error when f will not be done: there
// is too much to do already, or ctx ended first. A panic of f is the caller's:
// on the worker it would end the process, and all its sessions.
func (w *workers) do(ctx context.Context, who whose, f func()) *Error {
	j := &job{ctx: ctx, do: f, done: make(chan struct{})}
	if wait := w.enqueue(who, j); wait > 0 {
		refusal := refuse(Overload, "", errBusy)
		refusal.RetryAfter = time.Second + randomUpTo(wait)
		return refusal
	}
	<-j.done
	if j.failed != nil {
		panic(j.failed)
	}
	if j.do != nil {
		refusal := refuse(Overload, "", errBusy)
		refusal.RetryAfter = time.Second + randomUpTo(maxQueue)
		return refusal
	}
	return nil
}

// enqueue puts a job in line, unless the wait would be too long, which it then
// returns.
func (w *workers) enqueue(who whose, j *job) (wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wait := time.Duration(len(w.waiting[who])) * w.cost / time.Duration(w.max); wait > maxQueue {
		return wait
	}
	w.waiting[who] = append(w.waiting[who], j)
	if w.running < w.max {
		w.running++
		go w.work()
	}
	return 0
}

func (w *workers) work() {
	took := time.Duration(-1)
	for {
		j := w.next(took)
		if j == nil {
			return
		}
		took = -1
		if j.ctx.Err() == nil {
			start := time.Now()
			j.run()
			took = time.Since(start)
		}
		close(j.done)
		runtime.Gosched() // sessions that have something to serve come first
	}
}

func (j *job) run() {
	defer func() { j.failed = recover() }()
	j.do()
	j.do = nil
}

// next returns the job that comes next; nil: there is none, and the worker is
// over. took is what the worker's last job took, if one was done; else negative.
func (w *workers) next(took time.Duration) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if took >= 0 {
		w.cost += (took - w.cost) / 16
	}
	for who, jobs := range w.waiting {
		if len(jobs) > 0 {
			w.waiting[who] = jobs[1:]
			return jobs[0]
		}
	}
	w.running--
	w.waiting = [2][]*job{}
	return nil
}
