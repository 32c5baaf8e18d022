package app

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/tlstest"
	"github.com/linegate/linegate/wire"
)

// TestTLSFloods: a client that has TLS work on and on, behind its handshake, ends its
// own connection alone; one that updates its keys between lines is served.
func TestTLSFloods(t *testing.T) {
	f := newFraming(t, func(c *config.Config) {
		c.Session.MaxLine, c.Session.WriteTimeout = 8<<10, time.Second
	})
	hello := "\x01\x00\x00\x00"
	for _, row := range []struct {
		name    string
		version uint16
		reason  wire.Code
		attack  func(c *tlstest.Client)
	}{
		{"TLS 1.2 is renegotiated", tls.VersionTLS12, wire.ClientReset, func(c *tlstest.Client) {
			_, _ = c.Write(c.Record(tlstest.Handshake, hello))
			hear(c)
		}},
		{"TLS 1.2 is renegotiated on and on", tls.VersionTLS12, wire.ClientReset, func(c *tlstest.Client) {
			onAndOn(c, func() []byte { return c.Record(tlstest.Handshake, hello) })
		}},
		{"TLS 1.3 is renegotiated", tls.VersionTLS13, wire.ClientReset, func(c *tlstest.Client) {
			_, _ = c.Write(c.Record(tlstest.Handshake, hello))
			hear(c)
		}},
		{"keys are updated on and on", tls.VersionTLS13, wire.ClientReset, func(c *tlstest.Client) {
			onAndOn(c, func() []byte { return c.KeyUpdate(false) })
		}},
		{"keys are updated on and on, and so are the gateway's", tls.VersionTLS13, wire.ClientReset, func(c *tlstest.Client) {
			go hear(c)
			onAndOn(c, func() []byte { return c.KeyUpdate(true) })
		}},
		{"empty records on and on", tls.VersionTLS13, wire.ClientReset, func(c *tlstest.Client) {
			onAndOn(c, func() []byte { return c.Record(tlstest.Data, "") })
		}},
		{"keys are updated between lines", tls.VersionTLS13, wire.ClientClosed, func(c *tlstest.Client) {
			for i := range 1000 {
				var packet []byte
				for range 10 {
					packet = append(packet, c.KeyUpdate(i%2 == 0)...)
				}
				_, _ = c.Write(append(packet, c.Record(tlstest.Data, "ping\n")...))
				if line, err := c.ReadString('\n'); line != "pong\n" {
					t.Errorf("ping %d: %q, %v", i, line, err)
					return
				}
			}
			_, _ = c.Write(c.Record(tlstest.Alert, "\x01\x00"))
		}},
		{"keys are updated, and the answers are not read", tls.VersionTLS13, wire.SlowConsumer, func(c *tlstest.Client) {
			shrink(c.Conn)
			onAndOn(c, func() []byte {
				var packet []byte
				for range 10 {
					packet = append(packet, c.KeyUpdate(true)...)
				}
				return append(packet, c.Record(tlstest.Data, "\n")...)
			})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.beside(t, func() {
				f := f.in(t)
				before := f.closed()
				c := f.records(row.version)
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				c.Say("AUTH " + f.good + "\n")
				if line, err := c.ReadString('\n'); err != nil {
					t.Fatalf("%q, %v", line, err)
				}
				row.attack(c)
				f.expectClosed(before, row.reason, 1)
				c.Close()
			})
		})
	}
}

// onAndOn sends until the connection is closed.
func onAndOn(c *tlstest.Client, next func() []byte) {
	for {
		if _, err := c.Write(next()); err != nil {
			return
		}
	}
}
