package auth

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// grants holds the Grants of one issuer's verified tokens, so that those that say
// the same share one.
type grants struct {
	mu     sync.Mutex
	seed   maphash.Seed
	byHash map[uint64]*Grant
}

// maxGrants bounds what is held where each device is a client of its own, and has
// nothing in common with others. Then all begin anew.
const maxGrants = 1024

// share returns the Grant that says the same as g, or else a copy of g that holds
// nothing of its token. Two that have one hash take turns.
func (gs *grants) share(g *Grant) *Grant {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.byHash == nil {
		gs.byHash, gs.seed = make(map[uint64]*Grant), maphash.MakeSeed()
	}
	hash := g.hash(gs.seed)
	if shared := gs.byHash[hash]; shared != nil && shared.equal(g) {
		return shared
	}
	if len(gs.byHash) >= maxGrants {
		clear(gs.byHash)
	}
	own := *g
	own.ClientID = strings.Clone(g.ClientID)
	own.Scopes = slices.Clone(g.Scopes)
	for i, scope := range own.Scopes {
		own.Scopes[i] = strings.Clone(scope)
	}
	gs.byHash[hash] = &own
	return &own
}

// hash is of what differs between the Grants of one issuer.
func (g *Grant) hash(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, s := range [...]string{g.ClientID, g.KeyID, g.Thumbprint, g.alg} {
		maphash.WriteComparable(&h, s)
	}
	for _, scope := range g.Scopes {
		maphash.WriteComparable(&h, scope)
	}
	return h.Sum64()
}

func (g *Grant) equal(other *Grant) bool {
	return g.ClientID == other.ClientID && g.KeyID == other.KeyID && g.Thumbprint == other.Thumbprint &&
		g.alg == other.alg && g.named == other.named && slices.Equal(g.Scopes, other.Scopes)
}
