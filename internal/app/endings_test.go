package app

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/wire"
)

// ending is a way for a connection to end, as a client brings it about: what
// it does at once, and what it then waits for.
type ending struct {
	name   string
	reason wire.Code
	run    func(r *running, nc net.Conn)
	wait   func(nc net.Conn)
}

var endings = []ending{
	{"closes after a conversation", wire.ClientClosed, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token()+"\nping\n")
		await(nc, "pong\n")
	}, nil},
	{"closes at once", wire.ClientClosed, func(*running, net.Conn) {}, nil},
	{"half-closes behind its first line", wire.ClientClosed, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token()+"\nping\n")
		nc.(interface{ CloseWrite() error }).CloseWrite()
		await(nc, "pong\n")
	}, nil},
	{"resets", wire.ClientReset, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token()+"\n")
		await(nc, "OK AUTH ")
		reset(nc)
	}, nil},
	{"speaks HTTP", wire.InvalidRequest, func(_ *running, nc net.Conn) {
		say(nc, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		await(nc, "BYE invalid_request ")
	}, nil},
	{"has a forged token", wire.InvalidToken, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token(authtest.ForgedBy(forger))+"\n")
		await(nc, "BYE invalid_token ")
	}, nil},
	{"lacks a scope", wire.InsufficientScope, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token(authtest.Claim("scope", "other"))+"\n")
		await(nc, "BYE insufficient_scope ")
	}, nil},
	{"sends a line without end", wire.LineTooLong, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token()+"\n"+strings.Repeat("x", 9000))
		await(nc, "BYE line_too_long ")
	}, nil},
	{"never authenticates", wire.AuthTimeout, func(_ *running, nc net.Conn) {
		say(nc, "AUTH ey")
	}, func(nc net.Conn) { await(nc, "BYE auth_timeout ") }},
	{"falls silent", wire.IdleTimeout, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token()+"\n")
		await(nc, "OK AUTH ")
	}, func(nc net.Conn) { await(nc, "BYE idle_timeout ") }},
	{"does not renew", wire.TokenExpired, func(r *running, nc net.Conn) {
		say(nc, "AUTH "+r.issuer.Token(authtest.ExpiresIn(shortLife))+"\n")
		await(nc, "OK AUTH ")
	}, func(nc net.Conn) { await(nc, "BYE token_expired ") }},
	{"speaks no TLS where it should", wire.TLSFailed, func(_ *running, nc net.Conn) {
		raw := nc.(*tls.Conn).NetConn()
		say(raw, "AUTH what\n")
		io.Copy(io.Discard, raw)
	}, nil},
}

// Long enough for a slow machine not to end a client that has something else
// in mind; a session whose token expires ends before it is idle.
const (
	shortLife = 5 * time.Second
	patience  = 8 * time.Second
)

// TestEveryEnding: after 1,000 connections of every kind of ending, and 100 of
// each under TLS, nothing is left of them: no goroutine, no descriptor, and the
// metrics add up.
func TestEveryEnding(t *testing.T) {
	const plain, encrypted, atOnce = 1000, 100, 50 // handshakes are what the race detector is slowest at
	r := start(t, func(c *config.Config) {
		c.Session.IdleTimeout = patience
		c.Session.AuthTimeout = patience
	})
	r.waitReady()
	for _, secure := range []bool{false, true} {
		warmUp := r.login(secure)
		warmUp.Close()
	}
	r.waitFor("empty", func() bool { return r.metric("linegate_connections_open") == 0 })
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	all, wants := 2, map[wire.Code]int{wire.ClientClosed: 2}
	slots := make(chan struct{}, atOnce)
	var clients sync.WaitGroup
	send := func(e ending, secure bool) {
		all++
		wants[e.reason]++
		slots <- struct{}{}
		clients.Go(func() {
			nc := r.connect(secure, e.reason == wire.TLSFailed)
			defer nc.Close()
			e.run(r, nc)
			<-slots
			if e.wait != nil {
				e.wait(nc)
			}
		})
	}
	for _, waits := range []bool{true, false} { // meanwhile the others come and go
		for n := range plain {
			for _, e := range endings {
				if (e.wait != nil) != waits {
					continue
				}
				if e.reason != wire.TLSFailed {
					send(e, false)
				}
				if n < encrypted {
					send(e, true)
				}
			}
		}
	}
	clients.Wait()
	r.waitFor("empty", func() bool { return r.metric("linegate_connections_open") == 0 })

	_, metrics := r.get("/metrics")
	for _, name := range []string{"linegate_connections_accepted_total", "linegate_connections_closed_total"} {
		if got := metricOf(t, metrics, name); got != float64(all) {
			t.Errorf("%s: %v, want %d", name, got, all)
		}
	}
	for reason, want := range wants {
		if got := metricOf(t, metrics, "linegate_connections_closed_total", `reason="`+reason.String()+`"`); got != float64(want) {
			t.Errorf("closed for %s: %v, want %d", reason, got, want)
		}
	}
	r.waitFor("back to as many goroutines and files as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
	})
}

// connect dials without a deadline's mercy for the test: it must succeed.
func (r *running) connect(secure, plainText bool) net.Conn {
	if !secure {
		nc, err := net.Dial("tcp", r.Addr("plain").String())
		if err != nil {
			r.t.Error(err)
			runtime.Goexit()
		}
		return nc
	}
	raw, err := net.Dial("tcp", r.Addr("tls").String())
	if err != nil {
		r.t.Error(err)
		runtime.Goexit()
	}
	nc := tls.Client(raw, &tls.Config{RootCAs: r.certs.Roots(), ServerName: "localhost"})
	if plainText {
		return nc
	}
	if err := nc.Handshake(); err != nil {
		r.t.Error(err)
	}
	return nc
}

// say and await leave failures to the metrics, which count every connection.
func say(nc net.Conn, text string) { _, _ = io.WriteString(nc, text) }

// await reads until text has come.
func await(nc net.Conn, text string) {
	_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	var said []byte
	buf := make([]byte, 512)
	for !strings.Contains(string(said), text) {
		n, err := nc.Read(buf)
		said = append(said, buf[:n]...)
		if err != nil {
			return
		}
	}
}

// reset closes with a RST instead of a FIN.
func reset(nc net.Conn) {
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	_ = nc.(*net.TCPConn).SetLinger(0)
	nc.Close()
}

func openFiles(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
