package main

import (
	"context"
	"fmt"
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
	floodRate  = "bad logins refused meanwhile"
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

func micros(d time.Duration) float64 { return float64(d) / 1e3 }
