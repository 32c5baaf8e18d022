package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Every bucket begins where the one before it ends, and none is wider than a
// 128th of what it holds.
func TestHistogramBuckets(t *testing.T) {
	for i := range bucket(math.MaxInt64) {
		last := uint64(longest(i))
		if bucket(last) != i || bucket(last+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d, and the next is in %d", i, last, bucket(last), bucket(last+1))
		}
		if i > 0 {
			if width := last - uint64(longest(i-1)); width > 1 && float64(width) > float64(last)/128 {
				t.Fatalf("bucket %d has a width of %d at %d", i, width, last)
			}
		}
	}
}

func TestHistogramPercentiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 25))
		h.Record(d, 2)
		all = append(all, d, d)
	}
	slices.Sort(all)
	for _, p := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
		exact := all[max(int(math.Ceil(p/100*float64(len(all)))), 1)-1]
		got := h.Percentile(p)
		if got < exact || float64(got) > float64(exact)*1.008+1 {
			t.Errorf("p%v is %d, exactly %d", p, got, exact)
		}
	}
	if h.Count() != len(all) || h.Max() != all[len(all)-1] {
		t.Errorf("count %d, max %d", h.Count(), h.Max())
	}
}

// Two histograms added are the one that saw it all.
func TestHistogramAdd(t *testing.T) {
	var left, right, both Histogram
	for i := range 1000 {
		d := time.Duration(i * i)
		both.Record(d, 1)
		if i%3 == 0 {
			left.Record(d, 1)
		} else {
			right.Record(d, 1)
		}
	}
	left.Add(&right)
	left.Add(new(Histogram))
	if left != both {
		t.Error("not the same")
	}
}

func TestHistogramEmpty(t *testing.T) {
	var h Histogram
	if h.Percentile(99) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Errorf("p99 %v, mean %v, max %v of nothing", h.Percentile(99), h.Mean(), h.Max())
	}
}
