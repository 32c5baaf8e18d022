package gateway

import (
	"io"
	"strings"
	"testing"

	"github.com/linegate/linegate/wire"
)

// TestPanic ends one connection alone, and what it says is not logged.
func TestPanic(t *testing.T) {
	f := start(t, Config{}, nil)
	other := f.dial()
	other.exchange("in", "welcome")
	c := f.dial()
	io.WriteString(c, "panic\n")
	c.expectEnd()
	other.exchange("hello", "hello")
	f.drained()
	if f.closed(wire.Panic) != 1 || f.metrics.panics.Load() != 1 {
		t.Errorf("closed %d, panics %d", f.closed(wire.Panic), f.metrics.panics.Load())
	}
	if log := f.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, "harness_test.go") {
		t.Errorf("the log: %s", log)
	}
}
