package main

import (
	"log/slog"
	"runtime/debug"

	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/config"
)

// openApp is the opener of the real gateway.
func openApp(c *config.Config, log *slog.Logger, level *slog.LevelVar) (gateway, error) {
	info, _ := debug.ReadBuildInfo()
	a, err := app.New(c, app.Options{Log: log, LogLevel: level, Version: versionOf(version, info)})
	if err != nil {
		return nil, err // not a, a nil that is no nil gateway
	}
	return a, nil
}
