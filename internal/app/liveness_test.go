package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/systemd"
)

// TestStuck: while something that everybody needs gives no answer, /healthz says
// so and the watchdog gets no sign of life; both go on when that does.
func TestStuck(t *testing.T) {
	const dog = 400 * time.Millisecond
	t.Setenv("WATCHDOG_USEC", "400000")
	manager := newManager(t)
	r := startWith(t, nil, manager.manage)
	// sign tells whether a sign of life comes within d.
	sign := func(d time.Duration) bool {
		t.Helper()
		for deadline := time.Now().Add(d); ; {
			message, err := manager.read(deadline)
			if err != nil {
				return false
			}
			if strings.HasPrefix(message, systemd.Alive+"\n") {
				return true
			}
		}
	}
	if !sign(20 * time.Second) {
		t.Fatal("no sign of life")
	}
	if status, body := r.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}

	stuck := make(chan struct{})
	r.liveness.mu.Lock() // no look is begun meanwhile
	for r.liveness.look != nil {
		r.liveness.mu.Unlock()
		time.Sleep(time.Millisecond)
		r.liveness.mu.Lock()
	}
	r.liveness.parts = append(r.liveness.parts, part{"the test", func() error { <-stuck; return nil }})
	r.liveness.mu.Unlock()
	r.waitFor("logged as stuck", func() bool { return strings.Contains(r.log.String(), "stuck: the watchdog gets no sign of life") })
	for sign(time.Millisecond) { // what was sent before
	}
	if sign(3 * dog) {
		t.Error("a sign of life while stuck")
	}
	for range 3 { // however often it is asked
		if status, body := r.get("/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"the test: no answer"`) {
			t.Errorf("/healthz: %d %s", status, body)
		}
	}
	close(stuck)
	if !sign(20 * time.Second) {
		t.Error("no sign of life after that")
	}
	r.waitFor("healthy", func() bool { status, _ := r.get("/healthz"); return status == http.StatusOK })
}

// TestNotStuckUnderTheDrain: who drains is alive to its end.
func TestNotStuckUnderTheDrain(t *testing.T) {
	r := start(t, nil)
	r.waitReady()
	r.gateway.Close()
	if err := r.liveness.check(t.Context()); err != nil {
		t.Error(err)
	}
}
