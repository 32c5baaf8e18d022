package app

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/ops"
	"github.com/linegate/linegate/internal/state"
)

// issuers are the configured issuers, with the goroutine of each that fetches
// its keys.
type issuers struct {
	verifier *auth.Verifier
	metrics  *auth.Metrics
	log      *slog.Logger
	waiting  *auth.WaitLimit
	kept     *state.Dir // the last good sets
	review   func()     // called when sessions may stand otherwise than before

	mu      sync.Mutex
	sources []*source
	ctx     context.Context // of the fetching; nil before run
	running sync.WaitGroup
}

// source is an issuer's configuration with its keys.
type source struct {
	cfg   config.Issuer
	keys  *keys
	fresh bool // nobody had these keys before
}

// keys are fetched by one goroutine, however often the configuration around
// them changes.
type keys struct {
	*auth.Remote
	stop context.CancelFunc // nil before it runs; guarded by issuers.mu
}

// remembered is how many verified tokens are known at most: some 30 MB of them.
const remembered = 1 << 16

func newIssuers(cfg *config.Config, metrics *auth.Metrics, o Options, kept *state.Dir, review func()) (*issuers, error) {
	is := &issuers{metrics: metrics, log: o.Log, waiting: auth.NewWaitLimit(1), kept: kept, review: review}
	var err error
	if is.sources, err = is.prepare(cfg.Issuers); err != nil {
		return nil, err
	}
	for _, s := range is.sources {
		is.restore(s)
	}
	is.verifier, err = auth.NewVerifier(auth.Config{
		Issuers: verifierConfigs(is.sources), Revocations: kept.Revocations(), Changed: review,
		Now: o.Now, Remember: remembered, Metrics: metrics,
	})
	return is, err
}

// prepare makes the sources of a configuration, those of the issuers whose
// keys come from where they came before with the keys that are there.
func (is *issuers) prepare(configs []config.Issuer) ([]*source, error) {
	is.mu.Lock()
	current := is.sources
	is.mu.Unlock()
	var sources []*source
	for i, cfg := range configs {
		next := &source{cfg: cfg}
		for _, old := range current {
			if sameKeys(old.cfg, cfg) {
				next.keys = old.keys
			}
		}
		if next.keys == nil {
			remote, err := auth.NewRemote(is.remoteConfig(cfg))
			if err != nil {
				return nil, fmt.Errorf("issuers[%d]: %w", i, err)
			}
			next.keys, next.fresh = &keys{Remote: remote}, true
		}
		sources = append(sources, next)
	}
	// What use would refuse is refused here, where nothing has changed yet.
	if _, err := auth.NewVerifier(auth.Config{Issuers: verifierConfigs(sources)}); err != nil {
		return nil, err
	}
	return sources, nil
}

// sameKeys tells whether two configurations fetch the same keys the same way.
func sameKeys(a, b config.Issuer) bool {
	return a.Name == b.Name && a.Issuer == b.Issuer && a.JWKSURI == b.JWKSURI &&
		a.InsecureHTTP == b.InsecureHTTP && reflect.DeepEqual(a.JWKS, b.JWKS)
}

func (is *issuers) remoteConfig(cfg config.Issuer) auth.RemoteConfig {
	return auth.RemoteConfig{
		Name: cfg.Name, Issuer: cfg.Issuer, JWKSURI: cfg.JWKSURI,
		RefreshInterval: cfg.JWKS.RefreshInterval,
		Cooldown:        cfg.JWKS.Cooldown,
		MaxStale:        cfg.JWKS.MaxStale,
		RemovalGrace:    cfg.JWKS.RemovalGrace,
		Timeout:         cfg.JWKS.Timeout,
		CAFile:          cfg.JWKS.CAFile,
		InsecureHTTP:    cfg.InsecureHTTP,
		Changed:         is.review,
		Save:            is.save(cfg.Name),
		Waiting:         is.waiting,
		Metrics:         is.metrics,
		Log:             is.log,
	}
}

func verifierConfigs(sources []*source) []auth.IssuerConfig {
	var configs []auth.IssuerConfig
	for _, s := range sources {
		c := s.cfg
		configs = append(configs, auth.IssuerConfig{
			Name: c.Name, Issuer: c.Issuer,
			Audience: c.Audience, AudienceClaim: c.AudienceClaim,
			Algorithms: c.Algorithms, TokenTypes: c.TokenTypes,
			RequiredClaims: c.RequiredClaims,
			RequiredScopes: c.RequiredScopes, ScopeClaims: c.ScopeClaims,
			SubjectClaim: c.SubjectClaim, ClientIDClaims: c.ClientIDClaims, TokenIDClaims: c.TokenIDClaims,
			Leeway: c.Leeway, MaxLifetime: c.MaxLifetime,
			RemovalGrace: c.JWKS.RemovalGrace,
			Keys:         s.keys,
		})
	}
	return configs
}

// boundWaiting lets at most an eighth of the strangers wait for keys at once.
func (is *issuers) boundWaiting(unauthenticated int) { is.waiting.Set(max(1, unauthenticated/8)) }

// run fetches keys until ctx is done.
func (is *issuers) run(ctx context.Context) {
	is.mu.Lock()
	is.ctx = ctx
	is.start()
	is.mu.Unlock()
	<-ctx.Done()
	is.mu.Lock() // a reload that is under way starts no more
	defer is.mu.Unlock()
	is.running.Wait()
}

// start starts the fetching of those sources that have none yet. mu is held.
func (is *issuers) start() {
	if is.ctx == nil || is.ctx.Err() != nil {
		return
	}
	for _, s := range is.sources {
		if s.keys.stop == nil {
			ctx, stop := context.WithCancel(is.ctx)
			s.keys.stop = stop
			is.running.Go(func() { s.keys.Run(ctx) })
		}
	}
}

// use puts prepared sources into force. Nobody waits for the disk that they are
// restored from.
func (is *issuers) use(sources []*source) {
	for _, s := range sources {
		if s.fresh {
			is.restore(s)
		}
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.adopt(sources)
	_ = is.verifier.SetIssuers(verifierConfigs(sources)) // prepare has tried them
	kept := map[*keys]bool{}
	for _, s := range sources {
		kept[s.keys] = true
	}
	for _, old := range is.sources {
		if !kept[old.keys] && old.keys.stop != nil {
			old.keys.stop()
		}
	}
	is.sources = sources
	is.start()
}

// adopt lets sources that are fetched otherwise than before go on where those
// were. mu is held.
func (is *issuers) adopt(sources []*source) {
	for _, s := range sources {
		for _, old := range is.sources {
			if s.keys != old.keys {
				s.keys.Adopt(old.keys.Remote) // which looks whether it is the same issuer
			}
		}
	}
}

// identifiers returns the issuers in force, as their tokens call them, by their
// configured names.
func (is *issuers) identifiers() map[string]string {
	is.mu.Lock()
	defer is.mu.Unlock()
	all := make(map[string]string, len(is.sources))
	for _, s := range is.sources {
		all[s.cfg.Name] = s.cfg.Issuer
	}
	return all
}

// health is what readiness asks of the issuers.
func (is *issuers) health() []ops.Issuer {
	is.mu.Lock()
	defer is.mu.Unlock()
	var all []ops.Issuer
	for _, s := range is.sources {
		status := s.keys.Status()
		h := ops.Issuer{Name: s.cfg.Name, Required: s.cfg.Required, Keys: status.Keys}
		switch {
		case status.Err != nil:
			h.Reason = status.Err.Error()
		case status.Keys == 0:
			h.Reason = "not fetched yet"
		}
		all = append(all, h)
	}
	return all
}

func issuerNames(cfg *config.Config) []string {
	var names []string
	for _, i := range cfg.Issuers {
		names = append(names, i.Name)
	}
	return names
}
