package session

import "sync"

// registry knows the authenticated sessions.
type registry struct {
	mu   sync.Mutex
	byID map[string]*Session
}

func newRegistry() *registry { return &registry{byID: make(map[string]*Session)} }

func (r *registry) add(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[s.sessionID] = s
}

func (r *registry) remove(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, s.sessionID)
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
