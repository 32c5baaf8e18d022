package gateway

import (
	"strings"
	"testing"
	"time"
)

// TestStuck: an accept loop that waits for clients is not stuck, however long;
// one that is at a client for too long is, and only until it goes on.
func TestStuck(t *testing.T) {
	f := start(t, Config{}, nil)
	f.dial().exchange("hello", "hello")
	round := &f.listener.round
	until := func(begun bool) {
		for (round.begun.Load() != 0) != begun {
			time.Sleep(time.Millisecond)
		}
	}
	until(false)
	if err := f.Stuck(); err != nil {
		t.Errorf("while it waits: %v", err)
	}

	accepting := &f.metrics.mu // which each accept needs
	accepting.Lock()
	c := f.dial()
	until(true)
	if err := f.Stuck(); err != nil {
		t.Errorf("at once: %v", err)
	}
	round.begun.Add(-int64(maxRound + time.Second)) // as if it had begun so much sooner
	if err := f.Stuck(); err == nil || !strings.Contains(err.Error(), "listener devices has been at one connection for 6s") {
		t.Errorf("stuck: %v", err)
	}
	accepting.Unlock()
	c.exchange("hello", "hello")
	until(false)
	if err := f.Stuck(); err != nil {
		t.Errorf("when it goes on: %v", err)
	}
}
