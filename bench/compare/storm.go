package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/linegate/linegate/internal/load"
)

// What is counted beside the time of a storm.
const (
	failures = ", connections that failed"
	retries  = ", told to come back"
	// overflows costs a client at least a second, until it tries again.
	overflows = ", SYNs dropped at a full accept queue"
)

// queueOverflows returns how often the kernel has dropped a SYN because a
// listener's queue was full, since it started.
func queueOverflows() float64 {
	var names []string
	for line := range strings.Lines(wholeFile("/proc/net/netstat")) {
		fields := strings.Fields(line)
		if i := slices.Index(names, "ListenOverflows"); i >= 0 && i < len(fields) {
			n, _ := strconv.ParseFloat(fields[i], 64)
			return n
		}
		names = fields
	}
	return 0
}

func told(r *load.Result) (n int) {
	for _, times := range r.Retries {
		n += times
	}
	return n
}

// storm measures how long it takes until all sessions are back, in seconds. All
// at once are more than an accept queue holds; atOnce, unless 0, are fewer.
func storm(row string, restart bool, atOnce int) func(context.Context, *bench, figures) error {
	return func(ctx context.Context, b *bench, f figures) error {
		tokens, err := b.issuer.tokens(b.scale.storm)
		if err != nil {
			return err
		}
		return b.each(ctx, []string{linegate, redis}, variant{strangers: true}, func(s *server) error {
			c := b.config(s, tokens)
			c.Mode, c.Connections, c.AtOnce, c.PID = load.Storm, len(tokens), atOnce, 0
			if restart {
				c.Cut = func(ctx context.Context) error {
					s.stop()
					return b.launch(ctx, s)
				}
			}
			full := queueOverflows()
			r, err := load.Run(ctx, c)
			if err != nil {
				return err
			}
			if why := r.Failures(); why != "" {
				b.say("%s: %s", s.name, why)
			}
			f[key{row, s.name}] = r.Elapsed.Seconds()
			f[key{row + failures, s.name}] = float64(r.Failed)
			f[key{row + retries, s.name}] = float64(told(r))
			f[key{row + overflows, s.name}] = queueOverflows() - full
			b.drawings.add(row, s.name, r.BackCurve())
			return nil
		})
	}
}
