package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/devissuer"
	"github.com/linegate/linegate/internal/mint"
)

// gateway is the running gateway as this program uses it.
type gateway interface {
	Run(context.Context) error
	Abort()
	Addr(listener string) net.Addr
	OpsAddr() net.Addr
	AdminAddr() net.Addr // nil: off
}

// Names of the listeners.
const (
	plainListener = "plain"
	tlsListener   = "tls"
)

// issuerName is the gateway's name for the issuer, which revoke --issuer wants.
const issuerName = "dev"

// newGateway binds the gateway's sockets. An error names the flag at fault.
func newGateway(o options, issuerURL string, files *tlsFiles, log *slog.Logger, level *slog.LevelVar) (gateway, error) {
	c := gatewayConfig(o, issuerURL, files)
	if _, err := c.Validate(); err != nil {
		return nil, err
	}
	a, err := app.New(c, app.Options{Log: log, LogLevel: level, Version: cmp.Or(version, "devel")})
	if err != nil {
		return nil, o.flagAtFault(err)
	}
	return a, nil
}

// gatewayConfig is the configuration that makes the gateway trust the issuer
// at issuerURL and nobody else.
func gatewayConfig(o options, issuerURL string, files *tlsFiles) *config.Config {
	plain := config.NewListener(o.listen)
	plain.Name = plainListener
	secure := config.NewListener(o.listenTLS)
	secure.Name = tlsListener
	secure.TLS = &config.TLS{Cert: files.cert, Key: files.key}

	trusted := config.NewIssuer()
	trusted.Name = issuerName
	trusted.Issuer = issuerURL
	trusted.Audience = []string{devissuer.DefaultAudience}
	trusted.Algorithms = slices.Clone(mint.Algorithms) // the issuer's control page may change it
	trusted.RequiredScopes = []string{"line:connect"}

	c := config.Default()
	c.Listen = []config.Listener{plain, secure}
	c.Issuers = []config.Issuer{trusted}
	c.Ops.Address = o.ops
	c.Admin.Address = o.admin
	c.Admin.Issuers = []string{trusted.Name}
	c.Drain.Timeout = drainTimeout
	c.Log.Format = "text"
	return c
}

// noGateway stands in with --issuer-only.
type noGateway struct{}

func (noGateway) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
func (noGateway) Abort()               {}
func (noGateway) Addr(string) net.Addr { return nil }
func (noGateway) OpsAddr() net.Addr    { return nil }
func (noGateway) AdminAddr() net.Addr  { return nil }

// flagAtFault names the flag whose address could not be had. The error of the
// socket knows the address, and the options know whose it is.
func (o options) flagAtFault(err error) error {
	var socket *net.OpError
	if !errors.As(err, &socket) || socket.Addr == nil {
		return err
	}
	for _, flag := range o.addresses() {
		if addr, _ := net.ResolveTCPAddr("tcp", flag.address); addr != nil && addr.String() == socket.Addr.String() {
			return fmt.Errorf("%s: %w", flag.name, socket)
		}
	}
	return err
}
