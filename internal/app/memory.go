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
)

// giveBack returns memory to the system a moment after each burst, until ctx is
// done. The collector alone would keep what a storm of logins left behind, up to
// as much again as is in use, for as long as only lines are served: they give it
// no reason to run.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(calmInterval)
	defer tick.Stop()
	given, last := allocated(), allocated()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-given >= burst && now-last < calm {
			debug.FreeOSMemory()
			given = now
		}
		last = now
	}
}

// allocated returns how many bytes the process ever allocated on its heap.
func allocated() uint64 {
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Uint64()
}
