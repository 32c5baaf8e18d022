package main

import (
	"context"
	"fmt"

	"github.com/linegate/linegate/internal/load"
)

// flood measures the p99 of pings on 1,000 sessions, in milliseconds: first
// alone, then while strangers try bad tokens at the gateway. The epoll server
// has its sessions on a port of its own, and the gateway the same flood.
func flood(ctx context.Context, b *bench, f figures) error {
	tokens, err := b.issuer.tokens(1000)
	if err != nil {
		return err
	}
	return b.with(ctx, linegate, variant{}, func(gateway *server) error {
		strangers := &load.Strangers{Rate: badLogins, Address: gateway.address, Protocol: load.Linegate, Tokens: tokens}
		beside := func(s *server) error {
			if err := b.p99(ctx, s, tokens, quietP99, nil, f); err != nil {
				return err
			}
			return b.p99(ctx, s, tokens, floodP99, strangers, f)
		}
		if err := beside(gateway); err != nil {
			return err
		}
		return b.each(ctx, []string{epoll}, variant{}, beside)
	})
}

// badLogins is how many there are to be a second.
const badLogins = 2000

func (b *bench) p99(ctx context.Context, s *server, tokens []string, row string, strangers *load.Strangers, f figures) error {
	c := b.config(s, tokens)
	c.Mode, c.Connections, c.Duration, c.Warmup, c.Strangers = load.Ping, 1000, b.scale.flood, warmup, strangers
	r, err := b.load(ctx, c)
	if err != nil {
		return err
	}
	p99 := float64(r.Latency.Percentile(99)) / 1e6
	if strangers == nil {
		f[key{row, s.name}] = p99
		return nil
	}
	if n := r.Strangers.Outcomes["let in"]; n > 0 {
		return fmt.Errorf("%d strangers were let in", n)
	}
	b.say("%s: strangers: %d attempts in %.1f s, %v", s.name, r.Strangers.Attempts, r.Strangers.Seconds, r.Strangers.Outcomes)
	rate := float64(r.Strangers.Outcomes["bye invalid_token"]) / r.Strangers.Seconds
	f[key{floodRate, s.name}] = rate
	if rate < 0.95*badLogins { // it is not the flood that the row tells of
		b.say("%s: %.0f bad logins a second were refused, not %d: the machine is too busy for this row", s.name, rate, badLogins)
		return nil
	}
	f[key{row, s.name}] = p99
	b.drawings.add("flood", s.name, r.LatencyCurve())
	return nil
}
