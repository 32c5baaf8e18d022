package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"

	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/oplog"
)

// gateway is what serve runs.
type gateway interface {
	// Run serves until ctx is done, then drains. It returns nil after a
	// clean stop.
	Run(ctx context.Context) error
	// Reload puts the configuration that read returns into force, all or nothing.
	Reload(read func() (*config.Config, error)) error
	// Abort ends all at once; Run then returns.
	Abort()
}

// opener makes a gateway with its sockets bound. level is for the gateway to
// move when the configuration is reloaded.
type opener func(c *config.Config, log *slog.Logger, level *slog.LevelVar) (gateway, error)

// serve runs the gateway until it ends, by a signal or by itself.
func (p *program) serve(ctx context.Context, load loader) error {
	signals := make(chan os.Signal, 8)
	p.notify(signals)
	c, warnings, err := load()
	if err != nil {
		return &exitError{exitConfig, err}
	}
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return &exitError{exitConfig, err}
	}
	log, flush, err := oplog.NewBackground(p.stderr, level, c.Log.Format)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	defer flush()
	s := &server{log: log, load: load, warned: map[config.Warning]bool{}}
	s.warn(warnings)
	if s.gateway, err = p.open(c, log, level); err != nil {
		return &exitError{exitFailed, err}
	}
	if err := s.run(ctx, signals); err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}

// server is a gateway that obeys signals.
type server struct {
	gateway gateway
	log     *slog.Logger
	load    loader
	warned  map[config.Warning]bool // so that a reload repeats none
}

func (s *server) run(ctx context.Context, signals <-chan os.Signal) error {
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	ended := make(chan error, 1)
	go func() { ended <- s.gateway.Run(ctx) }()
	hangups := make(chan struct{}, 1)
	defer close(hangups)
	go s.reloadAt(ctx, hangups)
	for {
		select {
		case err := <-ended:
			return err
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				select {
				case hangups <- struct{}{}:
				default: // one waits for its turn, and will read what is there then
				}
			case ctx.Err() == nil:
				s.log.Info("draining", "signal", sig.String())
				drain()
			default:
				s.gateway.Abort()
				return errors.New("ended at once by a second signal")
			}
		}
	}
}

// reloadAt reloads at each hangup. It is not the loop of the signals that does: a
// file on a disk that does not answer would keep the gateway from draining.
func (s *server) reloadAt(ctx context.Context, hangups <-chan struct{}) {
	for range hangups {
		if ctx.Err() != nil {
			s.log.Warn("not reloaded: draining")
			continue
		}
		s.reload()
	}
}

// reload leaves everything as it was when anything is wrong.
func (s *server) reload() {
	err := s.gateway.Reload(func() (*config.Config, error) {
		c, warnings, err := s.load()
		s.warn(warnings)
		return c, err
	})
	if err != nil {
		s.log.Error("configuration not reloaded", "error", err)
		return
	}
	s.log.Info("configuration reloaded")
}

func (s *server) warn(warnings []config.Warning) {
	for _, w := range warnings {
		if !s.warned[w] {
			s.warned[w] = true
			s.log.Warn(string(w))
		}
	}
}
