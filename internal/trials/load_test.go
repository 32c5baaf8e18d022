package trials

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// paced counts n starts of an open loop, that many a second whether or not those
// before have ended. With each it says how late it is; that does not move the
// others.
func paced(n, rate int) iter.Seq2[int, time.Duration] {
	return func(yield func(int, time.Duration) bool) {
		begun := time.Now()
		for i := range n {
			due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(due))
			if !yield(i, time.Since(due)) {
				return
			}
		}
	}
}

// tally counts answers by what they said.
type tally struct {
	mu sync.Mutex
	of map[string]int
	n  int
}

func (c *tally) count(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[a.verdict()]++
	c.n++
}

// except counts the answers that said none of these.
func (c *tally) except(verdicts ...string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.n
	for _, v := range verdicts {
		rest -= c.of[v]
	}
	return rest
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, verdict := range slices.Sorted(maps.Keys(c.of)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.of[verdict], verdict))
	}
	return strings.Join(parts, ", ")
}

// latencies are how long logins took, by when they began.
type latencies struct {
	mu      sync.Mutex
	windows map[window][]time.Duration
}

// window is a part of a round.
type window struct{ round, number int }

func (l *latencies) add(w window, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.windows == nil {
		l.windows = map[window][]time.Duration{}
	}
	l.windows[w] = append(l.windows[w], took)
}

func (l *latencies) all() (all []time.Duration) {
	for _, took := range l.windows {
		all = append(all, took...)
	}
	return all
}

// typicalP99 is the median of the p99 of a round's windows.
func (l *latencies) typicalP99(round int) time.Duration {
	var each []time.Duration
	for w, took := range l.windows {
		if w.round == round {
			each = append(each, quantile(took, 0.99))
		}
	}
	return quantile(each, 0.5)
}

// bestP99 is the least p99 of all windows.
func (l *latencies) bestP99() time.Duration {
	least := time.Duration(math.MaxInt64)
	for _, took := range l.windows {
		least = min(least, quantile(took, 0.99))
	}
	return least
}

// comparison is the p99 of a round without what a trial does and of the one with
// it next to that, each typical of the round.
type comparison struct{ without, with time.Duration }

// latencyFloor is what a login may take on a machine that has other things to
// do: below it, twice as long means nothing.
const latencyFloor = 5 * time.Millisecond

func (c comparison) limit() time.Duration { return max(2*c.without, latencyFloor) }
func (c comparison) holds() bool          { return c.with <= c.limit() }

// compare returns the fastest of the rounds that hold, or else of all. To ask no
// more than that one holds is fair: a trial does the same in every window of
// every round, and so shows in all of them, while what else goes on on the
// machine spoils some.
func compare(without, with *latencies, rounds int) (best comparison) {
	for round := range rounds {
		c := comparison{without.typicalP99(round), with.typicalP99(round)}
		if round == 0 || c.holds() && !best.holds() || c.holds() == best.holds() && c.with < best.with {
			best = c
		}
	}
	return best
}

func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}
