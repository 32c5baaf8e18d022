package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Restore puts a saved set into use, until a newer one is fetched, though not
// for longer than MaxStale from the saved one's own fetch. Ages go by the wall
// clock. The set must be of the same issuer and jwks_uri, and is checked like
// one that was just fetched. The error says what is wrong with it, and then
// nothing has changed. Call it before Run.
func (r *Remote) Restore(s Snapshot) error {
	now := time.Now()
	age := now.Round(0).Sub(s.FetchedAt)
	set, err := r.restorable(s, age)
	if err != nil {
		return fmt.Errorf("auth: issuer %q: saved keys: %w", r.cfg.Name, err)
	}
	r.begin(&publishedSet{
		keys: set, digest: sha256.Sum256(s.Document), at: now.Add(-max(age, 0)), found: s.Discovered,
	})
	return nil
}

// maxAhead is how far in the future a saved set may have been fetched: no
// clock that is kept in order is set back by more.
const maxAhead = time.Minute

func (r *Remote) restorable(s Snapshot, age time.Duration) (*KeySet, error) {
	switch {
	case s.Issuer != r.cfg.Issuer:
		return nil, errors.New("of another issuer")
	case s.JWKSURI != r.cfg.JWKSURI:
		return nil, errors.New("of another jwks_uri")
	case s.InsecureHTTP && !r.cfg.InsecureHTTP:
		return nil, errors.New("fetched while insecure_http was true")
	case age > r.cfg.MaxStale:
		return nil, fmt.Errorf("fetched %v ago, which is more than jwks.max_stale", age.Round(time.Second))
	case age < -maxAhead:
		return nil, fmt.Errorf("fetched %v in the future: a clock was wrong then, or is now", -age.Round(time.Second))
	case len(s.Document) > maxDocument:
		return nil, fmt.Errorf("more than %d bytes", maxDocument)
	}
	if s.Discovered != "" {
		if err := r.fetcher.checkFound(s.Discovered); err != nil {
			return nil, err
		}
	}
	set, _, err := ParseKeySet(s.Document)
	return set, err
}

// Adopt goes on where old is, a Remote configured otherwise for the same
// issuer: a reload while the issuer is away refuses nobody, and what left
// before goes on leaving. Keys that old has and the first set of this Remote
// lacks depart with that. They are not used until then if jwks_uri is another,
// or if they may have come over http and that is no longer allowed. Call it
// before Run.
func (r *Remote) Adopt(old *Remote) {
	if r.cfg.Issuer != old.cfg.Issuer {
		return
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	p := old.current.Load()
	r.departures.follow(&old.departures)
	if p != nil && r.cfg.JWKSURI == old.cfg.JWKSURI && (r.cfg.InsecureHTTP || !old.cfg.InsecureHTTP) {
		r.begin(p)
	}
}

// begin puts a set into use that this Remote did not fetch.
func (r *Remote) begin(p *publishedSet) {
	r.mu.Lock()
	r.current.Store(p)
	r.departures.last = p.keys
	r.mu.Unlock()
	r.fetcher.found = p.found
	r.cfg.Metrics.watch(r)
	r.cfg.Metrics.published(r.cfg.Name, p.at)
}
