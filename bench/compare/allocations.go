package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/linegate/linegate/internal/load"
)

// allocations counts heap objects by the gateway's own metric: what a run with
// more pings makes above a run with fewer.
func allocations(ctx context.Context, b *bench, f figures) error {
	tokens, err := b.issuer.tokens(100)
	if err != nil {
		return err
	}
	return b.with(ctx, linegate, variant{}, func(s *server) error {
		made := func(pings int) (float64, error) {
			before, err := s.metric(ctx, "go_memstats_mallocs_total")
			if err != nil {
				return 0, err
			}
			c := b.message(s, load.Config{Mode: load.Ping}, tokens, pings)
			c.Warmup = 0
			if _, err := b.load(ctx, c); err != nil {
				return 0, err
			}
			after, err := s.metric(ctx, "go_memstats_mallocs_total")
			return after - before, err
		}
		var counts []float64
		more := 3 * b.scale.single
		for _, pings := range []int{100, 100, 100 + more} { // the first run ever is another thing
			n, err := made(pings)
			if err != nil {
				return err
			}
			counts = append(counts, n)
		}
		f[key{allocs, linegate}] = max(0, (counts[2]-counts[1])/float64(more))
		return nil
	})
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
