package soak

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// oracle collects what must not be, and counts what there was.
type oracle struct {
	late lateness

	mu       sync.Mutex
	findings []finding
	more     int // findings beyond those
	counts   map[string]int
}

type finding struct {
	at   time.Time
	text string
}

// enough findings tell what is wrong; the rest is only counted.
const enough = 40

// find notes something that must not be.
func (o *oracle) find(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.findings) >= enough {
		o.more++
		return
	}
	o.note(format, args...)
}

// blame notes what may be the cause of all that was found, and is never left out.
func (o *oracle) blame(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(format, args...)
}

func (o *oracle) note(format string, args ...any) {
	o.findings = append(o.findings, finding{time.Now(), fmt.Sprintf(format, args...)})
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

// found returns the findings, each with the state of the machine if that was bad.
func (o *oracle) found() (all []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.findings {
		all = append(all, f.text+o.late.around(f.at))
	}
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
