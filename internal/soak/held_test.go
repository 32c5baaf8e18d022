package soak

import "fmt"

// held is what the process holds on to when nobody is connected.
type held struct {
	goroutines     int
	descriptors    float64
	resident       int    // bytes
	stacks, memory string // in detail
}

func (h held) String() string {
	return fmt.Sprintf("%v goroutines, %v descriptors, %.1f MiB resident", h.goroutines, h.descriptors, float64(h.resident)/(1<<20))
}

// compare asks that a round left nothing behind; of memory only if that can be
// told.
func (o *oracle) compare(round int, first, after held, memory bool) {
	if after.goroutines > first.goroutines || after.descriptors > first.descriptors {
		o.find("after round %d there are %v, and after the first there were %v\n%s\nafter the first:\n%s", round+1, after, first, after.stacks, first.stacks)
	}
	if limit := first.resident + first.resident/20; memory && after.resident > limit {
		o.find("after round %d %d bytes are resident, and after the first there were %d", round+1, after.resident, first.resident)
	}
}
