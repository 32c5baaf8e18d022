package main

import (
	"log/slog"
	"runtime/debug"

	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/systemd"
)

// openApp is the opener of the real gateway.
func openApp(c *config.Config, log *slog.Logger, level *slog.LevelVar) (gateway, error) {
	manager, err := systemd.Take()
	if err != nil {
		return nil, err
	}
	info, _ := debug.ReadBuildInfo()
	a, err := app.New(c, app.Options{
		Log: log, LogLevel: level, Version: versionOf(version, info), Manager: manager,
	})
	if err != nil {
		return nil, err // not a, a nil that is no nil gateway
	}
	return a, nil
}
