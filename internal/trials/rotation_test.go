package trials

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/mint"
)

// TestRotation is two issuers that rotate their keys far too often and sign with
// a key from the moment that they publish it, while devices log in. To make it
// as hard as can be, somebody guesses key ids all the while, so that the
// cool-down never rests, and every rotation comes when it has just begun.
//
// Rounds with rotation take turns with rounds without, so that both meet the
// same machine.
func TestRotation(t *testing.T) {
	t.Parallel()
	size := sizes().rotation
	load := &rotationLoad{size: size, issuers: []*rotator{newRotator(t, "one"), newRotator(t, "two")}}
	settings := fmt.Sprintf("required: true, jwks: {cooldown: %v, timeout: 30s}", size.cooldown)
	load.gateway = start(t, room, trusted(load.issuers[0].Issuer, settings), trusted(load.issuers[1].Issuer, settings))
	begun, before := time.Now(), []int{load.issuers[0].Fetches(), load.issuers[1].Fetches()}
	for round := range size.rounds {
		load.run(round, false)
		load.run(round, true)
	}
	took := time.Since(begun)

	r := newReport(t)
	r.none(fmt.Sprintf("of %d valid logins, %d a second, failed", load.answers.n, size.rate),
		load.answers.except("OK AUTH"), &load.answers)
	r.none(fmt.Sprintf("of %d guesses were not refused", load.guesses.n),
		load.guesses.except("BYE invalid_token"), &load.guesses)
	for i, iss := range load.issuers {
		r.fetches(fmt.Sprintf("fetches from issuer %s, with %d rotations,", iss.Name, iss.rotations), iss.Fetches()-before[i], took, size.cooldown)
	}
	r.latency(size.compared, "while keys rotate", &load.known[0], &load.known[1], size.rounds)
	fresh := load.fresh.all()
	r.told(fmt.Sprintf("the longest of %d logins with keys not yet known", len(fresh)), ms(quantile(fresh, 1)))
	r.told("the gateway's processor time for a login",
		fmt.Sprintf("%.0f µs", load.metric("process_cpu_seconds_total")*1e6/float64(load.answers.n)))
	r.told("a login began late by at most", ms(load.late))
}

// room lets 2,048 logins wait for keys at once, an eighth of the strangers, and
// that long enough for a machine which is busy with other things.
const room = `
limits: {connections: 16384, unauthenticated: 16384}
session: {auth_timeout: 60s}`

// rotationLoad is devices that log in and go, with tokens of the newest key and
// of those before, and a stranger who guesses.
type rotationLoad struct {
	*gateway
	size    rotationSize
	issuers []*rotator

	answers, guesses tally
	known            [2]latencies // without rotation, and with it
	fresh            latencies    // with keys that no device was let in with when the login began
	used             sync.Map     // ids of keys that a device was let in with
	late             time.Duration
}

// run is one round.
func (l *rotationLoad) run(round int, rotate bool) {
	var all sync.WaitGroup
	defer all.Wait()
	known := &l.known[0]
	if rotate {
		known = &l.known[1]
	}
	turn := int(l.size.every.Seconds() * float64(l.size.rate)) // in logins: every issuer rotates once
	for i, late := range paced(l.size.rate*int(l.size.round.Seconds()), l.size.rate) {
		l.late = max(l.late, late)
		iss := l.issuers[i%len(l.issuers)]
		if rotate && i%turn < len(l.issuers) {
			all.Go(iss.rotate)
		}
		if i%l.size.guessEvery < len(l.issuers) {
			all.Go(func() { l.guesses.count(l.login(iss.guess())) })
		}
		all.Go(func() {
			key := iss.take()
			defer key.logins.Done()
			token := iss.Token(authtest.SignedBy(key.Key))
			_, isKnown := l.used.Load(key.ID)
			a := l.login(token)
			l.answers.count(a)
			if isKnown {
				known.add(window{round, i / turn}, a.took)
			} else {
				l.fresh.add(window{}, a.took)
			}
			if a.ok() {
				l.used.Store(key.ID, true)
			}
		})
	}
}

// rotator is an issuer with the keys of whose tokens devices have some.
type rotator struct {
	*authtest.Issuer
	guesser
	rotations int

	mu   sync.Mutex
	keys []*usedKey // published, the newest first
}

// usedKey is a key and the logins that are under way with tokens of it.
type usedKey struct {
	*mint.Key
	logins sync.WaitGroup
}

const (
	// inUse is how many keys devices have tokens of: they use theirs for up to
	// two rotations after the key has signed its last.
	inUse = 3
	// published is how many keys a set has: one goes five rotations after it
	// has signed its last, when no device has a token of it left.
	published = 6
)

func newRotator(t testing.TB, name string) *rotator {
	iss := authtest.Serve(t, authtest.Named(name))
	return &rotator{Issuer: iss, guesser: newGuesser(t, iss), keys: []*usedKey{{Key: iss.SigningKey()}}}
}

// rotate waits until the keys have just been fetched.
func (r *rotator) rotate() {
	deadline := time.Now().Add(patience)
	for before := r.Fetches(); r.Fetches() == before && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if old := r.add(r.Rotate()); old != nil {
		old.logins.Wait()
		r.Remove(old.ID)
	}
}

// add makes key the newest, and returns the one that is published no more.
func (r *rotator) add(key *mint.Key) (old *usedKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rotations++
	r.keys = slices.Insert(r.keys, 0, &usedKey{Key: key})
	if len(r.keys) > published {
		old, r.keys = r.keys[published], r.keys[:published]
	}
	return old
}

// take returns the key whose token the next device has: for half of them the
// newest.
func (r *rotator) take() *usedKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.keys[0]
	if rand.N(2) == 0 {
		key = r.keys[rand.N(min(inUse, len(r.keys)))]
	}
	key.logins.Add(1)
	return key
}
