package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// RemoteConfig configures a Remote. The zero value of a field has the default
// named here.
type RemoteConfig struct {
	Name    string // the issuer's, for metrics and logs; required
	Issuer  string // its identifier, where discovery begins; required
	JWKSURI string // where its keys are; empty: discovered

	RefreshInterval time.Duration // the longest time between two fetches; default 5 min
	Cooldown        time.Duration // the least time between two fetches caused by an unknown kid; default 3 s
	MaxStale        time.Duration // how long the last good set serves while fetches fail; default 24 h
	Timeout         time.Duration // for one fetch, discovery included; default 5 s
	// RemovalGrace is how long sessions are served whose key left the set; 0:
	// until a second fetch has confirmed that. The default is 0.
	RemovalGrace time.Duration

	CAFile       string // PEM roots to trust instead of the system's
	InsecureHTTP bool   // http:// is allowed beyond loopback

	// Waiting bounds the logins that wait for a key at once, over all Remotes
	// that share it; nil: 1024 for this one.
	Waiting   *WaitLimit
	Transport http.RoundTripper // nil: one of its own, with CAFile and the environment's proxy
	Metrics   *Metrics          // nil: none
	Log       *slog.Logger      // nil: none

	// Changed is called when Standing may have changed: keys left, came back,
	// or a departure became final. Save is called with each good set. Run
	// makes the calls, each kind on a goroutine of its own, without a lock
	// and one at a time, and fetches on meanwhile: while a call takes its
	// time, further ones become one, of Save that with the latest set. Run
	// returns when they have. Both may be nil.
	Changed func()
	Save    func(Snapshot)
}

// Remote is an issuer's key set, fetched over HTTP by Run and published for
// everybody: a login with a known kid never waits, and none ever fetches.
//
// A fetch that fails leaves the last good set in use. A Cache-Control max-age
// (less the Age) makes the next fetch come sooner than RefreshInterval, though
// not within 30 s; no-cache and no-store do not, since some issuers send them
// with every key set and none wants to be asked all the time.
type Remote struct {
	cfg     RemoteConfig  // static
	fetcher *fetcher      // used by Run alone
	wake    chan struct{} // a login began to wait
	fetched chan struct{} // a good set came
	unsaved chan Snapshot // the latest that Save did not begin with

	current atomic.Pointer[publishedSet] // stored with mu held

	mu         sync.Mutex // guards what follows
	departures departures
	waiters    []*waiter
	fetches    uint64    // started so far
	fetching   bool      // one is under way
	earliest   time.Time // when an unknown kid may cause the next fetch
	refresh    time.Time // when the next fetch is due without one
	failures   int       // in a row
	lastErr    error     // of the last fetch
	stopped    bool
}

// publishedSet is a good set and when it was last fetched.
type publishedSet struct {
	keys   *KeySet
	digest [sha256.Size]byte // of the document, to notice that nothing changed
	at     time.Time         // with its monotonic reading
	found  string            // where discovery found it; empty: there was none
}

// NewRemote returns a source without keys; Run fetches them. Its error names
// the field at fault as the configuration file spells it.
func NewRemote(c RemoteConfig) (*Remote, error) {
	setDefault(&c.RefreshInterval, 5*time.Minute)
	setDefault(&c.Cooldown, 3*time.Second)
	setDefault(&c.MaxStale, 24*time.Hour)
	setDefault(&c.Timeout, 5*time.Second)
	if c.Waiting == nil {
		c.Waiting = NewWaitLimit(1024)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	fetcher, err := newFetcher(c)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("auth: issuer %q: %w", c.Name, err)
	}
	return &Remote{
		cfg: c, fetcher: fetcher, departures: newDepartures(c.RemovalGrace, c.Cooldown),
		wake: make(chan struct{}, 1), fetched: make(chan struct{}, 1), unsaved: make(chan Snapshot, 1),
	}, nil
}

func (c *RemoteConfig) check() error {
	switch {
	case c.Name == "":
		return errors.New("name: missing")
	case c.Cooldown < 0:
		return errors.New("jwks.cooldown: must not be negative")
	case c.Timeout < 0:
		return errors.New("jwks.timeout: must not be negative")
	case c.RemovalGrace < 0:
		return errors.New("jwks.removal_grace: must not be negative")
	case c.RefreshInterval < c.Cooldown:
		return errors.New("jwks.refresh_interval: must not be shorter than jwks.cooldown")
	case c.MaxStale <= c.RefreshInterval:
		return errors.New("jwks.max_stale: must be longer than jwks.refresh_interval")
	}
	return nil
}

// Run fetches the keys at once and then whenever it is time, until ctx ends.
// It is the only goroutine that fetches, and may be called once. When it
// returns, logins that wait are told to come again.
func (r *Remote) Run(ctx context.Context) {
	r.cfg.Metrics.watch(r)
	var aside sync.WaitGroup
	defer aside.Wait()
	aside.Go(func() { r.announce(ctx) })
	aside.Go(r.save) // nothing, unless there is a Save
	defer close(r.unsaved)
	defer r.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := time.Until(r.nextFetch())
		if wait <= 0 {
			r.renew(ctx)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-r.wake: // a login began to wait, so the time may be sooner
		case <-timer.C: // or later, when that login has gone
		}
	}
}

// Current returns the last good set, or nil when there is none or it is older
// than MaxStale.
func (r *Remote) Current() *KeySet {
	p := r.current.Load()
	if p == nil || time.Since(p.at) > r.cfg.MaxStale {
		return nil
	}
	return p.keys
}

// Status is the state of a Remote for people and probes.
type Status struct {
	Keys        int       // usable keys; 0: no token can be verified
	LastSuccess time.Time // zero: never
	Err         error     // of the last fetch; nil when it was good, or before the first
}

// Status returns the state now.
func (r *Remote) Status() Status {
	s := Status{Keys: r.Current().Len()}
	if p := r.current.Load(); p != nil {
		s.LastSuccess = p.at
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Err = r.lastErr
	return s
}

// nextFetch returns when to fetch next: when it is due, or sooner if a login
// waits.
func (r *Remote) nextFetch() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiters) > 0 {
		return r.soonest()
	}
	return r.refresh
}

// renew fetches once, publishes what came and answers those who waited for it.
func (r *Remote) renew(ctx context.Context) {
	r.mu.Lock()
	r.fetches++
	r.fetching = true
	r.earliest = time.Now().Add(r.cfg.Cooldown)
	r.mu.Unlock()

	fetched, err := r.fetcher.fetch(ctx)
	if ctx.Err() != nil {
		return // interrupted, which says nothing of the issuer
	}
	if err != nil {
		r.failed(err)
	} else {
		r.succeeded(fetched)
	}
}

func (r *Remote) succeeded(f *fetchedSet) {
	now := time.Now()
	old := r.current.Load()
	next := &publishedSet{keys: f.keys, digest: sha256.Sum256(f.doc), at: now, found: r.fetcher.found}
	changed := old == nil || old.digest != next.digest
	if !changed {
		next.keys = old.keys
	}

	r.mu.Lock()
	r.current.Store(next)
	left, back := r.departures.observe(next.keys, now)
	recovered := r.failures > 0
	r.failures, r.lastErr = 0, nil
	r.refresh = r.due(now.Add(freshFor(f.header, r.cfg.RefreshInterval)))
	r.answer(next.keys, nil)
	r.mu.Unlock()

	signal(r.fetched)
	r.offer(next, f.doc)
	r.cfg.Metrics.fetched(r.cfg.Name, now)
	if changed || recovered {
		r.cfg.Log.Info("keys fetched", "issuer", r.cfg.Name, "host", f.host, "keys", next.keys.Len(), "skipped", len(f.skipped))
	}
	if len(left) > 0 {
		r.cfg.Log.Info("keys left the set", "issuer", r.cfg.Name, "kids", kids(left))
	}
	if len(back) > 0 {
		r.cfg.Log.Info("keys came back", "issuer", r.cfg.Name, "kids", kids(back))
	}
	if f.lost != nil {
		r.cfg.Log.Warn("discovery failed, the address of the keys found before is used", "issuer", r.cfg.Name, "error", f.lost)
	}
	if changed {
		for _, why := range f.skipped[:min(len(f.skipped), maxLeftOut)] {
			r.cfg.Log.Debug("key left out", "issuer", r.cfg.Name, "error", why)
		}
	}
}

// due is when to fetch next if the latest set is good until fresh: sooner when a
// departure is to be confirmed, though not within the cool-down. mu is held.
func (r *Remote) due(fresh time.Time) time.Time {
	confirming := r.departures.nextConfirming()
	switch {
	case confirming.IsZero():
		return fresh
	case confirming.Before(r.earliest):
		return earlier(r.earliest, fresh)
	}
	return earlier(confirming, fresh)
}

// maxLeftOut is how many keys of a set the log names at most.
const maxLeftOut = 20

func (r *Remote) failed(err *fetchError) {
	now := time.Now()
	usable := r.Current().Len()

	r.mu.Lock()
	r.failures++
	r.lastErr = err
	delay := r.backoff(usable > 0)
	var left time.Duration // until the keys are too old
	if usable > 0 {        // and then there is more haste
		left = r.current.Load().at.Add(r.cfg.MaxStale + 1).Sub(now)
		delay = min(delay, left)
	}
	if err.retryAfter > 0 {
		longest := min(r.cfg.RefreshInterval, left+maxRest)
		delay = min(max(err.retryAfter, delay), longest)
		r.earliest = now.Add(delay) // the issuer asked for rest: unknown kids wait too
	}
	r.refresh = now.Add(delay)
	r.answer(nil, err)
	r.mu.Unlock()

	r.cfg.Metrics.failed(r.cfg.Name, err.result)
	r.cfg.Log.Warn("fetching keys failed", "issuer", r.cfg.Name, "host", err.host, "result", string(err.result),
		"error", err.cause, "usable_keys", usable, "retry_in", delay.Round(time.Millisecond))
}

// maxRest is how long an issuer's Retry-After is believed while there are no
// usable keys: until then nobody gets in.
const maxRest = 5 * time.Minute

// backoff doubles from the cool-down up to the refresh interval, with jitter.
// Without usable keys it stays within ten cool-downs: a gateway that is not
// ready gets no logins, so nothing else would hurry it on.
func (r *Remote) backoff(usable bool) time.Duration {
	limit := r.cfg.RefreshInterval
	if !usable {
		limit = min(limit, 10*r.cfg.Cooldown)
	}
	delay := r.cfg.Cooldown
	for range r.failures {
		if delay >= limit {
			break
		}
		delay *= 2
	}
	delay = min(delay, limit)
	return max(delay/2+randomUpTo(delay/2), r.cfg.Cooldown)
}

func randomUpTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

func setDefault(d *time.Duration, standard time.Duration) {
	if *d == 0 {
		*d = standard
	}
}

// signal leaves word for a goroutine that will look, if it was not left before.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
