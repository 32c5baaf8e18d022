package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/linegate/linegate/internal/cost"
)

// workers do the deep and expensive part of verifying, a bounded number at once:
// that is what a flood of logins would buy, and live sessions need the processors
// too. What is asked for waits in line until its time is over; what could not be
// done by then, even if the processors had nothing else to do, is refused before
// anything is spent on it.
//
// A worker is a goroutine for as long as there is work, so its stack grows once
// for many signatures, and none is left when there is nothing to do.
type workers struct {
	max int

	mu      sync.Mutex
	waiting [2][]*job // for clients, then for strangers; in the order of their coming
	running int
	cost    cost.Estimate
	// inARow is how many clients had their turn since a stranger had, whether or not
	// one waited: who comes into an empty line may go before a client.
	inARow int
}

// whose is for whom a job is done. A client, who has a session, comes before all
// strangers: no flood of theirs makes a renewal come too late. Only when so many
// clients came in a row is it a stranger's turn: clients that renew all the time
// keep nobody out.
type whose int

const (
	client whose = iota
	stranger
)

// maxInARow leaves strangers a ninth of the turns at most: a line of clients takes
// an eighth longer, and one turn, at worst.
const maxInARow = 8

type job struct {
	ctx    context.Context
	came   time.Time
	do     func()
	done   chan struct{}
	failed *fault
}

var errBusy = errors.New("too many tokens wait to be verified")

// fault is a panic on a worker, on its way to whoever the work was for.
type fault struct {
	value any
	stack []byte
}

// Error is what Go writes of a panic that nobody recovers.
func (f *fault) Error() string { return fmt.Sprint(f.value) }

// PanicStack returns the stack of a panic of Verify, given what its caller has just
// recovered: where it began, also if that was on a worker.
func PanicStack(recovered any) string {
	if f, ok := recovered.(*fault); ok {
		return string(f.stack)
	}
	return string(debug.Stack())
}

// do has f done by a worker. It returns an Error when f will not be done in the
// time that ctx leaves. A panic of f is the caller's: on the worker it would end
// the process, and all its sessions.
func (w *workers) do(ctx context.Context, who whose, f func()) *Error {
	j := &job{ctx: ctx, came: time.Now(), do: f, done: make(chan struct{})}
	if wait := w.enqueue(who, j); wait > 0 {
		return busy(wait)
	}
	<-j.done
	if j.failed != nil {
		panic(j.failed)
	}
	if j.do != nil {
		return busy(time.Since(j.came))
	}
	return nil
}

// busy tells a login to come again within the time that the line takes, at a
// random moment: all that were told so came together.
func busy(line time.Duration) *Error {
	refusal := refuse(Overload, "", errBusy)
	refusal.RetryAfter = time.Second + randomUpTo(line)
	return refusal
}

// enqueue puts a job in line, unless its time would be over before its turn; then
// it returns how long the line is.
func (w *workers) enqueue(who whose, j *job) (wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if deadline, ok := j.ctx.Deadline(); ok {
		line := time.Duration(len(w.waiting[who])) * w.cost.Least() / time.Duration(w.max)
		if j.came.Add(line).After(deadline) {
			return max(line, 1)
		}
	}
	w.waiting[who] = append(w.waiting[who], j)
	if w.running < w.max {
		w.running++
		go w.work()
	}
	return 0
}

func (w *workers) work() {
	for j := w.next(); j != nil; j = w.next() {
		start := time.Now()
		j.run()
		w.took(time.Since(start))
		close(j.done)
		runtime.Gosched() // sessions that have something to serve come first
	}
}

func (j *job) run() {
	defer func() {
		if value := recover(); value != nil {
			j.failed = &fault{value, debug.Stack()}
		}
	}()
	j.do()
	j.do = nil
}

// next returns the job that comes next; nil: there is none, and the worker is
// over.
func (w *workers) next() *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	for who := range w.waiting {
		for len(w.waiting[who]) > 0 && w.waiting[who][0].ctx.Err() != nil {
			close(w.first(whose(who)).done) // its time is over
		}
	}
	switch clients, strangers := len(w.waiting[client]), len(w.waiting[stranger]); {
	case clients > 0 && (strangers == 0 || w.inARow < maxInARow):
		w.inARow++
		return w.first(client)
	case strangers > 0:
		w.inARow = 0
		return w.first(stranger)
	}
	w.running--
	w.waiting = [2][]*job{}
	return nil
}

// first takes the first out of a line.
func (w *workers) first(who whose) *job {
	jobs := w.waiting[who]
	j := jobs[0]
	jobs[0] = nil // what is done is not kept for as long as the line lasts
	w.waiting[who] = jobs[1:]
	return j
}

func (w *workers) took(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cost.Add(d)
}
