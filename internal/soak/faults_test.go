//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/chaos"
)

// misfortunes go on until ctx is done: everything that happens to a gateway but
// its clients.
func (s *site) misfortunes(ctx context.Context, round int) {
	s.setQuiet(false)
	var all sync.WaitGroup
	defer all.Wait()
	begin := func(name string, least, most time.Duration, happen func(context.Context, *rand.Rand)) {
		r := random(s.seed, fmt.Sprint(name, round))
		all.Go(func() {
			for pause(ctx, r, least, most) {
				happen(ctx, r)
			}
		})
	}
	begin("rotation", 2*time.Second, 5*time.Second, s.rotate)
	begin("outage", 2*time.Second, 6*time.Second, s.outage)
	begin("starvation", 10*time.Second, 30*time.Second, s.starve)
	begin("reload", 2*time.Second, 5*time.Second, s.reload)
	begin("kick", 300*time.Millisecond, 2*time.Second, s.kickOne)
	begin("revocation", 1*time.Second, 4*time.Second, s.revokeOne)
	begin("revocation of a token", 1*time.Second, 4*time.Second, s.revokeOneToken)
}

// pause waits for a while, and reports whether there is still time.
func pause(ctx context.Context, r *rand.Rand, least, most time.Duration) bool {
	timer := time.NewTimer(least + below(r, most-least))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func below(r *rand.Rand, below time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(below)))
}

// faults are those of one connection on a bad way. A byte is changed only where
// the client can tell: by TLS.
func (s *site) faults(secure bool) chaos.Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.random
	var f chaos.Faults
	if r.IntN(3) == 0 {
		f.Delay = below(r, 50*time.Millisecond)
	}
	if r.IntN(3) == 0 {
		f.Rate = 4<<10 + r.IntN(256<<10)
	}
	if r.IntN(3) == 0 {
		f.Piece = 1 + r.IntN(600)
	}
	f.After = 1 + int64(r.ExpFloat64()*20_000)
	f.End = []chaos.End{chaos.Lasts, chaos.Lasts, chaos.Cut, chaos.Reset, chaos.Forgotten}[r.IntN(5)]
	if secure && r.IntN(4) == 0 {
		f.CorruptUp = 1 + r.Int64N(8000)
	}
	if secure && r.IntN(4) == 0 {
		f.CorruptDown = 1 + r.Int64N(8000)
	}
	s.count("fault: connection "+f.End.String(), 1)
	if f.CorruptUp+f.CorruptDown > 0 {
		s.count("fault: a bit changed under TLS", 1)
	}
	return f
}

// issuerFaults are those of one fetch of keys. What is corrupt there the issuer
// says itself (authtest.Garbage): a bit in a key would make another key.
func (s *site) issuerFaults() chaos.Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.random
	if s.quiet || r.IntN(2) == 0 {
		return chaos.Faults{}
	}
	s.count("fault: on the way to the issuer", 1)
	return chaos.Faults{
		Delay: below(r, 300*time.Millisecond), Piece: 1 + r.IntN(2000),
		End: chaos.End(r.IntN(4)), After: 1 + r.Int64N(2000),
	}
}

// calm lets the issuer be well, and the way to it good, for what comes behind a
// round: a fetch that goes wrong is tried again at once, and where each second one
// does, there is always one that holds a connection and goroutines. What is left on
// bad ways is reset.
func (s *site) calm() {
	s.setQuiet(true)
	s.issuer.Fail(authtest.Healthy)
	s.toIssuer.Reset()
	for _, network := range s.networks {
		network.Reset()
	}
}

func (s *site) setQuiet(quiet bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = quiet
}

// rotate has the issuer sign with a new key. Old ones stay for a while, or have
// to go at once.
func (s *site) rotate(_ context.Context, r *rand.Rand) {
	s.keys = append(s.keys, s.issuer.Rotate())
	s.count("rotations", 1)
	least := 3
	if r.IntN(4) == 0 {
		least = 1
	}
	for len(s.keys) > least {
		old := s.keys[0]
		s.keys = s.keys[1:]
		s.remove(old.ID)
		s.issuer.Remove(old.ID)
		s.count("keys removed", 1)
	}
}

// replaceKeys has one new key take the place of all, at no moment beside them:
// whoever has fetched it has them no more.
func (s *site) replaceKeys() {
	for _, old := range s.keys {
		s.remove(old.ID)
		s.issuer.Remove(old.ID)
	}
	next := s.issuer.NewKey()
	s.issuer.Sign(next)
	s.issuer.Republish(next)
	s.keys = append(s.keys[:0], next)
}

func (s *site) outage(ctx context.Context, r *rand.Rand) {
	failures := append(authtest.Failures(), authtest.Slow)
	failure := failures[r.IntN(len(failures))]
	s.count("issuer: "+failure.String(), 1)
	s.issuer.Fail(failure)
	pause(ctx, r, 500*time.Millisecond, 4*time.Second)
	s.issuer.Fail(authtest.Healthy)
}

// withoutCPU is the most that the gateway is starved at once.
const withoutCPU = 3 * time.Second

// starve gives the gateway no CPU for a while. Then everything is late, and
// nothing else.
func (s *site) starve(ctx context.Context, r *rand.Rand) {
	s.gateway.signal(syscall.SIGSTOP)
	defer s.gateway.signal(syscall.SIGCONT)
	pause(ctx, r, 100*time.Millisecond, withoutCPU)
	s.count("times without CPU", 1)
}

const (
	notReloaded     = "configuration not reloaded"
	lastReload      = "linegate_config_last_reload_success_timestamp_seconds"
	reloadSucceeded = "linegate_config_last_reload_successful"
)

// reload puts another configuration into force, or tries to with one that is
// broken.
func (s *site) reload(_ context.Context, r *rand.Rand) {
	before := s.metric(lastReload)
	level := []string{"info", "debug", "warn"}[r.IntN(3)]
	if r.IntN(4) == 0 {
		s.gateway.log.expect(notReloaded)
		s.gateway.configure(s.configuration(r, level) + "\nno_such_key: 1\n")
		s.gateway.signal(syscall.SIGHUP)
		s.gateway.eventually("told that a reload failed", func() bool { return s.metric(reloadSucceeded) == 0 })
		if now := s.metric(lastReload); now != before {
			s.find("a broken configuration was put into force")
		}
		s.count("reloads refused", 1)
		return
	}
	if r.IntN(3) == 0 {
		s.newPair()
	}
	s.gateway.configure(s.configuration(r, level))
	s.gateway.signal(syscall.SIGHUP)
	s.gateway.eventually("reloaded", func() bool { return s.metric(lastReload) > before && s.metric(reloadSucceeded) == 1 })
	s.count("reloads", 1)
}

func (s *site) metric(name string) float64 { return s.scrape().sum(name) }

func (s *site) scrape() sample {
	s.gateway.scraping.Lock()
	defer s.gateway.scraping.Unlock()
	return s.gateway.scrape()
}

// kickOne ends a session, which then serves nothing more.
func (s *site) kickOne(_ context.Context, r *rand.Rand) {
	d, id, _ := s.any(r)
	if d == nil {
		return
	}
	s.kick(id)
	status, answer := s.admin(http.MethodDelete, "/v1/sessions/"+id, "")
	switch status {
	case http.StatusNoContent:
		d.withdraw(func(*token) bool { return true })
		s.count("kicks", 1)
	case http.StatusNotFound: // it was over
	default:
		s.find("a kick was answered %d %.200s", status, answer)
	}
}

// revokeOne revokes a subject's tokens for a while.
func (s *site) revokeOne(ctx context.Context, r *rand.Rand) {
	if _, _, t := s.any(r); t != nil {
		s.revokeFor(ctx, r, &revocation{subject: t.subject}, fmt.Sprintf(`{"issuer":"main","subject":%q,"reason":"soak"}`, t.subject))
	}
}

// revokeOneToken revokes a single one.
func (s *site) revokeOneToken(ctx context.Context, r *rand.Rand) {
	if _, _, t := s.any(r); t != nil {
		s.revokeFor(ctx, r, &revocation{id: t.id}, fmt.Sprintf(`{"issuer":"main","token_id":%q}`, t.id))
	}
}

func (s *site) revokeFor(ctx context.Context, r *rand.Rand, made *revocation, body string) {
	s.revoke(made)
	status, answer := s.admin(http.MethodPost, "/v1/revocations", body)
	var told struct {
		ID           string
		IssuedBefore time.Time `json:"issued_before"`
	}
	if status != http.StatusCreated || json.Unmarshal(answer, &told) != nil {
		s.find("a revocation was answered %d %.200s", status, answer)
		return
	}
	s.revoked(made, told.IssuedBefore)
	s.count("revocations", 1)
	for _, d := range s.dialogues() {
		d.withdraw(made.means)
	}
	pause(ctx, r, 500*time.Millisecond, 3*time.Second)
	s.lift(made)
	if status, answer := s.admin(http.MethodDelete, "/v1/revocations/"+told.ID, ""); status != http.StatusNoContent {
		s.find("a revocation was taken back with %d %.200s", status, answer)
	}
	s.lifted(made)
}

func (s *site) admin(method, path, body string) (status int, answer []byte) {
	status, answer, err := s.gateway.ask(method, "http://"+s.gateway.log.place("admin")+path, s.operator(), body)
	if err != nil {
		s.find("the admin API: %v", err)
	}
	return status, answer
}

// any returns one of the sessions, with its id and token; nil if there is none.
func (s *site) any(r *rand.Rand) (*dialogue, string, *token) {
	all := s.dialogues()
	for range len(all) {
		d := all[r.IntN(len(all))]
		if id, t := d.identity(); id != "" {
			return d, id, t
		}
	}
	return nil, "", nil
}
