//go:build linux && !race

package app

import "testing"

// TestMemoryOfPings: a session that only pings now and then, as most do, holds no
// more for it: its goroutine keeps the 2 KiB of stack that it began with. (The race
// detector takes more.)
func TestMemoryOfPings(t *testing.T) {
	silentSessions(t, false, "", 5200, func(d *device, _ func(string), _ func() string) {
		d.say("ping")
		d.expect("pong")
	})
}
