package client

import (
	"slices"
	"testing"
	"time"

	"github.com/linegate/linegate/wire"
)

// Full jitter: nothing at the least, the ceiling at the most.
func TestJitterIsFull(t *testing.T) {
	ms := time.Millisecond
	for jitter, want := range map[float64][]time.Duration{
		0:     {0, 0, 0, time.Hour, time.Second},
		0.999: {999 * ms, 1998 * ms, 3996 * ms, time.Hour + 299700*ms, 7992 * ms},
	} {
		p := pace{rand: func() float64 { return jitter }}
		got := []time.Duration{
			p.after(wire.Retry, 0),
			p.after(wire.Retry, 0),
			p.after(wire.Retry, 0),
			p.after(wire.Fix, 0),
			p.after(wire.Retry, time.Second), // which the back-off exceeds, if it has jitter
		}
		if !slices.Equal(got, want) {
			t.Errorf("jitter %v: got %v, want %v", jitter, got, want)
		}
	}
}
