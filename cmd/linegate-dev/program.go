package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/linegate/linegate/internal/oplog"
)

// Exit statuses, as for all programs of linegate (sysexits.h).
const (
	exitOK      = 0
	exitFailure = 1  // at run time, or by a second signal
	exitUsage   = 64 // EX_USAGE
)

// program is linegate-dev with all it touches handed in.
type program struct {
	stdout  io.Writer        // what a person reads
	stderr  io.Writer        // logs, and the one line of an error
	signals <-chan os.Signal // the first one drains, the second ends at once
}

// Run does what the arguments ask for and returns the exit status.
func (p *program) Run(args []string) int {
	o, err := parseOptions(args, p.stdout)
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(p.stderr, "linegate-dev: %v; see linegate-dev --help\n", err)
		return exitUsage
	case o.help:
		return exitOK
	}
	if err := p.serve(o); err != nil {
		_, _ = fmt.Fprintf(p.stderr, "linegate-dev: %v\n", err)
		return exitFailure
	}
	return exitOK
}

// serve brings up issuer and gateway, says where they are, and returns after a
// signal or when one of them has failed.
func (p *program) serve(o options) error {
	var level slog.LevelVar
	level.Set(o.logLevel)
	log, err := oplog.New(p.stderr, &level, "text")
	if err != nil {
		return err
	}

	// The issuer's port may be chosen by the system, and is part of its name.
	issuer, err := newIssuer(o, log)
	if err != nil {
		return err
	}
	defer issuer.Close()
	places := places{issuer: issuer.url}

	var gate gateway = noGateway{}
	if !o.issuerOnly {
		files, err := newTLSFiles(o.listenTLS)
		if err != nil {
			return err
		}
		defer files.Remove()
		gate, err = newGateway(o, issuer.url, files, log, &level)
		if err != nil {
			return err
		}
		places.gateway = gate.Addr(plainListener).String()
		places.gatewayTLS = gate.Addr(tlsListener).String()
		places.ops = gate.OpsAddr().String()
		if addr := gate.AdminAddr(); addr != nil {
			places.admin = addr.String()
		}
		places.ca = files.ca
	}

	ctx, drain := context.WithCancel(context.Background())
	defer drain()
	ended := make(chan error, 1)
	go func() { ended <- runBoth(ctx, gate.Run, issuer.Run) }()
	places.print(p.stdout, controlCommand())

	select {
	case err := <-ended:
		return err
	case <-p.signals:
		drain()
	}
	select {
	case err := <-ended:
		return err
	case <-p.signals:
		gate.Abort()
		<-ended
		return errors.New("ended by a second signal")
	}
}

// runBoth runs the gateway until ctx is done, and the issuer until the gateway
// has drained: sessions are renewed to the end. If one fails the other stops.
func runBoth(ctx context.Context, gateway, issuer func(context.Context) error) error {
	ctx, stopGateway := context.WithCancel(ctx)
	defer stopGateway()
	issuerCtx, stopIssuer := context.WithCancel(context.WithoutCancel(ctx))
	defer stopIssuer()

	issuerEnded := make(chan error, 1)
	go func() {
		defer stopGateway()
		issuerEnded <- issuer(issuerCtx)
	}()
	err := gateway(ctx)
	stopIssuer()
	return cmp.Or(err, <-issuerEnded)
}

// drainTimeout is how long sessions take to end after the first signal: short,
// as nobody's fleet reconnects at once to a laptop.
const drainTimeout = time.Second
