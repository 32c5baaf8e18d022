package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/linegate/linegate/internal/load"
)

// bench is what all measurements share.
type bench struct {
	bin      string
	dir      string // for files that nobody keeps
	scale    scale
	issuer   *issuer
	cert     *certificate
	drawings drawings
	say      func(format string, values ...any) // progress, on a line of its own
}

// scale is how much is measured.
type scale struct {
	quick bool

	single, pipelined, wide int           // messages: one outstanding, 32, on 5,000 connections
	logins                  int           // also of new tokens
	sessions                []int         // at which the memory is read
	secure                  []int         // the same behind TLS
	settle                  time.Duration // before it is read
	flood                   time.Duration
	storm                   int // connections
}

func scaleOf(quick bool) scale {
	if quick {
		return scale{
			quick: true, single: 50_000, pipelined: 500_000, wide: 50_000, logins: 3000,
			sessions: []int{500, 1000, 1500, 2000, 3000}, secure: []int{200, 400, 600}, settle: 500 * time.Millisecond,
			flood: 2 * time.Second, storm: 3000,
		}
	}
	return scale{
		single: 300_000, pipelined: 4_000_000, wide: 200_000, logins: 18_000,
		sessions: []int{1000, 5000, 9000, 13_000, 18_000}, secure: []int{500, 1500, 2500, 3500}, settle: 3 * time.Second,
		flood: 6 * time.Second, storm: 18_000,
	}
}

// warmup is how long a server is warmed up by what is then measured.
const warmup = 300 * time.Millisecond

var loopback = netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)

func newBench(o options, stderr io.Writer) (*bench, error) {
	began := time.Now()
	b := &bench{bin: o.bin, scale: scaleOf(o.quick), drawings: drawings{}}
	b.say = func(format string, values ...any) {
		fmt.Fprintf(stderr, "compare: %3.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, values...))
	}
	for _, name := range []string{linegate, redis, goserver} {
		if !b.has(name) {
			return nil, fmt.Errorf("%s is not there: make bench-compare installs and builds what is needed", name)
		}
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "bench-compare-"); err != nil {
		return nil, err
	}
	if err := b.prepare(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// prepare makes the certificate and the issuer.
func (b *bench) prepare() (err error) {
	if b.cert, err = newCertificate(b.dir); err != nil {
		return err
	}
	b.issuer, err = newIssuer()
	return err
}

func (b *bench) close() {
	if b.issuer != nil {
		b.issuer.server.Close()
	}
	os.RemoveAll(b.dir)
}

// load runs c, in which no connection may fail.
func (b *bench) load(ctx context.Context, c load.Config) (*load.Result, error) {
	r, err := load.Run(ctx, c)
	if err == nil && r.Failed > 0 {
		err = fmt.Errorf("%s", r.Failures())
	}
	return r, err
}
