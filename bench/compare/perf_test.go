//go:build perf

package main

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/load"
)

// What "make perf-check" holds the gateway to, so that nobody makes it slower by
// mistake. No figure is a time: each is a count, or the CPU time of one process as
// a multiple of another's in the same run, with the same generator. The bounds
// leave room for a machine that others use, and none for half as much again.

// attempts is how often a figure may be taken before it counts as out of bounds.
const attempts = 3

// within takes a figure until it is within bounds.
func within(t *testing.T, most float64, figure func() (float64, error)) {
	t.Helper()
	for i := range attempts {
		got, err := figure()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.3f, at most %v", t.Name(), got, most)
		if got <= most {
			return
		}
		if i == attempts-1 {
			t.Errorf("%.3f, want at most %v", got, most)
		}
	}
}

// TestCPU is the gateway's CPU time for a message, or a login, as a multiple of
// what the usual Go server takes for the same without any authentication.
func TestCPU(t *testing.T) {
	b := perfBench(t)
	gateway, other := b.running(t, linegate, variant{}), b.running(t, goserver, variant{})
	tokens, err := b.issuer.tokens(100)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		load  load.Config
		count int
		most  float64
	}{
		{ping1, load.Config{Mode: load.Ping}, 30_000, 1.2},
		{echo1, load.Config{Mode: load.Echo, Size: 36}, 30_000, 1.2},
		{ping32, load.Config{Mode: load.Ping, Pipeline: 32}, 600_000, 0.85},
		{echo32, load.Config{Mode: load.Echo, Size: 36, Pipeline: 32}, 600_000, 0.85},
		{seenLogin, load.Config{Mode: load.Login}, 5000, 1.55},
	} {
		t.Run(tt.name, func(t *testing.T) {
			within(t, tt.most, func() (float64, error) {
				return b.ratio(t.Context(), gateway, other, func(s *server) load.Config {
					return b.message(s, tt.load, tokens, tt.count)
				})
			})
		})
	}
	t.Run(newLogin, func(t *testing.T) { // in bare checks above the usual Go server's connect
		within(t, 1.9, func() (float64, error) {
			fresh, err := b.issuer.tokens(b.scale.logins)
			if err != nil {
				return 0, err
			}
			f := figures{}
			check, err := b.bareCheck()
			if err != nil {
				return 0, err
			}
			f[key{bareCheck, linegate}] = micros(check)
			if err := b.login(t.Context(), gateway, newLogin, tokens, fresh, f); err != nil {
				return 0, err
			}
			if err := b.login(t.Context(), other, seenLogin, tokens, tokens, f); err != nil {
				return 0, err
			}
			above, _ := aboveConnect(f)
			return above, nil
		})
	})
}

// ratio is the gateway's CPU time over the other server's. They take turns, so
// that both meet the same machine.
func (b *bench) ratio(ctx context.Context, gateway, other *server, config func(*server) load.Config) (float64, error) {
	var cpu [2]time.Duration
	for range 3 {
		for i, s := range []*server{gateway, other} {
			r, err := b.load(ctx, config(s))
			if err != nil {
				return 0, err
			}
			cpu[i] += r.CPUPerUnit()
		}
	}
	return float64(cpu[0]) / float64(cpu[1]), nil
}

// TestAllocations is how many heap objects a whole gateway makes for a message,
// or a login, with its metrics and its log.
func TestAllocations(t *testing.T) {
	b := perfBench(t)
	for name, v := range map[string]variant{"plain": {}, "tls": {tls: true}} {
		s := b.running(t, linegate, v)
		tokens, err := b.issuer.tokens(100)
		if err != nil {
			t.Fatal(err)
		}
		message := func(c load.Config) func(int) (load.Config, error) {
			return func(count int) (load.Config, error) { return b.message(s, c, tokens, count), nil }
		}
		for _, tt := range []struct {
			name       string
			plain, tls float64
			more       int
			config     func(count int) (load.Config, error)
		}{
			{"ping", 0, 2, 80_000, message(load.Config{Mode: load.Ping})},
			{"echo", 0, 2, 80_000, message(load.Config{Mode: load.Echo, Size: 36})},
			{seenLogin, 36, 500, 1500, message(load.Config{Mode: load.Login})},
			{newLogin, 100, 570, 1500, func(count int) (load.Config, error) {
				fresh, err := b.issuer.tokens(count)
				c := b.message(s, load.Config{Mode: load.Login}, fresh, count)
				c.Connections = 100
				return c, err
			}},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				most := tt.plain
				if v.tls {
					most = tt.tls
				}
				within(t, most+0.1, func() (float64, error) { return b.mallocs(t.Context(), s, tt.more, tt.config) })
			})
		}
	}
}

// perfBench builds the servers, as "make build" does.
func perfBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{bin: t.TempDir(), dir: t.TempDir(), scale: scale{logins: 3000}, say: t.Logf}
	build := exec.Command("go", "build", "-trimpath", "-o", b.bin, "../../cmd/linegate", "../goserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// running is a server until the test ends.
func (b *bench) running(t *testing.T, name string, v variant) *server {
	t.Helper()
	s, err := b.start(context.Background(), name, v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}
