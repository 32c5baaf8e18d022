package load

import "testing"

// Whatever a server says, it is judged alike in one piece and in two, and never
// counts for more replies than were due.
func FuzzDeviceTakes(f *testing.F) {
	for _, said := range []string{
		"pong\npong\npong\n", "pong\nNOTICE draining retry_after=3\npong\npong\n", "po", "pong\nBYE idle_timeout action=retry :超时断开连接\n",
		"from server: xx7-1\n", "ERR internal_error for=message action=retry\n", "\n", okLine, "pong\npong\npong\npong\n",
	} {
		f.Add([]byte(said), 3, false)
		f.Add([]byte(said), 7, true)
	}
	f.Fuzz(func(t *testing.T, said []byte, cut int, echoes bool) {
		cut = min(max(cut, 0), len(said))
		whole, pieces := newDevice(t, Linegate, echoes), newDevice(t, Linegate, echoes)
		whole.take(1, said)
		if pieces.take(1, said[:cut]) != failed {
			pieces.take(2, said[cut:])
		}
		if whole.lost.kind != pieces.lost.kind || whole.tally.messages != pieces.tally.messages || whole.stage != pieces.stage || whole.waits() != pieces.waits() {
			t.Errorf("%q: %q and %d replies; cut at %d: %q and %d", said, whole.lost.kind, whole.tally.messages, cut, pieces.lost.kind, pieces.tally.messages)
		}
		if whole.tally.messages > 3 {
			t.Errorf("%q: %d replies to 3", said, whole.tally.messages)
		}
	})
}
