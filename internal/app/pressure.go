package app

import (
	"context"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

const (
	// pressureInterval is how often it is looked how near memory is to its limit.
	pressureInterval = 100 * time.Millisecond
	// shortAt is the part of the limit, in percent, from which on nobody else is
	// let in, and amplePart the one below which they are again. What is left is
	// what the collector has to go round in: it runs for each share of that size
	// that is allocated.
	shortAt   = 85
	amplePart = 80
)

// shedder is who lets nobody else in while memory is short.
type shedder interface{ SetMemoryShort(bool) }

// watchMemory has new connections sent away while memory nears its limit
// (GOMEMLIMIT), until ctx is done. What lives is counted, and not what the
// collector will find: with a limit, Go lets garbage fill all of it.
func watchMemory(ctx context.Context, limit int64, gateway shedder, log *slog.Logger) {
	if limit == math.MaxInt64 {
		return // there is none
	}
	tick := time.NewTicker(pressureInterval)
	defer tick.Stop()
	short := false
	var fresh collection
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if short {
			fresh.renew()
		}
		switch needed := neededMemory(); {
		case !short && needed > limit/100*shortAt:
			short = true
			log.Warn("memory is short, new connections are told to come back",
				slog.Int64("needed", needed), slog.Int64("limit", limit))
		case short && needed < limit/100*amplePart:
			short = false
			log.Info("memory is no longer short", slog.Int64("needed", needed), slog.Int64("limit", limit))
		}
		gateway.SetMemoryShort(short)
	}
}

// memoryLimit returns what GOMEMLIMIT says in bytes; without it, the most there is.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// neededMemory is what of the memory that counts for the limit is in use, in bytes.
// What is on the heap was counted by the last collection.
func neededMemory() (sum int64) {
	samples := []runtimemetrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/metadata/mcache/inuse:bytes"},
		{Name: "/memory/classes/metadata/mspan/inuse:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"},
		{Name: "/memory/classes/os-stacks:bytes"},
		{Name: "/memory/classes/other:bytes"},
		{Name: "/memory/classes/profiling/buckets:bytes"},
	}
	runtimemetrics.Read(samples)
	for _, s := range samples {
		sum += int64(s.Value.Uint64())
	}
	return sum
}

// collection keeps the count of what lives fresh while nobody is let in: lines
// allocate nothing, so that the collector would not run, and nobody would learn
// that sessions have left.
type collection struct {
	cycles uint64
	next   time.Time
}

// renew collects when nobody else has, for a twentieth of the time at most.
func (c *collection) renew() {
	cycles := []runtimemetrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	runtimemetrics.Read(cycles)
	start := time.Now()
	if n := cycles[0].Value.Uint64(); n != c.cycles {
		c.cycles, c.next = n, start.Add(time.Second)
		return
	}
	if start.Before(c.next) {
		return
	}
	runtime.GC()
	c.cycles++
	c.next = time.Now().Add(max(time.Second, 20*time.Since(start)))
}
