package app

import (
	"log/slog"

	"github.com/linegate/linegate/auth"
)

// restore gives an issuer's keys the last good set that was kept of it: a restart
// while the issuer is away refuses nobody.
func (is *issuers) restore(s *source) {
	set, found, err := is.kept.LoadKeys(s.cfg.Issuer)
	if err == nil && found {
		err = s.keys.Restore(set)
	}
	switch {
	case err != nil:
		is.log.Warn("stored keys not used", slog.String("issuer", s.cfg.Name), slog.Any("error", err))
	case found:
		is.log.Info("stored keys used until others come", slog.String("issuer", s.cfg.Name), slog.Time("fetched_at", set.FetchedAt))
	}
}

// save returns what keeps an issuer's good sets beyond the process.
func (is *issuers) save(issuer string) func(auth.Snapshot) {
	return func(set auth.Snapshot) {
		if err := is.kept.SaveKeys(set); err != nil {
			is.log.Warn("keys not stored", slog.String("issuer", issuer), slog.Any("error", err))
		}
	}
}
