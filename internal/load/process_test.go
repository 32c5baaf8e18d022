package load

import (
	"testing"
	"time"
)

func TestCPUTime(t *testing.T) {
	for stat, want := range map[string]time.Duration{
		"7 (redis-server) S 1 7 7 0 -1 4194560 9 0 0 0 120 34 5 6 20 0 1 0 1 2 3": 1540 * time.Millisecond,
		"7 (a) S (1 2 b) R 1 7 7 0 -1 4194560 9 0 0 0 1 2 5 6 20 0 1 0 1 2 3\n":   30 * time.Millisecond,
	} {
		if got, err := cpuTime([]byte(stat)); got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", stat, got, err, want)
		}
	}
	for _, stat := range []string{"", "7 (x) S 1", "7 (x) S 1 7 7 0 -1 4194560 9 0 0 0 x 34 5 6"} {
		if got, err := cpuTime([]byte(stat)); err == nil {
			t.Errorf("%q: %v", stat, got)
		}
	}
}

func TestResidentAnon(t *testing.T) {
	if got, err := residentAnon([]byte("VmRSS:\t  9000 kB\nRssAnon:\t    4120 kB\nRssFile:\t 4880 kB\n")); got != 4120<<10 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	if got, err := residentAnon([]byte("VmRSS:\t  9000 kB\n")); err == nil {
		t.Errorf("%d of nothing", got)
	}
}
