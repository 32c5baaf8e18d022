package app

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/systemd"
)

// Reloading says that a configuration is about to be read: Reload or
// ReloadFailed comes next.
func (a *App) Reloading() { a.tell(systemd.Reloading()) }

// Reload puts another configuration into force, all or nothing: what can fail
// is tried before anything changes. Keys that need a restart are named in the
// log and left as they were.
func (a *App) Reload(next *config.Config) error {
	defer a.tell(systemd.Ready)
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.reload(next)
	if err != nil {
		a.metrics.reloadOK.Set(0)
		return err
	}
	a.metrics.reloadOK.Set(1)
	a.metrics.lastReloadAt.SetToCurrentTime()
	return nil
}

// ReloadFailed records that another configuration could not even be read.
func (a *App) ReloadFailed() {
	a.metrics.reloadOK.Set(0)
	a.tell(systemd.Ready) // as before
}

func (a *App) reload(next *config.Config) error {
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
	// The series first: nothing may be counted for an issuer without them.
	a.metrics.setIssuers(issuerNames(next))
	if err := a.issuers.use(sources); err != nil {
		a.metrics.setIssuers(issuerNames(a.cfg))
		return err
	}
	a.operators.rules.Store(rules)
	a.tellRemoved(next)
	a.review() // of issuers that are gone
	for current, loaded := range certificates {
		current.Use(loaded)
	}
	a.gateway.SetLimits(limits(next))
	a.gateway.SetTimeouts(timeouts(next))
	a.sessions.SetRules(sessionRules(next))
	a.sessions.SetLimits(sessionLimits(next))
	a.logLevel.Set(level)
	a.keepWhatNeedsRestart(next)
	a.cfg = next
	a.limitsInForce()
	return nil
}

// tellRemoved logs what the sessions of issuers that are gone have to expect.
func (a *App) tellRemoved(next *config.Config) {
	for _, old := range a.cfg.Issuers {
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
func (a *App) keepWhatNeedsRestart(next *config.Config) {
	keep := func(key string, current, changed any) {
		now, then := reflect.ValueOf(current).Elem(), reflect.ValueOf(changed).Elem()
		if !reflect.DeepEqual(now.Interface(), then.Interface()) {
			a.log.Warn("a changed key needs a restart", slog.String("key", key))
			then.Set(now)
		}
	}
	if !sameSockets(a.cfg.Listen, next.Listen) {
		keep("listen", &a.cfg.Listen, &next.Listen)
	}
	keep("ops", &a.cfg.Ops, &next.Ops)
	keep("admin.address", &a.cfg.Admin.Address, &next.Admin.Address)
	if (a.cfg.Admin.TLS.Cert == "") != (next.Admin.TLS.Cert == "") {
		keep("admin.tls", &a.cfg.Admin.TLS, &next.Admin.TLS)
	}
	keep("state_dir", &a.cfg.StateDir, &next.StateDir)
	keep("backend", &a.cfg.Backend, &next.Backend)
	keep("log.format", &a.cfg.Log.Format, &next.Log.Format)
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
