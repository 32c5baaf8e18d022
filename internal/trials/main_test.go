// Package trials puts a whole gateway under load while its issuers rotate their
// keys, strangers guess key ids, an issuer hangs, devices log in by the thousand, and
// clients read too slowly or never, or send too much. The gateway is a process of its
// own, on real sockets, with a configuration file and real issuers; so its memory,
// descriptors and processor time are nobody else's.
//
// "make trials" runs the trials at full length and prints what was asked and
// what was measured. Every other run is a short form of them, with the same
// counts and without comparing latencies.
package trials

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/linegate/linegate/internal/app"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/oplog"
)

// TestMain lets the test binary be the gateway, too, and those who crowd it.
func TestMain(m *testing.M) {
	var err error
	if file, found := os.LookupEnv(fileVariable); found {
		err = serve(file)
	} else if orders, found := os.LookupEnv(othersVariable); found {
		err = beOthers(orders)
	} else {
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fileVariable names the configuration of a test binary that is a gateway.
const fileVariable = "TRIALS_GATEWAY_FILE"

// serve runs a gateway until standard input ends, which it does with the test
// at the latest. It says on standard output where it listens.
func serve(file string) error {
	c, _, err := config.Load(config.Options{Path: file})
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return err
	}
	log, err := oplog.New(os.Stderr, level, c.Log.Format)
	if err != nil {
		return err
	}
	a, err := app.New(c, app.Options{Log: log, LogLevel: level, Version: "trial"})
	if err != nil {
		return err
	}
	fmt.Println(a.Addr(listener), a.OpsAddr())
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return a.Run(ctx)
}
