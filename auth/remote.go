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

	CAFile       string // PEM roots to trust instead of the system's
	InsecureHTTP bool   // http:// is allowed beyond loopback

	// Waiting bounds the logins that wait for a key at once, over all Remotes
	// that share it; nil: 1024 for this one.
	Waiting   *WaitLimit
	Transport http.RoundTripper // nil: one of its own, with CAFile and the environment's proxy
	Metrics   *Metrics          // nil: none
	Log       *slog.Logger      // nil: none
}

// Remote is an issuer's key set, fetched over HTTP by Run and published for
// everybody: a login with a known kid never waits, and none ever fetches.
//
// A fetch that fails leaves the last good set in use. A Cache-Control max-age
// (less the Age) makes the next fetch come sooner than RefreshInterval, though
// not within 30 s; no-cache and no-store do not, since some issuers send them
// with every key set and none wants to be asked all the time.
type Remote struct {
	cfg     RemoteConfig // static
	fetcher *fetcher     // used by Run alone
	wake    chan struct{}

	current atomic.Pointer[publishedSet]

	mu       sync.Mutex // guards what follows
	waiters  []*waiter
	fetches  uint64    // started so far
	fetching bool      // one is under way
	earliest time.Time // when an unknown kid may cause the next fetch
	refresh  time.Time // when the next fetch is due without one
	failures int       // in a row
	lastErr  error     // of the last fetch
	stopped  bool
}

// publishedSet is a good set and when it was last fetched.
type publishedSet struct {
	keys   *KeySet
	digest [sha256.Size]byte // of the document, to notice that nothing changed
	at     time.Time         // with its monotonic reading
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
	return &Remote{cfg: c, fetcher: fetcher, wake: make(chan struct{}, 1)}, nil
}

// Adopt takes over the keys that old has, with the time of their fetch, so that
// a Remote configured otherwise for the same keys need not begin without any.
// Call it before Run.
func (r *Remote) Adopt(old *Remote) {
	p := old.current.Load()
	if p == nil {
		return
	}
	r.current.Store(p)
	r.cfg.Metrics.published(r.cfg.Name, r.Current().Len(), p.at)
}

func (c *RemoteConfig) check() error {
	switch {
	case c.Name == "":
		return errors.New("name: missing")
	case c.Cooldown < 0:
		return errors.New("jwks.cooldown: must not be negative")
	case c.Timeout < 0:
		return errors.New("jwks.timeout: must not be negative")
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
	next := &publishedSet{keys: f.keys, digest: f.digest, at: now}
	changed := old == nil || old.digest != f.digest
	if !changed {
		next.keys = old.keys
	}
	r.current.Store(next)

	r.mu.Lock()
	recovered := r.failures > 0
	r.failures, r.lastErr = 0, nil
	r.refresh = now.Add(freshFor(f.header, r.cfg.RefreshInterval))
	r.answer(next.keys, nil)
	r.mu.Unlock()

	r.cfg.Metrics.fetched(r.cfg.Name, next.keys.Len(), now)
	if changed || recovered {
		r.cfg.Log.Info("keys fetched", "issuer", r.cfg.Name, "host", f.host, "keys", next.keys.Len(), "skipped", len(f.skipped))
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

// maxLeftOut is how many keys of a set the log names at most that were left out.
const maxLeftOut = 20

func (r *Remote) failed(err *fetchError) {
	now := time.Now()
	usable := r.Current().Len()

	r.mu.Lock()
	r.failures++
	r.lastErr = err
	delay := r.backoff(usable > 0)
	if err.retryAfter > 0 {
		longest := r.cfg.RefreshInterval
		if usable == 0 {
			longest = min(longest, maxRest)
		}
		delay = min(max(err.retryAfter, delay), longest)
		r.earliest = now.Add(delay) // the issuer asked for rest: unknown kids wait too
	}
	r.refresh = now.Add(delay)
	r.answer(nil, err)
	r.mu.Unlock()

	r.cfg.Metrics.failed(r.cfg.Name, err.result, usable)
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
