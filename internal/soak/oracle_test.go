package soak

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// oracle collects what must not be, and counts what there was.
type oracle struct {
	mu       sync.Mutex
	findings []string
	more     int // findings beyond those
	counts   map[string]int
}

// enough findings tell what is wrong; the rest is only counted.
const enough = 40

// find notes something that must not be.
func (o *oracle) find(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.findings) == enough {
		o.more++
		return
	}
	o.findings = append(o.findings, fmt.Sprintf(format, args...))
}

// count adds to a number of the report.
func (o *oracle) count(what string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts == nil {
		o.counts = map[string]int{}
	}
	o.counts[what] += n
}

// found returns the findings.
func (o *oracle) found() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.Clone(o.findings)
	if o.more > 0 {
		all = append(all, fmt.Sprintf("and %d more", o.more))
	}
	return all
}

// counted returns what was counted, a line each.
func (o *oracle) counted() (lines []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(o.counts)) {
		lines = append(lines, fmt.Sprintf("%9d  %s", o.counts[what], what))
	}
	return lines
}
