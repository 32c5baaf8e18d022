package main

import (
	"context"
	"math"

	"github.com/linegate/linegate/internal/load"
)

// memory reads the anonymous resident memory at several numbers of sessions.
// What a session takes is the slope from the first to the last, in kB; how
// straight it is, the greatest distance from that line in percent of the growth.
func memory(row string, v variant, names ...string) func(context.Context, *bench, figures) error {
	return func(ctx context.Context, b *bench, f figures) error {
		steps := b.scale.sessions
		if v.tls {
			steps = b.scale.secure
		}
		tokens, err := b.issuer.tokens(steps[len(steps)-1])
		if err != nil {
			return err
		}
		return b.each(ctx, names, v, func(s *server) error {
			c := b.config(s, tokens)
			c.Mode, c.Steps, c.Duration = load.Idle, steps, b.scale.settle
			c.Connections = len(tokens)
			r, err := b.load(ctx, c)
			if err != nil {
				return err
			}
			f[key{row, s.name}] = r.PerSession() / 1e3
			if !v.tls {
				f[key{straight, s.name}] = bend(r.Memory[1:])
				b.drawings.add("memory", s.name, r.MemoryCurve())
			}
			return nil
		})
	}
}

// bend is the greatest distance of a point from the straight line between the
// first and the last, in percent of their difference.
func bend(points []load.Memory) float64 {
	first, last := points[0], points[len(points)-1]
	growth := float64(last.Bytes - first.Bytes)
	var farthest float64
	for _, p := range points {
		line := float64(first.Bytes) + growth*float64(p.Sessions-first.Sessions)/float64(last.Sessions-first.Sessions)
		farthest = max(farthest, math.Abs(float64(p.Bytes)-line))
	}
	return 100 * farthest / max(growth, 1)
}
