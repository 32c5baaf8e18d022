package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// issuer is the development authorization server on its socket.
type issuer struct {
	url      string
	listener net.Listener
	server   *devissuer.Server
	web      *http.Server
}

// newIssuer binds the issuer's socket, so that its URL is known.
func newIssuer(o options, log *slog.Logger) (*issuer, error) {
	listener, err := net.Listen("tcp", o.issuerListen)
	if err != nil {
		return nil, fmt.Errorf("--issuer-listen: %w", err)
	}
	log = log.With("part", "issuer")
	i := &issuer{url: "http://" + listener.Addr().String(), listener: listener}
	i.server, err = devissuer.New(devissuer.Config{
		Issuer:        i.url,
		TokenLifetime: o.lifetime,
		Algorithm:     o.algorithm,
		RotateEvery:   o.rotateEvery,
		Clients:       o.clients,
		Users:         o.users,
		Log:           log,
	})
	if err != nil {
		i.Close()
		return nil, err
	}
	i.web = &http.Server{
		Handler:           i.server,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return i, nil
}

// Run serves and rotates keys until ctx is done, then finishes what was asked
// and returns nil.
func (i *issuer) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- i.web.Serve(i.listener)
	}()
	err := i.server.Run(ctx)

	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if i.web.Shutdown(finish) != nil {
		_ = i.web.Close() // somebody is slower than that
	}
	if failure := <-served; !errors.Is(failure, http.ErrServerClosed) {
		err = cmp.Or(err, fmt.Errorf("issuer: %w", failure))
	}
	return err
}

// Close frees the socket of an issuer that may never have run.
func (i *issuer) Close() { _ = i.listener.Close() }
