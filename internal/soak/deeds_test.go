package soak

import (
	"sync"
	"time"
)

// deeds is what was done on purpose to tokens and sessions. It explains what
// clients are told, and forbids what they must not be told any more.
type deeds struct {
	mu          sync.Mutex
	removed     map[string]bool      // ids of keys that left the set
	used        map[string]time.Time // since when it is known that somebody was let in with a key
	kicked      map[string]bool      // sessions
	revocations []*revocation
	draining    bool
}

// token is what a client has to show.
type token struct {
	text            string
	subject         string
	id, key         string
	issued, expires time.Time
	bad             string // what is wrong with it; empty: nothing
}

// revocation is one of a token or a subject, and when it held: for certain
// between answered and lifting, and not before asked nor after lifted.
type revocation struct {
	subject, id     string    // one of them
	before          time.Time // of a subject's tokens, those issued before
	asked, answered time.Time // zero: not yet
	lifting, lifted time.Time
}

func newDeeds() *deeds {
	return &deeds{removed: map[string]bool{}, used: map[string]time.Time{}, kicked: map[string]bool{}}
}

func (d *deeds) remove(key string) { d.with(func() { d.removed[key] = true }) }
func (d *deeds) kick(id string)    { d.with(func() { d.kicked[id] = true }) }
func (d *deeds) drain()            { d.with(func() { d.draining = true }) }

func (d *deeds) with(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// revoke notes that a revocation is about to be asked for.
func (d *deeds) revoke(r *revocation) {
	d.with(func() {
		r.asked = time.Now()
		d.revocations = append(d.revocations, r)
	})
}

// revoked notes that it was answered that r is in force.
func (d *deeds) revoked(r *revocation, before time.Time) {
	d.with(func() { r.answered, r.before = time.Now(), before })
}

func (d *deeds) lift(r *revocation)   { d.with(func() { r.lifting = time.Now() }) }
func (d *deeds) lifted(r *revocation) { d.with(func() { r.lifted = time.Now() }) }

// means reports whether r is of t. A time of issue is in whole seconds.
func (r *revocation) means(t *token) bool {
	if r.subject != "" {
		return r.subject == t.subject && (r.before.IsZero() || t.issued.Before(r.before))
	}
	return r.id == t.id
}

// refusable reports whether a token may have been refused between since and now.
func (d *deeds) refusable(t *token, since time.Time) bool {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	return t.bad != "" || d.removed[t.key] || !now.Before(t.expires) || d.touched(t, since)
}

// withdrawable reports whether a session with t may be told that it is revoked.
func (d *deeds) withdrawable(session string, t *token, since time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kicked[session] || d.touched(t, since)
}

// touched reports whether a revocation of t may have held at any time since then.
func (d *deeds) touched(t *token, since time.Time) bool {
	for _, r := range d.revocations {
		if r.means(t) && (r.lifted.IsZero() || r.lifted.After(since)) {
			return true
		}
	}
	return false
}

// forbidden says why a token that was sent at since can never be accepted now;
// empty: it can.
func (d *deeds) forbidden(t *token, since time.Time) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case t.bad != "":
		return t.bad
	case !since.Before(t.expires):
		return "expired"
	}
	for _, r := range d.revocations {
		if r.means(t) && !r.answered.IsZero() && r.answered.Before(since) && r.lifting.IsZero() {
			return "revoked"
		}
	}
	return ""
}

func (d *deeds) letIn(key string) {
	d.with(func() {
		if d.used[key].IsZero() {
			d.used[key] = time.Now()
		}
	})
}

// known reports whether the gateway certainly had a key at a time, and it is
// still published.
func (d *deeds) known(key string, at time.Time) (is bool) {
	d.with(func() { is = !d.used[key].IsZero() && d.used[key].Before(at) && !d.removed[key] })
	return is
}

func (d *deeds) isRemoved(key string) (is bool) {
	d.with(func() { is = d.removed[key] })
	return is
}

func (d *deeds) isDraining() (is bool) {
	d.with(func() { is = d.draining })
	return is
}
