package gateway

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/wire"
)

const (
	lineHeader  = "PROXY TCP4 192.0.2.7 198.51.100.1 50000 8885\r\n"
	blockHeader = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\xc3\x50\x22\xb5"
	localHeader = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

var everybody = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// startBehind is start with a listener behind balancers.
func startBehind(t testing.TB, cfg Config, secure *TLS, trusted []netip.Prefix) *fixture {
	t.Helper()
	f := *start(t, cfg, nil)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.listener = &Listener{Listener: socket, Name: "balanced", TLS: secure, Proxy: trusted}
	go f.Serve(f.listener)
	return &f
}

// TestWhoIsTrusted: by the address of the TCP peer alone.
func TestWhoIsTrusted(t *testing.T) {
	l := &Listener{Proxy: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::/10"),
	}}
	tcp := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	for _, tt := range []struct {
		peer net.Addr
		want bool
	}{
		{tcp("192.0.2.0:1"), true},
		{tcp("192.0.2.255:1"), true},
		{tcp("192.0.3.0:1"), false},
		{tcp("198.51.100.7:1"), true},
		{tcp("198.51.100.8:1"), false},
		{tcp("[::ffff:192.0.2.9]:1"), true}, // a socket for both families says it so
		{tcp("[::ffff:192.0.3.9]:1"), false},
		{tcp("[2001:db8:ffff::1]:1"), true},
		{tcp("[2001:db9::1]:1"), false},
		{tcp("[fe80::1%eth0]:1"), true},
		{tcp("127.0.0.1:1"), false},
		{&net.UnixAddr{Name: "192.0.2.0:1", Net: "unix"}, false},
		{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 9)}, false},
		{new(net.TCPAddr), false},
		{nil, false},
	} {
		if got := l.trusts(peer{nil, tt.peer}); got != tt.want {
			t.Errorf("%v: %t", tt.peer, got)
		}
	}
	if new(Listener).trusts(peer{nil, tcp("192.0.2.0:1")}) {
		t.Error("a listener without balancers trusts one")
	}
}

// TestTheClientsAddress is what a connection has, with all else that its socket can.
func TestTheClientsAddress(t *testing.T) {
	f := startBehind(t, Config{Handler: func(nc net.Conn, stranger Stranger) Conn {
		_, err := nc.(syscall.Conn).SyscallConn()
		fmt.Fprintln(nc, nc.RemoteAddr(), err)
		nc.(interface{ CloseWrite() error }).CloseWrite()
		return serveLines(nc, stranger)
	}}, nil, everybody)
	for header, want := range map[string]string{
		lineHeader:  "192.0.2.7:50000",
		blockHeader: "192.0.2.7:50000",
		"PROXY TCP6 2001:db8::7 2001:db8::1 50000 8885\r\n": "[2001:db8::7]:50000",
		"PROXY UNKNOWN\r\n": "the balancer's own",
	} {
		c := f.dial()
		if want == "the balancer's own" {
			want = c.LocalAddr().String()
		}
		io.WriteString(c, header)
		c.expect(want + " <nil>\n")
		c.expectEnd()
	}
}

// TestHeaderTimeout is absolute, over header and TLS together: bytes that trickle
// in extend nothing.
func TestHeaderTimeout(t *testing.T) {
	secure := newTestTLS(t)
	long := "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n"
	hello := "\x16\x03\x01\x00\xff" + strings.Repeat("\x01", 255)
	for _, tt := range []struct {
		name, sent string
		secure     *TLS
		want       wire.Code
	}{
		{"version 1", long, nil, wire.ProxyHeader},
		{"version 2", blockHeader[:14] + "\x10\x00" + strings.Repeat("x", 4096), nil, wire.ProxyHeader},
		{"before TLS", long, secure, wire.ProxyHeader},
		{"with TLS", "PROXY UNKNOWN\r\n" + hello, secure, wire.TLSFailed},
		{"nothing", "", nil, wire.ProxyHeader},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const timeout = 20 * time.Second
				g := startPiped(t, Config{Timeouts: Timeouts{Handshake: timeout}}, &Listener{TLS: tt.secure, Proxy: everybody})
				c := g.dial()
				begun := time.Now()
				var sender sync.WaitGroup
				sender.Go(func() { io.Copy(c, &trickle{text: tt.sent}) })
				c.expectEnd()
				if took := time.Since(begun); took != timeout {
					t.Errorf("cut off after %v", took)
				}
				sender.Wait()
				synctest.Wait()
				if n := g.closed(tt.want); n != 1 {
					t.Errorf("%d closed for %s", n, tt.want)
				}
			})
		})
	}
}

// TestBadHeaderIsTold in the log, with the balancer's address, and on the wire not
// at all; a peer that only looks in, or says that it does, is not logged.
func TestBadHeaderIsTold(t *testing.T) {
	f := startBehind(t, Config{}, nil, everybody)
	want := make(map[wire.Code]int64)
	var logged []string
	for _, tt := range []struct {
		name   string
		say    func(c *client)
		reason wire.Code
		log    string
	}{
		{"no header", func(c *client) { io.WriteString(c, "AUTH secret\n") }, wire.ProxyHeader, "no PROXY header"},
		{"a bad one", func(c *client) { io.WriteString(c, "PROXY TCP4 secret secret 1 1\r\n") }, wire.ProxyHeader, "malformed PROXY header: invalid address"},
		{"half a header", func(c *client) {
			io.WriteString(c, lineHeader[:20])
			c.Conn.(*net.TCPConn).CloseWrite()
		}, wire.ProxyHeader, "PROXY header is not complete: EOF"},
		{"looks in", func(c *client) { c.Conn.(*net.TCPConn).CloseWrite() }, wire.ClientClosed, ""},
		{"looks in and resets", func(c *client) {
			c.Conn.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, wire.ClientReset, ""},
		{"a health check", func(c *client) { io.WriteString(c, localHeader) }, wire.HealthCheck, ""},
	} {
		c := f.dial()
		tt.say(c)
		if rest, _ := io.ReadAll(c.in); len(rest) > 0 {
			t.Errorf("%s: told %q", tt.name, rest)
		}
		want[tt.reason]++
		if tt.log != "" {
			logged = append(logged, fmt.Sprintf(`level=WARN msg="PROXY header refused" listener=balanced remote=%s error=%q`, c.LocalAddr(), tt.log))
		}
	}
	f.drained()
	for reason, n := range want {
		if got := f.closed(reason); got != n {
			t.Errorf("%d closed for %s, want %d", got, reason, n)
		}
	}
	for _, line := range logged {
		if !strings.Contains(f.log.String(), line) {
			t.Errorf("not logged: %s", line)
		}
	}
	if n := strings.Count(f.log.String(), "\n"); n != len(logged) || strings.Contains(f.log.String(), "secret") {
		t.Errorf("%d records, want %d:\n%s", n, len(logged), f.log)
	}
}

// TestEndedBeforeTheHeader: who has to give way, or is there when the gateway
// drains, is not waited for, and told so where that is possible.
func TestEndedBeforeTheHeader(t *testing.T) {
	for _, secure := range []*TLS{nil, newTestTLS(t)} {
		t.Run(fmt.Sprintf("tls=%t", secure != nil), func(t *testing.T) {
			f := startBehind(t, Config{
				Limits:   Limits{Connections: 10, Unauthenticated: 1},
				Timeouts: Timeouts{Handshake: time.Hour},
			}, secure, everybody)
			end := func(c *client, bye string) {
				if secure == nil {
					c.expect(bye)
				}
				if rest, _ := io.ReadAll(c.in); len(rest) > 0 {
					t.Errorf("told %q", rest)
				}
			}
			first := f.dial()
			io.WriteString(first, lineHeader[:20])
			second := f.dial()
			end(first, "BYE temporarily_unavailable ")
			down := make(chan error, 1)
			go func() { down <- f.Shutdown(t.Context(), 0) }()
			end(second, "BYE draining ")
			if err := <-down; err != nil {
				t.Error(err)
			}
			if n := f.closed(wire.ProxyHeader); n != 0 {
				t.Errorf("%d bad headers", n)
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := startPiped(t, Config{Timeouts: Timeouts{Handshake: time.Hour}}, &Listener{Proxy: everybody})
			c := g.dial()
			io.WriteString(c, lineHeader[:20]) // until it is read
			g.Close()
			c.expectEnd()
			if n := g.closed(wire.ProxyHeader); n != 0 {
				t.Errorf("%d bad headers", n)
			}
		})
	})
}
