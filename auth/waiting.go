package auth

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// waiter is a login whose key is not known.
type waiter struct {
	kid      string    // empty: any set will do
	fetches  uint64    // started before it came; only a later one can tell that kid is unknown
	deadline time.Time // zero: none
	answer   chan waitAnswer
}

type waitAnswer struct {
	keys *KeySet
	err  *Error
	turn time.Duration // until the login goes on
}

var (
	errTooManyWait = errors.New("too many logins wait for keys")
	errNoFetchYet  = errors.New("no fetch of the keys in time")
	errStopped     = errors.New("keys of this issuer are no longer fetched")
)

// WaitForKey implements KeySource. The fetch that it waits for is shared by all
// who wait, starts after the call, and comes as soon as the cool-down allows.
// Then they go on one after another, in the order of their coming: all at once
// they would take the processors from logins whose keys were known all along.
func (r *Remote) WaitForKey(ctx context.Context, kid string) (*KeySet, error) {
	if r.Current() != nil {
		r.cfg.Metrics.unknownKey(r.cfg.Name)
	}
	if !r.cfg.Waiting.enter() {
		return nil, r.unavailable(errTooManyWait)
	}
	defer r.cfg.Waiting.leave()

	w, err := r.join(ctx, kid)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-w.answer:
		pause(ctx, a.turn)
		if a.err != nil {
			return nil, a.err
		}
		return a.keys, nil
	case <-ctx.Done():
		r.forget(w)
		return nil, r.unavailable(errNoFetchYet)
	}
}

// join puts a login among those that wait, unless no fetch can come in time for
// it.
func (r *Remote) join(ctx context.Context, kid string) (*waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	deadline, _ := ctx.Deadline()
	w := &waiter{deadline: deadline, kid: kid, fetches: r.fetches, answer: make(chan waitAnswer, 1)}
	if keys := r.Current(); keys != nil && w.satisfiedBy(keys) {
		w.answer <- waitAnswer{keys: keys} // it came since the caller looked
		return w, nil
	}
	if r.stopped {
		return nil, r.unavailableLocked(errStopped)
	}
	if !r.fetching && w.gone(r.soonest()) {
		return nil, r.unavailableLocked(errNoFetchYet)
	}
	r.waiters = append(r.waiters, w)
	signal(r.wake)
	return w, nil
}

func (r *Remote) forget(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.waiters, w); i >= 0 {
		r.waiters = slices.Delete(r.waiters, i, i+1)
	}
}

// answer ends a fetch, with keys or why there are none, for those whom it
// concerns. The others came while it was under way: they have their key if it
// is there, and otherwise wait for the next, if that can come in time. mu is
// held, and when the next may come is known.
func (r *Remote) answer(keys *KeySet, err error) {
	r.fetching = false
	step := r.stepFor(len(r.waiters))
	var turn time.Duration
	r.waiters = slices.DeleteFunc(r.waiters, func(w *waiter) bool {
		a := waitAnswer{turn: turn}
		switch {
		case err == nil && w.satisfiedBy(keys):
			a.keys = keys
		case w.fetches == r.fetches && w.gone(r.soonest()):
			a.err = r.unavailableLocked(errNoFetchYet)
		case w.fetches == r.fetches:
			return false
		case err != nil:
			a.err = r.unavailableLocked(err)
		default:
			a.err = refuse(UnknownKey, "kid", errNoKey)
		}
		w.answer <- a
		turn += step
		return true
	})
}

// stepFor is the time from one's turn to the next one's when n logins go on:
// several times what a login costs, unless they would not be through within
// half a cool-down.
func (r *Remote) stepFor(n int) time.Duration {
	return min(time.Millisecond, r.cfg.Cooldown/2/time.Duration(max(n, 1)))
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (w *waiter) satisfiedBy(keys *KeySet) bool { return w.kid == "" || keys.Has(w.kid) }

func (w *waiter) gone(at time.Time) bool { return !w.deadline.IsZero() && w.deadline.Before(at) }

// soonest is when a login that waits gets its fetch: as soon as the cool-down
// allows, or when one is due anyway. mu is held.
func (r *Remote) soonest() time.Time {
	if r.earliest.Before(r.refresh) {
		return r.earliest
	}
	return r.refresh
}

// stop sends all who wait away.
func (r *Remote) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for _, w := range r.waiters {
		w.answer <- waitAnswer{err: r.unavailableLocked(errStopped)}
	}
	r.waiters = nil
}

func (r *Remote) unavailable(cause error) *Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unavailableLocked(cause)
}

// unavailableLocked tells a login to come again when the next fetch may have
// been, spread over a cool-down so that not all come at once. mu is held.
func (r *Remote) unavailableLocked(cause error) *Error {
	refusal := refuse(KeysUnavailable, "", cause)
	refusal.RetryAfter = max(time.Until(r.earliest), time.Second) + randomUpTo(r.cfg.Cooldown)
	return refusal
}

// WaitLimit bounds how many logins wait for keys at once. It is safe for
// concurrent use.
type WaitLimit struct{ max, waiting atomic.Int64 }

// NewWaitLimit returns a limit of n logins.
func NewWaitLimit(n int) *WaitLimit {
	l := new(WaitLimit)
	l.Set(n)
	return l
}

// Set changes the limit; those who wait already stay.
func (l *WaitLimit) Set(n int) { l.max.Store(int64(n)) }

func (l *WaitLimit) enter() bool {
	if l.waiting.Add(1) > l.max.Load() {
		l.waiting.Add(-1)
		return false
	}
	return true
}

func (l *WaitLimit) leave() { l.waiting.Add(-1) }
