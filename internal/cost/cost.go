// Package cost tells what a piece of work takes at least, from what the last ones
// took: how long a line of such work is, even if the processors had nothing else to
// do.
package cost

import "time"

// Estimate is what a job takes at least, lately. What one took by the clock has in it
// what else the processors had to do meanwhile: when thousands come at once that
// is most of it, and soon over. The zero value knows of no job; callers bring a lock.
type Estimate struct {
	jobs         int
	now, earlier time.Duration // the least of these jobs, and of as many before
}

// Jobs is of how many the least is taken.
const Jobs = 64

// Add takes in what one more job took.
func (e *Estimate) Add(d time.Duration) {
	if e.jobs == 0 || d < e.now {
		e.now = d
	}
	if e.jobs++; e.jobs == Jobs {
		e.jobs, e.earlier = 0, e.now
	}
}

// Least is 0 until enough is known.
func (e *Estimate) Least() time.Duration {
	if e.jobs == 0 {
		return e.earlier
	}
	return min(e.earlier, e.now)
}
