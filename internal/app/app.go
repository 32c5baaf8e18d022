// Package app wires the gateway together from its configuration: issuers,
// sessions, listeners and the operator's HTTP. It is shared by the programs
// that run a gateway, and holds no logic of its own beyond who is made when,
// and who ends when.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/ops"
	"github.com/linegate/linegate/internal/state"
	"github.com/linegate/linegate/internal/systemd"
	"github.com/linegate/linegate/session"
)

// Options are what a program brings besides the configuration.
type Options struct {
	Log      *slog.Logger
	LogLevel *slog.LevelVar // moved when a reload changes log.level
	Version  string         // for linegate_build_info
	// Now is the wall clock, for all that tokens say of time; nil: time.Now.
	Now func() time.Time
	// Manager is the service manager; nil: there is none.
	Manager *systemd.Manager
}

// App is a gateway with its sockets bound.
type App struct {
	log      *slog.Logger
	logLevel *slog.LevelVar
	metrics  *metrics

	issuers   *issuers
	sessions  *session.Server
	gateway   *gateway.Gateway
	listeners []*gateway.Listener
	ops       *http.Server
	opsSocket net.Listener
	state     *state.Dir
	operators *operators
	admin     *adminServer // nil: off
	manager   *systemd.Manager
	liveness  *liveness

	reloads   sync.Mutex                    // one at a time
	cfg       atomic.Pointer[config.Config] // in force
	refused   atomic.Bool                   // the last reload was
	listening atomic.Bool
	draining  atomic.Bool
	telling   sync.Mutex // the manager, of reloads or of the end
	aborted   chan struct{}
	abort     sync.Once
}

// New makes an App from a valid configuration and binds its sockets. An error
// names the key at fault.
func New(cfg *config.Config, o Options) (_ *App, err error) {
	a := &App{
		log: o.Log, logLevel: o.LogLevel, manager: o.Manager,
		metrics: newMetrics(o.Version, issuerNames(cfg)),
		aborted: make(chan struct{}),
	}
	a.cfg.Store(cfg)
	defer func() {
		if err != nil {
			a.closeSockets()
			a.closeState()
		}
	}()
	if a.state, err = state.Open(cfg.StateDir, o.Log); err != nil {
		return nil, err
	}
	a.metrics.watch(a.state)
	if a.issuers, err = newIssuers(cfg, a.metrics.auth, o, a.state, a.review); err != nil {
		return nil, err
	}
	if a.operators, err = newOperators(cfg, a.issuers.sources, a.state.Revocations(), o.Now); err != nil {
		return nil, err
	}
	a.sessions, err = session.NewServer(session.Config{
		Authenticator: a.issuers.verifier,
		Rules:         sessionRules(cfg),
		Limits:        sessionLimits(cfg),
		Metrics:       a.metrics.session,
		Log:           o.Log,
		Now:           o.Now,
	})
	if err != nil {
		return nil, err
	}
	a.gateway, err = gateway.New(gateway.Config{
		Handler: func(nc net.Conn, stranger gateway.Stranger) gateway.Conn {
			return a.sessions.New(nc, stranger)
		},
		Timeouts: timeouts(cfg),
		Limits:   limits(cfg),
		Metrics:  a.metrics.gateway,
		Log:      o.Log,
	})
	if err != nil {
		return nil, err
	}
	a.limitsInForce()
	if err := a.listen(); err != nil {
		return nil, err
	}
	opsSocket, err := a.socketFor(cfg.Ops.Address, cfg.Ops.CheckSocket)
	if err != nil {
		return nil, fmt.Errorf("ops.address: %w", err)
	}
	a.opsSocket = newBounded(opsSocket, opsConnections)
	a.liveness = newLiveness(a)
	a.ops = ops.NewServer(ops.New(ops.Options{
		Gatherer: a.metrics.registry, Health: a.health, Alive: a.liveness.check, Pprof: cfg.Ops.Pprof,
	}), o.Log)
	if err := a.listenAdmin(); err != nil {
		return nil, err
	}
	a.tellUnused()
	return a, nil
}

// opsConnections are open at once at most: enough for scrapes and probes beside
// somebody who keeps some, and not all the descriptors that are kept back.
const opsConnections = 64

// limitsInForce tells others the limits that the gateway has set itself, and the
// operator which it has lowered.
func (a *App) limitsInForce() {
	limits := a.gateway.Limits()
	a.issuers.boundWaiting(limits.Unauthenticated)
	if wanted := a.cfg.Load().Limits.Connections; wanted > limits.Connections {
		a.log.Warn("limits.connections is more than the file limit allows",
			slog.Int("configured", wanted), slog.Int("in_force", limits.Connections))
	}
}

// listen binds the listeners' sockets.
func (a *App) listen() error {
	for i, l := range a.cfg.Load().Listen {
		var secure *gateway.TLS
		if l.TLS != nil {
			var err error
			if secure, err = gateway.NewTLS(tlsConfig(l.TLS)); err != nil {
				return fmt.Errorf("listen[%d].tls: %w", i, err)
			}
		}
		sockets, err := a.socketsFor(l.Address, l.CheckSocket)
		if err != nil {
			return fmt.Errorf("listen[%d].address: %w", i, err)
		}
		for _, socket := range sockets {
			listener := &gateway.Listener{Listener: socket, Name: l.Name, TLS: secure, Proxy: balancers(l.ProxyProtocol)}
			a.listeners = append(a.listeners, listener)
			a.gateway.Add(listener) // so that no scrape comes before its series
		}
	}
	return nil
}

func (a *App) closeSockets() {
	for _, l := range a.listeners {
		l.Close()
	}
	if a.opsSocket != nil {
		a.opsSocket.Close()
	}
	if a.admin != nil {
		a.admin.socket.Close()
	}
}

func (a *App) closeState() {
	if a.state != nil {
		a.state.Close()
	}
}

// review has every session look whether what it was let in by still holds:
// after a key left its set, an issuer the configuration, or a token was revoked.
func (a *App) review() { a.sessions.Review() }

// Addr returns the address that the listener of this name is bound to, nil
// when there is none.
func (a *App) Addr(listener string) net.Addr {
	for _, l := range a.listeners {
		if l.Name == listener {
			return l.Addr()
		}
	}
	return nil
}

// OpsAddr returns the address that the operator's HTTP is bound to.
func (a *App) OpsAddr() net.Addr { return a.opsSocket.Addr() }

// Run serves until ctx is done, then drains, and returns nil after a clean
// stop. It may be called once.
func (a *App) Run(ctx context.Context) error {
	defer a.closeState()
	var background sync.WaitGroup
	defer background.Wait()
	work, stop := context.WithCancel(context.Background())
	defer stop()
	a.work(work, &background)
	failed := a.serve(&background)
	a.listening.Store(true)
	a.tell(systemd.Ready, a.status())
	if a.manager.Wanted() {
		background.Go(func() { a.keepTelling(work) })
	}

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	case <-a.aborted:
	}
	late := a.drain()
	if a.admin != nil { // not before: sessions are served until then
		a.admin.stop(late)
	}
	a.ops.Close()
	a.sessions.Flush()
	return err
}

// work begins what goes on beside the serving, until ctx is done.
func (a *App) work(ctx context.Context, background *sync.WaitGroup) {
	background.Go(func() { a.issuers.run(ctx) })
	background.Go(func() { a.sessions.Run(ctx) })
	background.Go(func() { giveBack(ctx) })
	background.Go(func() { watchMemory(ctx, memoryLimit(), a.gateway, a.log) })
	watched := make(map[*gateway.TLS]bool)
	for _, l := range a.listeners {
		if l.TLS != nil && !watched[l.TLS] {
			watched[l.TLS] = true // the sockets of one name share it
			background.Go(func() { l.TLS.Watch(ctx, certificateInterval, a.log.With(slog.String("listener", l.Name))) })
		}
	}
	if a.admin != nil {
		background.Go(func() { a.admin.watch(ctx, a.log) })
	}
}

// serve begins to serve at every socket. What it returns tells of one that cannot
// go on before it is closed.
func (a *App) serve(background *sync.WaitGroup) (failed <-chan error) {
	failures := make(chan error, len(a.listeners)+2)
	at := func(what string, serve func() error) {
		background.Go(func() {
			if err := serve(); !errors.Is(err, gateway.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				failures <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	for _, l := range a.listeners {
		at("listener "+l.Name, func() error { return a.gateway.Serve(l) })
		a.log.Info("listening", slog.String("listener", l.Name), slog.String("address", l.Addr().String()),
			slog.Bool("tls", l.TLS != nil))
	}
	at("ops", func() error { return a.ops.Serve(a.opsSocket) })
	a.log.Info("operator's HTTP", slog.String("address", a.opsSocket.Addr().String()))
	if a.admin != nil {
		at("admin", a.admin.serve)
		a.log.Info("admin API", slog.String("address", a.admin.socket.Addr().String()), slog.Bool("tls", a.admin.tls != nil))
	}
	return failures
}

// certificateInterval is how often the certificates' files are looked at.
const certificateInterval = 5 * time.Second

// drain ends the gateway in order: not ready at once, then no more accepting,
// then the sessions end one after another. What is under way late must be cut off.
func (a *App) drain() (late time.Time) {
	began := time.Now()
	a.draining.Store(true)
	a.metrics.draining.Set(1)
	a.tellStopping()
	rules := a.cfg.Load().Drain // a reload that is under way is not waited for
	select {
	case <-time.After(rules.Delay):
	case <-a.aborted:
	}
	ctx, cancel := context.WithTimeout(context.Background(), rules.Timeout+drainSlack)
	defer cancel()
	go func() {
		select {
		case <-a.aborted:
			cancel()
		case <-ctx.Done():
		}
	}()
	late = time.Now().Add(rules.Timeout + adminSlack)
	switch err := a.gateway.Shutdown(ctx, rules.Timeout); {
	case err == nil:
		a.log.Info("drained", slog.Duration("duration", time.Since(began)))
	case errors.Is(err, context.DeadlineExceeded): // else it was aborted
		a.log.Warn("connections closed at the end of the drain")
	}
	return late
}

// The process is gone a second after the window.
const (
	drainSlack = 500 * time.Millisecond // for the last closes, beyond the window
	adminSlack = 750 * time.Millisecond // for a request of an operator
)

// Abort ends everything at once; Run then returns.
func (a *App) Abort() { a.abort.Do(func() { close(a.aborted) }) }

// health is what readiness depends on.
func (a *App) health() ops.Health {
	return ops.Health{
		Listening: a.listening.Load(),
		Draining:  a.draining.Load(),
		Issuers:   a.issuers.health(),
	}
}
