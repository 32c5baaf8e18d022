package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/linegate/linegate/internal/load"
)

func allocations(ctx context.Context, b *bench, f figures) error {
	tokens, err := b.issuer.tokens(100)
	if err != nil {
		return err
	}
	return b.with(ctx, linegate, variant{}, func(s *server) error {
		n, err := b.mallocs(ctx, s, 3*b.scale.single, func(pings int) (load.Config, error) {
			return b.message(s, load.Config{Mode: load.Ping}, tokens, pings), nil
		})
		f[key{allocs, linegate}] = n
		return err
	})
}

// mallocs counts heap objects by the gateway's own metric: what each message, or
// login, makes of those that a run has more than another.
func (b *bench) mallocs(ctx context.Context, s *server, more int, config func(count int) (load.Config, error)) (float64, error) {
	const few = 100
	var counts []float64
	for _, count := range []int{few, few, few + more} { // the first run ever is another thing
		c, err := config(count)
		if err != nil {
			return 0, err
		}
		c.Warmup = 0
		before, err := s.metric(ctx, "go_memstats_mallocs_total")
		if err != nil {
			return 0, err
		}
		if _, err := b.load(ctx, c); err != nil {
			return 0, err
		}
		after, err := s.metric(ctx, "go_memstats_mallocs_total")
		if err != nil {
			return 0, err
		}
		counts = append(counts, after-before)
	}
	return max(0, (counts[2]-counts[1])/float64(more)), nil
}

// metric returns a metric without labels.
func (s *server) metric(ctx context.Context, name string) (float64, error) {
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
