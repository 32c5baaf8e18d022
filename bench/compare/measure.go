package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/linegate/linegate/internal/load"
)

// The rows of figures. What a figure is in, its row in the table says.
const (
	ping1      = "ping, one outstanding"
	echo1      = "echo of 36 bytes, one outstanding"
	ping32     = "ping, 32 outstanding"
	echo32     = "echo of 36 bytes, 32 outstanding"
	ping5000   = "ping, 5,000 connections"
	idle       = "idle session"
	idleTLS    = "idle session, TLS 1.3"
	straight   = "memory against the number of sessions"
	seenLogin  = "login, token seen before"
	newLogin   = "login, new ES256 token"
	bareCheck  = "bare ES256 check"
	allocs     = "heap allocations a ping"
	quietP99   = "p99 of ping on 1,000 sessions"
	floodP99   = "the same, beside 2,000 bad logins a second"
	stormLive  = "storm, server still up"
	stormStart = "storm after a restart, tokens never seen"
	fewer      = ", at most 4,000 on their way"
)

// measurement fills the figures of one row or two.
type measurement struct {
	name string
	run  func(ctx context.Context, b *bench, f figures) error
}

func measurements() []measurement {
	return []measurement{
		{ping1, messages(ping1, load.Config{Mode: load.Ping}, single, linegate, redis, resp, epoll, goserver, nats)},
		{echo1, messages(echo1, load.Config{Mode: load.Echo, Size: 36}, single, linegate, redis, epoll, goserver)},
		{ping32, messages(ping32, load.Config{Mode: load.Ping, Pipeline: 32}, pipelined, linegate, redis, resp, epoll, goserver, nats)},
		{echo32, messages(echo32, load.Config{Mode: load.Echo, Size: 36, Pipeline: 32}, pipelined, linegate, redis, epoll, goserver)},
		{ping5000, messages(ping5000, load.Config{Mode: load.Ping, Connections: 5000}, wide, linegate, redis, resp, epoll, goserver, nats)},
		{allocs, allocations},
		{idle, memory(idle, variant{}, linegate, redis, epoll, goserver, nats)},
		{idleTLS, memory(idleTLS, variant{tls: true}, linegate, redis, goserver)},
		{seenLogin, logins},
		{newLogin, newTokens},
		{floodP99, flood},
		{stormLive, storm(stormLive, false, 0)},
		{stormLive + fewer, storm(stormLive+fewer, false, 4000)},
		{stormStart, storm(stormStart, true, 0)},
		{stormStart + fewer, storm(stormStart+fewer, true, 4000)},
	}
}

func single(s scale) int    { return s.single }
func pipelined(s scale) int { return s.pipelined }
func wide(s scale) int      { return s.wide }

// messages measures the servers' CPU time for a message, in microseconds.
func messages(row string, c load.Config, count func(scale) int, names ...string) func(context.Context, *bench, figures) error {
	return func(ctx context.Context, b *bench, f figures) error {
		return b.each(ctx, names, variant{}, func(s *server) error {
			tokens, err := b.issuer.tokens(max(c.Connections, 100))
			if err != nil {
				return err
			}
			r, err := b.load(ctx, b.message(s, c, tokens, count(b.scale)))
			if err != nil {
				return err
			}
			f[key{row, s.name}] = micros(r.CPUPerUnit())
			return nil
		})
	}
}

// message is a run of c against s.
func (b *bench) message(s *server, c load.Config, tokens []string, count int) load.Config {
	to := b.config(s, tokens)
	to.Mode, to.Pipeline, to.Size, to.Count, to.Warmup = c.Mode, c.Pipeline, c.Size, count, warmup
	to.Connections = len(tokens)
	return to
}

// each runs f against a fresh process of every server that is on the machine.
func (b *bench) each(ctx context.Context, names []string, v variant, f func(*server) error) error {
	for _, name := range names {
		if !b.has(name) {
			continue
		}
		if err := b.with(ctx, name, v, f); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) with(ctx context.Context, name string, v variant, f func(*server) error) error {
	s, err := b.start(ctx, name, v)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := f(s); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

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
		for _, pings := range []int{100, 100, 100 + b.scale.single} { // the first run ever is another thing
			n, err := made(pings)
			if err != nil {
				return err
			}
			counts = append(counts, n)
		}
		f[key{allocs, linegate}] = max(0, (counts[2]-counts[1])/float64(b.scale.single))
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

// logins measures the CPU time of a connection that logs in and goes: with one
// of 100 tokens that were there before, or with whatever the server has instead.
func logins(ctx context.Context, b *bench, f figures) error {
	tokens, err := b.issuer.tokens(100)
	if err != nil {
		return err
	}
	return b.each(ctx, []string{linegate, redis, epoll, goserver, nats}, variant{}, func(s *server) error {
		return b.login(ctx, s, seenLogin, tokens, tokens, f)
	})
}

// newTokens is the same with tokens of which each comes once; and the check
// that each needs, alone.
func newTokens(ctx context.Context, b *bench, f figures) error {
	check, err := b.bareCheck()
	if err != nil {
		return err
	}
	f[key{bareCheck, linegate}] = micros(check)
	others, err := b.issuer.tokens(500)
	if err != nil {
		return err
	}
	fresh, err := b.issuer.tokens(b.scale.logins)
	if err != nil {
		return err
	}
	return b.with(ctx, linegate, variant{}, func(s *server) error {
		return b.login(ctx, s, newLogin, others, fresh, f)
	})
}

func (b *bench) login(ctx context.Context, s *server, row string, before, tokens []string, f figures) error {
	c := b.config(s, before)
	c.Mode, c.Connections, c.Count = load.Login, 100, max(500, len(before))
	if _, err := b.load(ctx, c); err != nil {
		return err
	}
	if s.name == linegate {
		c.Tokens = tokens
	}
	c.Count = b.scale.logins
	r, err := b.load(ctx, c)
	if err != nil {
		return err
	}
	f[key{row, s.name}] = micros(r.CPUPerUnit())
	return nil
}

// bareCheck is the CPU time of one ES256 signature check by crypto/ecdsa with
// SHA-256, which is what golang-jwt calls.
func (b *bench) bareCheck() (time.Duration, error) {
	text := []byte(strings.Repeat("a token's header and payload ", 14))
	signature, err := b.issuer.key.Sign(text)
	if err != nil {
		return 0, err
	}
	public := b.issuer.key.Public().(*ecdsa.PublicKey)
	const times = 5000
	begin, err := ownCPU()
	if err != nil {
		return 0, err
	}
	for range times {
		digest := sha256.Sum256(text)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if !ecdsa.Verify(public, digest[:], r, s) {
			return 0, fmt.Errorf("the signature is not valid")
		}
	}
	end, err := ownCPU()
	return (end - begin) / times, err
}

func ownCPU() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// flood measures the p99 of pings on 1,000 sessions, in milliseconds: first
// alone, then while strangers try bad tokens at the gateway. The epoll server
// has its sessions on a port of its own, and the gateway the same flood.
func flood(ctx context.Context, b *bench, f figures) error {
	tokens, err := b.issuer.tokens(1000)
	if err != nil {
		return err
	}
	return b.with(ctx, linegate, variant{}, func(gateway *server) error {
		for _, name := range []string{linegate, epoll} {
			if !b.has(name) {
				continue
			}
			measure := func(s *server) error {
				for row, strangers := range map[string]*load.Strangers{
					quietP99: nil,
					floodP99: {Rate: 2000, Address: gateway.address, Protocol: load.Linegate, Tokens: tokens},
				} {
					c := b.config(s, tokens)
					c.Mode, c.Connections, c.Duration, c.Warmup, c.Strangers = load.Ping, 1000, b.scale.flood, warmup, strangers
					r, err := b.load(ctx, c)
					if err != nil {
						return err
					}
					f[key{row, name}] = float64(r.Latency.Percentile(99)) / 1e6
					if strangers != nil {
						b.drawings.add("flood", name, r.LatencyCurve())
						if got := r.Strangers.Outcomes["let in"]; got > 0 {
							return fmt.Errorf("%d strangers were let in", got)
						}
					}
				}
				return nil
			}
			if name == linegate {
				err = measure(gateway)
			} else {
				err = b.with(ctx, name, variant{}, measure)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

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

func micros(d time.Duration) float64 { return float64(d) / 1e3 }
