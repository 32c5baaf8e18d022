package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

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
	// os/signal leaves out what finds no room: SIGHUPs, of which one that waits
	// stands for all that follow, must not take that of a SIGTERM.
	ends, reloads := make(chan os.Signal, 2), make(chan os.Signal, 1)
	p.notify(ends, syscall.SIGINT, syscall.SIGTERM)
	p.notify(reloads, syscall.SIGHUP)
	p.notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a log that nobody reads any more ends nothing
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
	if err := s.run(ctx, ends, reloads); err != nil {
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

func (s *server) run(ctx context.Context, ends, reloads <-chan os.Signal) error {
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	ended := make(chan error, 1)
	go func() { ended <- s.gateway.Run(ctx) }()
	done := make(chan struct{})
	defer close(done)
	go s.reloadAt(ctx, reloads, done)
	for {
		select {
		case err := <-ended:
			return err
		case sig := <-ends:
			if ctx.Err() != nil {
				s.abort(ended)
				return errors.New("ended at once by a second signal")
			}
			s.log.Info("draining", "signal", sig.String())
			drain()
		}
	}
}

// reloadAt reloads at each SIGHUP, until done. It is not the loop of the other
// signals that does: a file on a disk that does not answer would keep the gateway
// from draining.
func (s *server) reloadAt(ctx context.Context, reloads <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-reloads:
		}
		if ctx.Err() != nil {
			s.log.Warn("not reloaded: draining")
		} else {
			s.reload()
		}
	}
}

// abort ends the gateway at once, and waits no longer for what it has to say of its
// sessions than a second.
func (s *server) abort(ended <-chan error) {
	s.gateway.Abort()
	select {
	case <-ended:
	case <-time.After(time.Second):
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
