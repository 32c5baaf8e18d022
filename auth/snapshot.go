package auth

import "time"

// Snapshot is a good key set as it was fetched, to be kept across a restart,
// with what tells whether it may be used then.
type Snapshot struct {
	Issuer       string    // the identifier of the issuer whose keys these are
	JWKSURI      string    // as configured; empty: it was discovered
	Discovered   string    // where discovery found the set; empty: JWKSURI was configured
	InsecureHTTP bool      // the set, or the way to it, may have come over http
	FetchedAt    time.Time // by the wall clock
	Document     []byte    // the JWK set
}

// offer leaves a set for Save, in the place of one that Save did not begin with.
// Run alone calls it.
func (r *Remote) offer(p *publishedSet, doc []byte) {
	if r.cfg.Save == nil {
		return
	}
	select {
	case <-r.unsaved:
	default:
	}
	r.unsaved <- Snapshot{
		Issuer: r.cfg.Issuer, JWKSURI: r.cfg.JWKSURI, Discovered: p.found,
		InsecureHTTP: r.cfg.InsecureHTTP, FetchedAt: p.at.Round(0), Document: doc,
	}
}

// save calls Save until Run ends, and then with what was left for it.
func (r *Remote) save() {
	for s := range r.unsaved {
		r.cfg.Save(s)
	}
}
