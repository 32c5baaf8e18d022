package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations of any length with a high dynamic range: each
// power of two is cut into 128 parts, so that what it answers is at most 0.8 %
// too long. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	counts   [(64 - precision) << precision]uint64
	total    uint64
	sum      time.Duration
	min, max time.Duration
}

// precision is the number of bits by which a power of two is cut.
const precision = 7

// Record counts d, n times.
func (h *Histogram) Record(d time.Duration, n int) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))] += uint64(n)
	if h.total == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.total += uint64(n)
	h.sum += d * time.Duration(n)
}

// bucket returns v's own place while v is below two times 128, and from there
// on its highest 8 bits with how often it had to be halved.
func bucket(v uint64) int {
	halved := max(bits.Len64(v)-precision-1, 0)
	return halved<<precision + int(v>>halved)
}

// longest returns the greatest value in bucket i.
func longest(i int) time.Duration {
	halved := max(i>>precision-1, 0)
	first := uint64(i - halved<<precision)
	return time.Duration((first+1)<<halved - 1)
}

// Add counts all that o has counted.
func (h *Histogram) Add(o *Histogram) {
	if o.total == 0 {
		return
	}
	for i, n := range o.counts {
		h.counts[i] += n
	}
	if h.total == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.total += o.total
	h.sum += o.sum
}

// Count returns how many were recorded.
func (h *Histogram) Count() int { return int(h.total) }

// Mean returns the average, 0 when nothing was recorded.
func (h *Histogram) Mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return h.sum / time.Duration(h.total)
}

// Max returns the longest duration recorded.
func (h *Histogram) Max() time.Duration { return h.max }

// Percentile returns what p percent of the durations do not exceed, 0 when
// nothing was recorded.
func (h *Histogram) Percentile(p float64) time.Duration {
	rank := uint64(p / 100 * float64(h.total))
	if float64(rank) < p/100*float64(h.total) {
		rank++
	}
	rank = max(rank, 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return max(min(longest(i), h.max), h.min)
		}
	}
	return h.max
}
