package soak

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// lateness is how late this process's own timers were. On a machine that is
// starved everybody is late, and what did not come in time may be nobody's fault.
type lateness struct {
	mu    sync.Mutex
	worst map[int64]time.Duration // of each second of Unix time
}

// starved is how late a timer is that a machine with little else to do does not
// show.
const starved = 500 * time.Millisecond

func (l *lateness) note(now time.Time, late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.worst == nil {
		l.worst = map[int64]time.Duration{}
	}
	l.worst[now.Unix()] = max(l.worst[now.Unix()], late)
}

// around says how starved the machine was when something was found; empty: it
// was not. Time-outs are a while behind their cause, and a timer that is late is
// noticed late.
func (l *lateness) around(at time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var worst time.Duration
	for second := at.Unix() - 30; second <= at.Unix()+5; second++ {
		worst = max(worst, l.worst[second])
	}
	if worst < starved {
		return ""
	}
	return fmt.Sprintf(" (this machine was starved: timers of the test itself were %v late)", worst.Round(time.Millisecond))
}

// String is of the whole time.
func (l *lateness) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var worst time.Duration
	seconds := 0
	for _, late := range l.worst {
		worst = max(worst, late)
		if late >= starved {
			seconds++
		}
	}
	return fmt.Sprintf("timers of the test itself were at most %v late, and in %d of %d s more than %v", worst.Round(time.Millisecond), seconds, len(l.worst), starved)
}

// What is found while timers are late says so, and nothing else does.
func TestLateness(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var l lateness
	l.note(noon, 40*time.Millisecond)
	l.note(noon.Add(time.Minute), 2*time.Second)
	l.note(noon.Add(time.Minute), time.Second)
	for after, want := range map[time.Duration]string{
		0:                 "",
		50 * time.Second:  "",
		58 * time.Second:  " (this machine was starved: timers of the test itself were 2s late)",
		70 * time.Second:  " (this machine was starved: timers of the test itself were 2s late)",
		100 * time.Second: "",
	} {
		if got := l.around(noon.Add(after)); got != want {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
	if got, want := l.String(), "timers of the test itself were at most 2s late, and in 1 of 2 s more than 500ms"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
