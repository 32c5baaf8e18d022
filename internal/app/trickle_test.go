package app

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/tlstest"
	"github.com/linegate/linegate/wire"
)

// trickleTimeout is each time-out of TestTrickle, which sends a byte in a twentieth
// of it, for ten times as long.
const trickleTimeout = 2 * time.Second

// TestTrickle: a client that sends a byte now and then, of whatever it owes, has the
// time-out of that and no more: bytes that trickle in extend nothing.
func TestTrickle(t *testing.T) {
	forever := strings.Repeat("x", 1000)
	f := newFraming(t, func(c *config.Config) {
		c.Session.HandshakeTimeout, c.Session.AuthTimeout, c.Session.IdleTimeout = trickleTimeout, trickleTimeout, trickleTimeout
		c.Session.MaxLine = config.Size(len(forever))
	})
	rows := []struct {
		name   string
		tls    bool
		reason wire.Code
		hears  string
		begin  func(f *framing) (nc net.Conn, then string) // which it trickles
	}{
		{"an AUTH over TCP", false, wire.AuthTimeout, "BYE auth_timeout ", func(f *framing) (net.Conn, string) {
			return f.connect(false, false), "AUTH " + f.good
		}},
		{"an AUTH over TLS", true, wire.AuthTimeout, "BYE auth_timeout ", func(f *framing) (net.Conn, string) {
			return f.connect(true, false), "AUTH " + f.good
		}},
		{"a record with an AUTH", true, wire.AuthTimeout, "BYE auth_timeout ", func(f *framing) (net.Conn, string) {
			c := f.records(tls.VersionTLS13)
			return c, string(c.Record(tlstest.Data, "AUTH "+f.good+"\n"))
		}},
		{"a TLS hello", true, wire.TLSFailed, "", func(f *framing) (net.Conn, string) {
			return f.raw(), f.hello()
		}},
		{"what follows the hello", true, wire.TLSFailed, "", func(f *framing) (net.Conn, string) {
			nc := f.raw()
			say(nc, f.hello())
			return nc, "\x17\x03\x03\x40\x00" + forever
		}},
		{"a line over TCP", false, wire.IdleTimeout, "BYE idle_timeout ", func(f *framing) (net.Conn, string) {
			nc := f.connect(false, false)
			say(nc, "AUTH "+f.good+"\n")
			return nc, forever
		}},
		{"a line over TLS", true, wire.IdleTimeout, "BYE idle_timeout ", func(f *framing) (net.Conn, string) {
			nc := f.connect(true, false)
			say(nc, "AUTH "+f.good+"\n")
			return nc, forever
		}},
		{"a renewal", false, wire.IdleTimeout, "BYE idle_timeout ", func(f *framing) (net.Conn, string) {
			nc := f.connect(false, false)
			say(nc, "AUTH "+f.good+"\n")
			return nc, "AUTH " + f.good
		}},
		{"a record with a line", true, wire.IdleTimeout, "BYE idle_timeout ", func(f *framing) (net.Conn, string) {
			c := f.records(tls.VersionTLS13)
			c.Say("AUTH " + f.good + "\n")
			return c, string(c.Record(tlstest.Data, forever))
		}},
	}
	f.beside(t, func() {
		before := f.closed()
		t.Run("trickles", func(t *testing.T) {
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					t.Parallel()
					f := f.in(t)
					begun := time.Now()
					nc, text := row.begin(f)
					defer nc.Close()
					_ = nc.SetDeadline(begun.Add(10 * trickleTimeout))
					heard := make(chan string, 1)
					go func() { heard <- hear(nc) }()
					said, took := f.trickle(nc, text, heard, begun)
					if row.hears != "" && !strings.Contains(said, row.hears) || row.hears == "" && strings.Contains(said, "BYE") {
						t.Errorf("heard %q", said)
					}
					if took < trickleTimeout || took > 5*trickleTimeout {
						t.Errorf("ended after %v", took)
					}
				})
			}
		})
		f.waitFor("left alone", func() bool { return f.metric("linegate_connections_open") == 2 })
		now, want := f.closed(), map[wire.Code]float64{}
		for _, row := range rows {
			want[row.reason]++
		}
		for reason := range now {
			if more := now[reason] - before[reason]; more != want[reason] {
				t.Errorf("closed for %s: %v more, want %v", reason, more, want[reason])
			}
		}
	})
}

// trickle sends a byte at a time until all is heard, and tells when that was.
func (f *framing) trickle(nc net.Conn, text string, heard <-chan string, begun time.Time) (said string, took time.Duration) {
	f.t.Helper()
	tick := time.NewTicker(trickleTimeout / 20)
	defer tick.Stop()
	for {
		select {
		case said := <-heard:
			return said, time.Since(begun)
		case <-tick.C:
		}
		if text == "" {
			f.t.Fatal("all is said, and the connection stays")
		}
		_, _ = io.WriteString(nc, text[:1]) // that it is closed is heard
		text = text[1:]
	}
}

// hear returns all that a client is told, to the end.
func hear(nc net.Conn) string {
	if c, ok := nc.(*tlstest.Client); ok {
		var all strings.Builder
		for {
			line, err := c.ReadString('\n')
			if all.WriteString(line); err != nil {
				return all.String()
			}
		}
	}
	all, _ := io.ReadAll(nc)
	return string(all)
}

// records is a client of TLS that makes its records itself.
func (f *framing) records(version uint16) *tlstest.Client {
	f.t.Helper()
	return tlstest.New(f.t, f.raw(), version, f.tlsConfig())
}

// raw is a connection to where TLS is spoken.
func (f *framing) raw() net.Conn {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.Addr("tls").String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { nc.Close() })
	return nc
}

// hello is what a client of TLS says first.
func (f *framing) hello() string {
	near, far := net.Pipe()
	defer far.Close()
	go func() { _ = tls.Client(near, f.tlsConfig()).Handshake() }()
	record := make([]byte, 5)
	_, _ = io.ReadFull(far, record)
	rest := make([]byte, int(record[3])<<8|int(record[4]))
	_, _ = io.ReadFull(far, rest)
	return string(record) + string(rest)
}
