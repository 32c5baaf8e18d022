package app

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// TestMemoryOfThoseWhoWent: of devices that came with tokens of their own, which
// were verified, that said long lines and went, nothing is left but the memory of
// their tokens.
func TestMemoryOfThoseWhoWent(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		// Bytes a device at most. A buffer, a stack, a TLS connection or a token would
		// not fit; a remembered Identity does.
		const most, devices = 1500, 400
		r := startWith(t, nil, func(o *Options) { o.Log = slog.New(slog.DiscardHandler) })
		r.waitReady()
		comeAndGo := func() {
			for range devices {
				nc, d := r.lean(secure, "")
				d.say("AUTH " + r.issuer.Token())
				d.expect("OK AUTH ")
				d.say(strings.Repeat("x", 8000))
				d.expect("from server: xxx")
				d.say("AUTH " + r.issuer.Token())
				d.expect("OK AUTH ")
				d.Close()
				_, _ = io.Copy(io.Discard, nc)
				nc.Close()
			}
			r.waitFor("all gone", func() bool { return r.metric("linegate_connections_open") == 0 })
		}
		comeAndGo() // what the first make for all
		before := settled()
		comeAndGo()
		least := 1 << 30
		defer func() { t.Logf("%d bytes a device", least) }()
		r.waitFor(fmt.Sprintf("below %d bytes a device", most), func() bool {
			least = min(least, (memory()-before)/devices)
			return least < most
		})
	})
}
