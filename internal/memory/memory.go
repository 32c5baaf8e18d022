// Package memory gives the system back what a burst has left. A burst of logins
// or of long lines makes the heap grow, by what it needs and by as much again of
// garbage, before the garbage collector is told to run; and when the burst is
// over, little is allocated, so that it is not told for long.
package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// interval is how often the heap is looked at.
	interval = time.Second
	// calm is the part of the heap that may be allocated in an interval when
	// no burst is on: a collection is then bought at most once in as many
	// intervals as excess is greater.
	calm = 1.0 / 64
	// excess is the part of the heap, and least the number of bytes, that must
	// be to gain.
	excess, least = 1.0 / 4, 4 << 20
)

// GiveBack collects garbage, and returns to the system what is free, whenever a
// burst is over, until ctx is done.
func GiveBack(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	before := look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := look()
		if now.worth(before) {
			debug.FreeOSMemory()
			now = look()
		}
		before = now
	}
}

// heap is its state at one moment, in bytes.
type heap struct {
	live      float64 // after the last collection
	held      float64 // of the system's memory
	allocated float64 // so far, ever
}

func look() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	of := func(i int) float64 { return float64(samples[i].Value.Uint64()) }
	return heap{live: of(0), allocated: of(1), held: of(2) + of(3) + of(4)}
}

// worth reports whether no burst is on and one has left much.
func (h heap) worth(before heap) bool {
	return h.allocated-before.allocated < h.live*calm && h.held-h.live > h.live*excess+least
}
