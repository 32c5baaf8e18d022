package app

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/wire"
)

// TestResets: a client may reset its connection at any step of its life. Each that
// does is counted for that, nobody else notices, and nothing is left. Of a
// reset the system tells once: where a write meets it, it may count as the client's
// end.
func TestResets(t *testing.T) {
	const each = 20
	inHandshake := func(say func(f *framing, nc net.Conn)) func(f *framing, secure bool) net.Conn {
		return func(f *framing, secure bool) net.Conn {
			nc := f.raw()
			say(f, nc)
			return nc
		}
	}
	inSession := func(say func(f *framing, nc net.Conn)) func(f *framing, secure bool) net.Conn {
		return func(f *framing, secure bool) net.Conn {
			nc := f.connect(secure, false)
			say(f, nc)
			return nc
		}
	}
	f := newFraming(t, nil)
	var fresh string // a token whose key the gateway has yet to fetch
	for _, over := range transports {
		t.Run(over.name, func(t *testing.T) {
			f.beside(t, func() {
				for _, row := range []struct {
					name   string
					begin  func(f *framing, secure bool) net.Conn
					reason wire.Code
					tls    bool // alone
				}{
					{"before the TLS hello", inHandshake(func(*framing, net.Conn) {}), wire.TLSFailed, true},
					{"in the TLS hello", inHandshake(func(f *framing, nc net.Conn) { say(nc, f.hello()[:100]) }), wire.TLSFailed, true},
					{"behind the TLS hello, with the answer unread", inHandshake(func(f *framing, nc net.Conn) {
						say(nc, f.hello())
						_, _ = nc.Read(make([]byte, 1))
					}), wire.TLSFailed, true},
					{"before AUTH", inSession(func(*framing, net.Conn) {}), wire.ClientReset, false},
					{"in AUTH", inSession(func(f *framing, nc net.Conn) { say(nc, "AUTH "+f.good) }), wire.ClientReset, false},
					{"while its token is checked", inSession(func(_ *framing, nc net.Conn) { say(nc, "AUTH "+fresh+"\nping\n") }), wire.ClientReset, false},
					{"behind OK", inSession(func(f *framing, nc net.Conn) {
						say(nc, "AUTH "+f.good+"\n")
						await(nc, "OK AUTH ")
					}), wire.ClientReset, false},
					{"in a line", inSession(func(f *framing, nc net.Conn) {
						say(nc, "AUTH "+f.good+"\npi")
						await(nc, "OK AUTH ")
					}), wire.ClientReset, false},
					{"with replies unread", inSession(func(f *framing, nc net.Conn) {
						say(nc, "AUTH "+f.good+"\n"+strings.Repeat("ping\n", 1000))
						await(nc, "pong\n")
					}), wire.ClientReset, false},
					{"with more unread than the gateway keeps", inSession(func(f *framing, nc net.Conn) {
						shrink(nc)
						go func() { // until it is reset
							for say(nc, "AUTH "+f.good+"\n"); ; {
								if _, err := io.WriteString(nc, strings.Repeat("ping\n", 1000)); err != nil {
									return
								}
							}
						}()
						f.waitFor("stalled", stalls(f))
					}), wire.ClientReset, false},
				} {
					if row.tls && !over.tls {
						continue
					}
					t.Run(row.name, func(t *testing.T) {
						f := f.in(t)
						before, n := f.closed(), each
						checking := row.name == "while its token is checked"
						if checking {
							f.issuer.Fail(authtest.Slow)
							f.issuer.Rotate()
							fresh = f.issuer.Token()
						}
						if strings.HasPrefix(row.name, "with more") {
							n = 1
						}
						auths := f.metric("linegate_lines_received_total", `kind="auth"`)
						var clients []net.Conn
						for range n {
							clients = append(clients, row.begin(f, over.tls))
						}
						if checking {
							f.waitFor("being checked", func() bool {
								return f.metric("linegate_lines_received_total", `kind="auth"`) == auths+float64(n)
							})
							if now := f.closed(); now[wire.ClientReset] != before[wire.ClientReset] {
								t.Fatal("nothing was checked meanwhile")
							}
						}
						for _, nc := range clients {
							reset(nc)
						}
						if checking || strings.HasPrefix(row.name, "with ") { // it is written to
							f.expectGone(before, n)
						} else {
							f.expectClosed(before, row.reason, n)
						}
						if checking {
							f.issuer.Fail(authtest.Healthy)
						}
					})
				}
			})
		})
	}
}

// expectGone waits until n more connections ended, all of them by their clients.
func (f *framing) expectGone(before map[wire.Code]float64, n int) {
	f.t.Helper()
	f.waitFor("gone", func() bool {
		now := f.closed()
		return now[wire.ClientReset]+now[wire.ClientClosed]-before[wire.ClientReset]-before[wire.ClientClosed] == float64(n)
	})
}

// stalls tells when the gateway gets rid of nothing more.
func stalls(f *framing) func() bool {
	// A session beside is sent a pong in a millisecond at most, and there are two.
	const most = 2 * 1000 * len("pong\n") // bytes a second
	sent := func() float64 { return f.metric("linegate_bytes_sent_total") }
	last, at := sent(), time.Now()
	return func() bool {
		if time.Since(at) < 500*time.Millisecond {
			return false
		}
		before, since := last, at
		last, at = sent(), time.Now()
		return last-before <= float64(most)*at.Sub(since).Seconds()
	}
}

// shrink makes a client that reads nothing be waited for soon.
func shrink(nc net.Conn) {
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	_ = nc.(*net.TCPConn).SetReadBuffer(4096)
}
