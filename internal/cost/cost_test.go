package cost

import (
	"testing"
	"time"
)

// TestLeast: jobs that had to wait while the processors were busy make the next ones
// no dearer, and cheap ones are forgotten.
func TestLeast(t *testing.T) {
	const cheap, dear = 100 * time.Millisecond, 2 * time.Second
	var e Estimate
	for _, step := range []struct {
		jobs []time.Duration // over and over, Jobs times
		want time.Duration
	}{
		{[]time.Duration{cheap, dear}, cheap},
		{[]time.Duration{dear}, dear}, // the cheap ones are long ago
		{[]time.Duration{dear, cheap}, cheap},
	} {
		for i := range Jobs {
			e.Add(step.jobs[i%len(step.jobs)])
		}
		if least := e.Least(); least != step.want {
			t.Errorf("after %v a job is said to take %v", step.jobs, least)
		}
	}
}

// TestTooFew: nothing is said before enough is known.
func TestTooFew(t *testing.T) {
	var e Estimate
	for range Jobs - 1 {
		e.Add(time.Second)
	}
	if least := e.Least(); least != 0 {
		t.Errorf("%v after %d jobs", least, Jobs-1)
	}
	if e.Add(time.Second); e.Least() != time.Second {
		t.Errorf("%v after %d", e.Least(), Jobs)
	}
}
