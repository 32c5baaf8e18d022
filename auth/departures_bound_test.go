package auth

import (
	"strconv"
	"testing"
	"time"
)

// However long an issuer rotates its keys, and however many it makes up, what is
// remembered of those that left is bounded. What is forgotten has Departed.
func TestDeparturesBounded(t *testing.T) {
	tests := []struct {
		name         string
		keys         int // of each set, others each time
		every, grace time.Duration
		lasts        time.Duration
		most         int // departures remembered
		departing    int // the last sets whose keys are served still
	}{
		{"a key every 2 s for three days", 1, 2 * time.Second, time.Minute, 72 * time.Hour, 60, 30},
		{"without a grace", 1, 2 * time.Second, 0, time.Hour, 1, 1},
		{"1,000 keys every 3 s", maxKeys, 3 * time.Second, time.Minute, 5 * time.Minute, maxDepartures, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDepartures(tt.grace, time.Second)
			begin, most := time.Now(), 0
			last, now := int(tt.lasts/tt.every), begin
			for i := range last + 1 {
				now = begin.Add(time.Duration(i) * tt.every)
				d.observe(madeUp(i, tt.keys), now)
				d.news(now)
				most = max(most, len(d.left))
			}
			if most != tt.most {
				t.Errorf("%d remembered, want %d", most, tt.most)
			}
			for i := range last {
				want := Departed
				if last-i <= tt.departing {
					want = Departing
				}
				for _, key := range madeUp(i, tt.keys).all {
					if got := d.standing(key.thumbprint, now).State; got != want {
						t.Fatalf("key of set %d of %d: %v, want %v", i, last, got, want)
					}
				}
			}
		})
	}
}

// madeUp is the i-th set of an issuer with other keys each time.
func madeUp(i, keys int) *KeySet {
	set := new(KeySet)
	for j := range keys {
		set.all = append(set.all, &publicKey{thumbprint: strconv.Itoa(i) + " " + strconv.Itoa(j)})
	}
	return set
}
