package session

import (
	"cmp"
	"slices"
	"sync"
)

// Limits bound what one subject, the pair of issuer and sub, may have.
type Limits struct {
	SessionsPerSubject int  // at once; 0: as many as it likes
	ReplaceOldest      bool // a session in excess ends the oldest; else it is refused
}

// registry knows the authenticated sessions.
type registry struct {
	mu     sync.Mutex
	limits Limits
	byID   map[string]*Session
	// Oldest first; nil, and no memory, while subjects are not limited.
	bySubject map[subject][]*Session
}

type subject struct{ issuer, sub string }

func newRegistry() *registry { return &registry{byID: make(map[string]*Session)} }

// add lets s in, or not, where its subject has as many sessions as it may. The
// sessions that give way for it are gone from the registry; the caller ends them.
func (r *registry) add(s *Session) (replaced []*Session, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bySubject != nil {
		// More than one gives way where the limit was higher before.
		excess := len(r.bySubject[s.subject()]) + 1 - r.limits.SessionsPerSubject
		if excess > 0 && !r.limits.ReplaceOldest {
			return nil, false
		}
		if excess > 0 {
			replaced = slices.Clone(r.bySubject[s.subject()][:excess])
		}
		for _, old := range replaced {
			r.drop(old)
		}
		r.bySubject[s.subject()] = append(r.bySubject[s.subject()], s)
	}
	r.byID[s.sessionID] = s
	return replaced, true
}

// remove forgets s, if that was not done.
func (r *registry) remove(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(s)
}

// drop is remove with mu held.
func (r *registry) drop(s *Session) {
	if r.byID[s.sessionID] != s {
		return
	}
	delete(r.byID, s.sessionID)
	if r.bySubject == nil {
		return
	}
	all := r.bySubject[s.subject()]
	if len(all) == 1 {
		delete(r.bySubject, s.subject())
		return
	}
	at := slices.Index(all, s)
	r.bySubject[s.subject()] = slices.Delete(all, at, at+1)
}

// subject is whose session it is. No renewal changes that.
func (s *Session) subject() subject {
	identity := s.Identity()
	return subject{identity.Issuer, identity.Subject}
}

// setLimits bounds what is added from now on. The sessions that are there stay,
// and count.
func (r *registry) setLimits(l Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits = l
	switch {
	case l.SessionsPerSubject == 0:
		r.bySubject = nil
	case r.bySubject == nil:
		r.bySubject = make(map[subject][]*Session, len(r.byID))
		for _, s := range r.byID {
			r.bySubject[s.subject()] = append(r.bySubject[s.subject()], s)
		}
		for _, all := range r.bySubject {
			slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.since.mono, b.since.mono) })
		}
	}
}

// get returns the session of this id, nil when there is none.
func (r *registry) get(id string) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byID)
}

// all returns the sessions of this moment, in no order.
func (r *registry) all() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	sessions := make([]*Session, 0, len(r.byID))
	for _, s := range r.byID {
		sessions = append(sessions, s)
	}
	return sessions
}
