package app

import (
	"context"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

const (
	// calmInterval is how often it is looked whether a burst is over.
	calmInterval = time.Second
	// burst is how much must have been allocated since memory was given back
	// last, and calm how much less than that in an interval ends a burst. Lines
	// allocate nothing: it is logins, reloads and scrapes that do.
	burst = 8 << 20
	calm  = 512 << 10
	// wave is what part of the memory in use must lie idle to be given back where
	// nothing was allocated: sessions that all say something at once leave the
	// stacks that they needed for that.
	wave = 16
)

// giveBack returns memory to the system a moment after each burst, until ctx is
// done. The collector alone would keep what a storm of logins left behind, up to
// as much again as is in use, for as long as only lines are served: they give it
// no reason to run.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(calmInterval)
	defer tick.Stop()
	last := readUsage()
	given := last.allocated
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := readUsage()
		if now.allocated-last.allocated < calm &&
			(now.allocated-given >= burst || now.idle >= max(burst, now.used/wave)) {
			debug.FreeOSMemory()
			given = now.allocated
		}
		last = now
	}
}

// usage is what the process has of memory, in bytes.
type usage struct {
	allocated uint64 // on its heap, ever
	used      uint64 // by objects and stacks
	idle      uint64 // used by nothing, and not given back
}

func readUsage() usage {
	samples := []runtimemetrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	runtimemetrics.Read(samples)
	return usage{
		allocated: samples[0].Value.Uint64(),
		used:      samples[1].Value.Uint64() + samples[2].Value.Uint64(),
		idle:      samples[3].Value.Uint64(),
	}
}
