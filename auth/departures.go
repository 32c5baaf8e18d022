package auth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Standing implements KeySource. It never waits. A key that left with the
// latest set is Departing; it is Departed when a later fetch confirmed that and
// RemovalGrace is over. Failing fetches confirm nothing: while the issuer is
// away, even beyond MaxStale, every key stands as it stood.
func (r *Remote) Standing(thumbprint string) Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.current.Load(); p != nil && p.keys.Holds(thumbprint) {
		return Standing{}
	}
	return r.departures.standing(thumbprint, time.Now())
}

// announce calls Changed when keys left, came back, or a departure became
// final, until ctx ends.
func (r *Remote) announce(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.fetched:
		case <-timer.C:
		}
		r.mu.Lock()
		changed, final := r.departures.news(time.Now())
		next := r.departures.nextFinal()
		r.mu.Unlock()

		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		if len(final) > 0 {
			r.cfg.Log.Info("keys removed", "issuer", r.cfg.Name, "kids", kids(final))
		}
		if changed && r.cfg.Changed != nil {
			r.cfg.Changed()
		}
	}
}

// kids names the first few of some keys for a log.
func kids(ids []string) string {
	return fmt.Sprintf("%q", ids[:min(len(ids), maxLeftOut)])
}

// departures remembers which keys left an issuer's set, until their sessions have
// ended. Keys go by their thumbprints: under another kid or alg a key is the same
// one, while one that the set lists and that cannot be used (it shares its kid, or
// is for encryption now) has left. Time comes in as an argument.
//
// A key departs with the first set that lacks it. That is confirmed by a set
// fetched doubt later, or after that: fetches in quick succession may bring one
// wrong document several times. It is final when it is confirmed and the grace
// is over, and it ends when a set has the key again.
type departures struct {
	grace, doubt time.Duration

	last *KeySet // the latest set, or that of the Remote before
	left map[string]*departure
	// rest is the departure of all other keys that the latest set lacks.
	// Theirs was final, or no set seen here had them: then they left with
	// the first of these at the latest.
	rest  departure
	asked bool // about one of those, so that any other set may be news
	moved bool // keys left or came back since news was asked for
}

type departure struct {
	kid       string
	since     time.Time // when the first set without the key came; zero: there was none
	confirmed bool
	told      time.Time // by news, that it is final; zero: not yet
}

// maxDepartures bounds what is remembered, whatever an issuer publishes. A set
// has 1,000 keys at most, so what goes beyond it was confirmed long ago.
const maxDepartures = 10_000

func newDepartures(grace, cooldown time.Duration) departures {
	return departures{grace: grace, doubt: max(cooldown, grace/2), left: map[string]*departure{}}
}

// follow takes over what was seen before, by a Remote for the same issuer.
// Which of the others left is to be seen anew: they are given the benefit of
// the doubt until the first set comes.
func (d *departures) follow(before *departures) {
	d.last = before.last
	for thumbprint, key := range before.left {
		own := *key
		d.left[thumbprint] = &own
	}
}

// standing is that of a key that is not in the set in use.
func (d *departures) standing(thumbprint string, now time.Time) Standing {
	key, found := d.left[thumbprint]
	if !found {
		key, d.asked = &d.rest, true
	}
	switch {
	case key.since.IsZero():
		return Standing{} // no set has spoken
	case d.over(key, now):
		return Standing{State: Departed, Grace: d.grace}
	}
	return Standing{State: Departing, Grace: max(0, key.since.Add(d.grace).Sub(now))}
}

func (d *departures) over(key *departure, now time.Time) bool {
	return key.confirmed && !now.Before(key.since.Add(d.grace))
}

// observe notes which keys a set lacks that was just fetched, and returns the
// ids of those that left with it and of those that came back.
func (d *departures) observe(set *KeySet, now time.Time) (left, back []string) {
	has := make(map[string]bool, set.Len())
	for _, key := range set.all {
		has[key.thumbprint] = true
	}
	for thumbprint, key := range d.left {
		if has[thumbprint] {
			delete(d.left, thumbprint)
			back = append(back, key.kid)
			continue
		}
		d.confirm(key, now)
	}
	if d.rest.since.IsZero() {
		d.rest.since = now
	}
	d.confirm(&d.rest, now)
	if d.last != nil {
		for _, key := range d.last.all {
			if !has[key.thumbprint] && d.left[key.thumbprint] == nil {
				kid := cmp.Or(key.id, key.thumbprint)
				d.left[key.thumbprint] = &departure{kid: kid, since: now}
				left = append(left, kid)
			}
		}
	}
	d.moved = d.moved || len(left)+len(back) > 0 || d.asked && set != d.last
	d.last = set
	d.forget()
	return left, back
}

func (d *departures) confirm(key *departure, now time.Time) {
	if !now.Before(key.since.Add(d.doubt)) {
		key.confirmed = true
	}
}

// forget keeps what is remembered within its bound: the oldest go, as if their
// grace were over.
func (d *departures) forget() {
	excess := len(d.left) - maxDepartures
	if excess <= 0 {
		return
	}
	oldest := slices.SortedFunc(maps.Keys(d.left), func(a, b string) int {
		return d.left[a].since.Compare(d.left[b].since)
	})
	for _, thumbprint := range oldest[:excess] {
		delete(d.left, thumbprint)
	}
}

// news tells whether a standing changed since it was asked for last, and the
// ids of the keys whose departure became final. A grace later, when the last of
// their sessions has ended, it forgets of these what rest says as well: until
// then a Remote that takes over must hear of them.
func (d *departures) news(now time.Time) (changed bool, final []string) {
	changed, d.moved = d.moved, false
	if d.rest.told.IsZero() && d.over(&d.rest, now) {
		changed, d.rest.told = changed || d.asked, now
	}
	for thumbprint, key := range d.left {
		if !d.over(key, now) {
			continue
		}
		if key.told.IsZero() {
			changed, key.told = true, now
			final = append(final, key.kid)
		}
		if !d.rest.told.IsZero() && !now.Before(key.told.Add(d.grace)) {
			delete(d.left, thumbprint)
		}
	}
	return changed, final
}

// nextFinal is when a departure becomes final by time alone; zero: none does.
func (d *departures) nextFinal() (at time.Time) {
	note := func(key *departure) {
		if key.confirmed && key.told.IsZero() {
			at = earlier(at, key.since.Add(d.grace))
		}
	}
	note(&d.rest)
	for _, key := range d.left {
		note(key)
	}
	return at
}

// nextConfirming is when a fetch can confirm a departure; zero: none needs it.
// For rest no fetch is made: it waits for those that come anyway.
func (d *departures) nextConfirming() (at time.Time) {
	for _, key := range d.left {
		if !key.confirmed {
			at = earlier(at, key.since.Add(d.doubt))
		}
	}
	return at
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
