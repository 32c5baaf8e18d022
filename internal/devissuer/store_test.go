package devissuer

import (
	"strings"
	"testing"
	"time"
)

// TestStore: what is kept and for how long; two at most, for a minute.
func TestStore(t *testing.T) {
	s := newStore[int](2, time.Minute)
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	expect := func(when string, seconds int, want string) {
		t.Helper()
		var got strings.Builder
		for _, name := range []string{"a", "b", "c"} {
			if _, ok := s.get(at(seconds), name); ok {
				got.WriteString(name)
			}
		}
		if got.String() != want || s.len(at(seconds)) != len(want) {
			t.Errorf("%s: %q, %d in all, want %q", when, &got, s.len(at(seconds)), want)
		}
	}
	s.put(at(0), "a", 1)
	s.put(at(10), "b", 2)
	expect("there is room", 10, "ab")
	s.put(at(20), "c", 3)
	expect("there is none: the oldest goes", 20, "bc")
	s.put(at(30), "b", 4)
	if value, _ := s.get(at(30), "b"); value != 4 {
		t.Errorf("replaced: %d", value)
	}
	s.put(at(40), "a", 5)
	expect("a replaced one is young again", 40, "ab")
	expect("just before the end", 89, "ab")
	expect("one lifetime is over", 90, "a")
	s.remove("a")
	s.remove("a")
	expect("removed", 90, "")

	s.put(at(100), "a", 1)
	s.put(at(110), "b", 2)
	s.put(at(165), "c", 3)
	expect("one expired, so there was room", 165, "bc")
	if name := s.add(at(200), 6); len(name) != 26 {
		t.Errorf("name %q", name)
	}
}

// TestStoreIsBounded: in its index as in its order.
func TestStoreIsBounded(t *testing.T) {
	s := newStore[int](100, time.Minute)
	for i := range 1000 {
		s.add(time.Unix(0, 0), i)
	}
	if len(s.byName) != 100 || s.order.Len() != 100 {
		t.Errorf("%d names, %d values", len(s.byName), s.order.Len())
	}
}
