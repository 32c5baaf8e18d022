package app

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/systemd"
)

// Reload puts the configuration that read returns into force, all or nothing: what
// can fail is tried before anything changes. Keys that need a restart are named in
// the log and left as they were.
func (a *App) Reload(read func() (*config.Config, error)) error {
	a.reloads.Lock()
	defer a.reloads.Unlock()
	a.tellOfReload(systemd.Reloading())
	next, err := read()
	if err == nil {
		err = a.use(next)
	}
	if a.draining.Load() { // nobody is told any more how it went
		return err
	}
	a.refused.Store(err != nil)
	if err == nil {
		a.metrics.reloadOK.Set(1)
		a.metrics.lastReloadAt.SetToCurrentTime()
	} else {
		a.metrics.reloadOK.Set(0)
	}
	// To go on as before is no failure that a service could tell of, but in words.
	a.tellOfReload(systemd.Ready, a.status())
	return err
}

func (a *App) use(next *config.Config) error {
	current := a.cfg.Load()
	var level slog.Level
	if err := level.UnmarshalText([]byte(next.Log.Level)); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	certificates, err := a.loadCertificates(next)
	if err != nil {
		return err
	}
	sources, err := a.issuers.prepare(next.Issuers)
	if err != nil {
		return err
	}
	rules, err := a.operators.rulesOf(next, sources)
	if err != nil {
		return err
	}
	if a.draining.Load() { // meanwhile: a file may have hung
		return errDraining
	}
	// The series first: nothing may be counted for an issuer without them.
	a.metrics.setIssuers(issuerNames(next))
	a.issuers.use(sources)
	a.operators.rules.Store(rules)
	a.tellRemoved(current, next)
	a.review() // of issuers that are gone
	for inUse, loaded := range certificates {
		inUse.Use(loaded)
	}
	a.gateway.SetLimits(limits(next))
	a.gateway.SetTimeouts(timeouts(next))
	a.sessions.SetRules(sessionRules(next))
	a.sessions.SetLimits(sessionLimits(next))
	a.logLevel.Set(level)
	a.keepWhatNeedsRestart(current, next)
	a.cfg.Store(next)
	a.limitsInForce()
	return nil
}

var errDraining = errors.New("too late: draining")

// tellRemoved logs what the sessions of issuers that are gone have to expect.
func (a *App) tellRemoved(current, next *config.Config) {
	for _, old := range current.Issuers {
		same := func(i config.Issuer) bool { return i.Issuer == old.Issuer }
		if slices.ContainsFunc(next.Issuers, same) {
			continue
		}
		sessions := 0
		for _, s := range a.sessions.Sessions() {
			if s.Identity().Issuer == old.Issuer {
				sessions++
			}
		}
		a.log.Info("issuer removed", slog.String("issuer", old.Name), slog.String("iss", old.Issuer),
			slog.Int("sessions", sessions), slog.Duration("removal_grace", old.JWKS.RemovalGrace))
	}
}

// loadCertificates loads the files of what listens and stays, by what is in use.
func (a *App) loadCertificates(next *config.Config) (map[*gateway.TLS]*gateway.TLS, error) {
	loaded := make(map[*gateway.TLS]*gateway.TLS)
	for i, cfg := range next.Listen {
		for _, l := range a.listeners {
			if l.Name != cfg.Name || l.TLS == nil || cfg.TLS == nil {
				continue
			}
			secure, err := gateway.NewTLS(tlsConfig(cfg.TLS))
			if err != nil {
				return nil, fmt.Errorf("listen[%d].tls: %w", i, err)
			}
			loaded[l.TLS] = secure
		}
	}
	if a.admin != nil && a.admin.tls != nil && next.Admin.TLS.Cert != "" {
		secure, err := gateway.NewTLS(adminTLSConfig(next.Admin.TLS))
		if err != nil {
			return nil, fmt.Errorf("admin.tls: %w", err)
		}
		loaded[a.admin.tls] = secure
	}
	return loaded, nil
}

// keepWhatNeedsRestart names the keys of next that cannot change while the
// process runs, and puts the old values back.
func (a *App) keepWhatNeedsRestart(current, next *config.Config) {
	keep := func(key string, kept, changed any) {
		now, then := reflect.ValueOf(kept).Elem(), reflect.ValueOf(changed).Elem()
		if !reflect.DeepEqual(now.Interface(), then.Interface()) {
			a.log.Warn("a changed key needs a restart", slog.String("key", key))
			then.Set(now)
		}
	}
	if !sameSockets(current.Listen, next.Listen) {
		keep("listen", &current.Listen, &next.Listen)
	}
	keep("ops", &current.Ops, &next.Ops)
	keep("admin.address", &current.Admin.Address, &next.Admin.Address)
	if (current.Admin.TLS.Cert == "") != (next.Admin.TLS.Cert == "") {
		keep("admin.tls", &current.Admin.TLS, &next.Admin.TLS)
	}
	keep("state_dir", &current.StateDir, &next.StateDir)
	keep("backend", &current.Backend, &next.Backend)
	keep("log.format", &current.Log.Format, &next.Log.Format)
}

// sameSockets tells whether two lists of listeners differ in their
// certificates' files at most.
func sameSockets(a, b []config.Listener) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if (x.TLS == nil) != (y.TLS == nil) {
			return false
		}
		x.TLS, y.TLS = nil, nil
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}
