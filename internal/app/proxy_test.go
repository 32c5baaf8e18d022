package app

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/wire"
)

// startBehind starts a gateway that takes 127.0.0.1 for a balancer, and 127.0.0.2
// for anybody.
func startBehind(t testing.TB, change func(*config.Config)) *running {
	t.Helper()
	r := start(t, func(c *config.Config) {
		trustLoopback(c)
		withAdmin(c)
		if change != nil {
			change(c)
		}
	})
	r.waitReady()
	return r
}

func trustLoopback(c *config.Config) {
	for i := range c.Listen {
		c.Listen[i].ProxyProtocol = &config.ProxyProtocol{Trusted: []string{"192.0.2.0/24", "127.0.0.1/32"}}
	}
}

// proxyHeader is what a balancer sends for client.
func proxyHeader(t testing.TB, version byte, client string) string {
	t.Helper()
	from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client))
	to := &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 8886}
	if from.IP.To4() == nil {
		to.IP = net.ParseIP("2001:db8::1")
	}
	b, err := proxyproto.HeaderProxyFromAddrs(version, from, to).Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const localHeader = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

// from connects from an address of this machine.
func (r *running) from(address, listener string) net.Conn {
	r.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	nc, err := dialer.Dial("tcp", r.Addr(listener).String())
	if err != nil {
		r.t.Fatal(err)
	}
	return nc
}

// behind is a connection that a balancer made for a client: what the client sends
// first goes into one packet with the header, or with what is left of it behind cut.
type behind struct {
	net.Conn
	header string
	cut    int
}

func (b *behind) Write(p []byte) (int, error) {
	header := b.header
	b.header = ""
	if b.cut > 0 && header != "" {
		if _, err := io.WriteString(b.Conn, header[:b.cut]); err != nil {
			return 0, err
		}
		header = header[b.cut:]
	}
	n, err := b.Conn.Write(append([]byte(header), p...))
	return max(n-len(header), 0), err
}

// throughBalancer connects as a device whose balancer sends header.
func (r *running) throughBalancer(secure bool, header string, cut int) *device {
	r.t.Helper()
	if !secure {
		return r.device(&behind{r.from("127.0.0.1", "plain"), header, cut}, nil)
	}
	nc := tls.Client(&behind{r.from("127.0.0.1", "tls"), header, cut}, r.tlsConfig())
	return r.device(nc, nil)
}

// TestBehindABalancer: with a header of either version, for IPv4 and IPv6, in one
// packet with what comes behind it and cut at every byte, over TCP and TLS, a device
// is served as always. It is known by its own address, and leaves nothing behind.
func TestBehindABalancer(t *testing.T) {
	const v4, v6 = "192.0.2.7:50000", "[2001:db8::7]:50000"
	r := startBehind(t, nil)
	r.throughBalancer(false, proxyHeader(t, 1, v4), 0).converse(r) // a first one, before the count
	r.throughBalancer(true, proxyHeader(t, 2, v4), 0).converse(r)
	r.waitFor("empty", func() bool { return r.metric("linegate_connections_open") == 0 })
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	all := 2
	forBoth(t, func(t *testing.T, secure bool) {
		for _, version := range []byte{1, 2} {
			for _, client := range []string{v4, v6} {
				t.Run(fmt.Sprintf("version %d for %s", version, client), func(t *testing.T) {
					r := *r
					r.t = t
					header := proxyHeader(t, version, client)
					for cut := range header {
						d := r.throughBalancer(secure, header, cut)
						mark := r.log.Len()
						d.converse(&r)
						if cut == 0 {
							r.waitLog(mark, `"msg":"session opened"`, `"remote":"`+client+`"`)
						}
					}
					all += len(header)

					d := r.throughBalancer(secure, header, 0)
					d.say("AUTH " + r.issuer.Token(authtest.Sub("listed")))
					d.expect("OK AUTH v=1 ")
					_, text := r.admin("GET", "/v1/sessions?subject=listed", "")
					var list struct{ Items []struct{ Remote string } }
					if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Items) != 1 || list.Items[0].Remote != client {
						t.Errorf("admin API: %v %s", err, text)
					}
					d.Close()
					all++

					mark := r.log.Len()
					d = r.throughBalancer(secure, header, 0)
					d.say("AUTH " + r.issuer.Token(authtest.ForgedBy(forger)))
					d.expect("BYE invalid_token ")
					d.expectEnd()
					d.Close()
					all++
					r.waitLog(mark, `"msg":"login refused"`, `"remote":"`+client+`"`)
					r.waitFor("gone", func() bool { return r.metric("linegate_connections_open") == 0 })
				})
			}
		}
	})
	if n := r.metric("linegate_connections_closed_total", `reason="client_closed"`) + r.metric("linegate_connections_closed_total", `reason="invalid_token"`); n != float64(all) {
		t.Errorf("%v connections ended as they should, want %d", n, all)
	}
	r.waitFor("back to as many goroutines and files as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
	})
}

// waitLog waits for a record, behind mark, with all of texts.
func (r *running) waitLog(mark int, texts ...string) {
	r.t.Helper()
	r.waitFor(fmt.Sprintf("logged: %v", texts), func() bool {
	lines:
		for line := range strings.Lines(r.log.Since(mark)) {
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue lines
				}
			}
			return true
		}
		return false
	})
}

// converse logs in, says something, and leaves.
func (d *device) converse(r *running) {
	d.t.Helper()
	d.say("AUTH " + r.issuer.Token() + "\nping")
	d.expect("OK AUTH v=1 ")
	d.expect("pong\n")
	d.say("hello")
	d.expect("from server: hello\n")
	d.Close()
}

// TestHeaderFromAnybody is a bad first line, and nothing reads it: not its address,
// and not that it is a health check. Who sends none is served.
func TestHeaderFromAnybody(t *testing.T) {
	r := startBehind(t, nil)
	headers := []string{proxyHeader(t, 1, "192.0.2.7:50000"), proxyHeader(t, 2, "192.0.2.7:50000"), localHeader, "PROXY UNKNOWN\r\n"}
	mark := r.log.Len()
	for _, header := range headers {
		d := r.device(r.from("127.0.0.2", "plain"), nil)
		io.WriteString(d, header+"AUTH "+r.issuer.Token()+"\n")
		d.expect("BYE invalid_request action=fix ")
		d.expectEnd()

		nc := r.from("127.0.0.2", "tls")
		defer nc.Close()
		io.WriteString(nc, header)
		io.Copy(io.Discard, nc) // an alert, perhaps
	}
	r.waitFor("gone", func() bool { return r.metric("linegate_connections_open") == 0 })
	for reason, want := range map[wire.Code]int{
		wire.InvalidRequest: len(headers), wire.TLSFailed: len(headers), wire.ProxyHeader: 0, wire.HealthCheck: 0,
	} {
		if n := r.metric("linegate_connections_closed_total", `reason="`+reason.String()+`"`); n != float64(want) {
			t.Errorf("%v closed for %s, want %d", n, reason, want)
		}
	}
	if log := r.log.Since(mark); strings.Contains(log, "192.0.2.7") {
		t.Errorf("believed: %s", log)
	}
	for _, listener := range []string{"plain", "tls"} {
		nc := r.from("127.0.0.2", listener)
		mark := r.log.Len()
		if listener == "tls" {
			nc = tls.Client(nc, r.tlsConfig())
		}
		r.device(nc, nil).converse(r)
		r.waitLog(mark, `"msg":"session opened"`, `"remote":"127.0.0.2:`)
	}
}

// TestSecondHeader: a balancer speaks once. What its client sends in front is the
// client's, and counts for nothing.
func TestSecondHeader(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		r := startBehind(t, nil)
		claimed := []string{proxyHeader(t, 1, "203.0.113.9:1"), proxyHeader(t, 2, "203.0.113.9:1"), localHeader}
		reason := wire.InvalidRequest
		if secure {
			reason = wire.TLSFailed
		}
		for _, version := range []byte{1, 2} {
			for _, second := range claimed {
				nc := r.device(r.from("127.0.0.1", map[bool]string{false: "plain", true: "tls"}[secure]), nil)
				io.WriteString(nc, proxyHeader(t, version, "192.0.2.7:50000")+second+"AUTH "+r.issuer.Token()+"\n")
				if !secure {
					nc.expect("BYE invalid_request action=fix ")
				}
				io.Copy(io.Discard, nc)
			}
		}
		if secure { // and inside of TLS
			for _, second := range claimed {
				d := r.throughBalancer(true, proxyHeader(t, 2, "192.0.2.7:50000"), 0)
				io.WriteString(d, second)
				d.expect("BYE invalid_request action=fix ")
				d.expectEnd()
			}
		}
		r.waitFor("gone", func() bool { return r.metric("linegate_connections_open") == 0 })
		if n := r.metric("linegate_connections_closed_total", `reason="`+reason.String()+`"`); n != float64(2*len(claimed)) {
			t.Errorf("%v closed for %s", n, reason)
		}
		if log := r.log.String(); strings.Contains(log, "203.0.113.9") {
			t.Errorf("believed: %s", log)
		}
	})
}

// TestHealthChecks of a balancer are counted and nothing else: no record, no failed
// login, no stranger's end. A flood of bad headers leaves a record a second.
func TestHealthChecks(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		const checks, floods = 20, 200
		r := startBehind(t, nil)
		listener := map[bool]string{false: "plain", true: "tls"}[secure]
		mark := r.log.Len()
		for range checks {
			nc := r.from("127.0.0.1", listener)
			io.WriteString(nc, localHeader)
			if rest, err := io.ReadAll(nc); err != nil || len(rest) > 0 {
				t.Errorf("told %q, %v", rest, err)
			}
			nc.Close()
		}
		r.waitFor("counted", func() bool { return r.metric("linegate_connections_closed_total", `reason="health_check"`) == checks })
		if n := r.metric("linegate_connections_closed_total"); n != checks {
			t.Errorf("%v closed in all", n)
		}
		if n := r.metric("linegate_auth_attempts_total"); n != 0 {
			t.Errorf("%v attempts to authenticate", n)
		}
		if log := r.log.Since(mark); log != "" {
			t.Errorf("logged: %s", log)
		}

		begun := time.Now()
		mark = r.log.Len()
		for range floods {
			nc := r.from("127.0.0.1", listener)
			io.WriteString(nc, "AUTH a.b.c\n")
			io.Copy(io.Discard, nc)
			nc.Close()
		}
		r.waitFor("counted", func() bool { return r.metric("linegate_connections_closed_total", `reason="proxy_header"`) == floods })
		records := 0
		for line := range strings.Lines(r.log.Since(mark)) {
			records++
			var record struct{ Level, Msg, Listener, Remote, Error string }
			if err := json.Unmarshal([]byte(line), &record); err != nil || record.Level != "WARN" || record.Msg != "PROXY header refused" ||
				record.Listener != listener || !strings.HasPrefix(record.Remote, "127.0.0.1:") || record.Error != "no PROXY header" {
				t.Errorf("%v: %s", err, line)
			}
		}
		if most := 2 + int(time.Since(begun)/time.Second); records == 0 || records > most {
			t.Errorf("%d records of %d bad headers, want at most %d", records, floods, most)
		}
	})
}

// TestBalancersNeedARestart to be others; a reload says so and changes nothing.
func TestBalancersNeedARestart(t *testing.T) {
	r := startBehind(t, nil)
	next := *r.cfg
	next.Listen = append([]config.Listener(nil), next.Listen...)
	next.Listen[0].ProxyProtocol = &config.ProxyProtocol{Trusted: []string{"127.0.0.2/32"}}
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.log.String(), `"msg":"a changed key needs a restart","key":"listen"`) {
		t.Errorf("not said: %s", r.log)
	}
	nc := r.from("127.0.0.1", "plain")
	io.WriteString(nc, proxyHeader(t, 1, "192.0.2.7:50000"))
	d := &device{Conn: nc, t: t, in: bufio.NewReader(nc)}
	d.converse(r)
}
