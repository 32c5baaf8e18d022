package app

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/config"
)

// TestMemoryOfSilentSessions: whatever a session has done, it holds little once it
// is silent. What it holds is what the process's heap and stacks have grown by for
// each of many; the clients hold their sockets and nothing else.
func TestMemoryOfSilentSessions(t *testing.T) {
	// Bytes a session at most, the race detector's share included. Sessions that
	// wait inside of TLS, or keep the goroutine of their login, do not do it.
	const plain, secure = 8000, 14_500
	const identity = 1500 // of its own, and what remembers its token
	long := strings.Repeat("x", 8000)
	for _, tt := range []struct {
		name          string
		plain, secure int
		did           func(d *device, push func(string), token func() string)
	}{
		{"login", plain, secure, func(*device, func(string), func() string) {}},
		{"this and that", plain, secure, func(d *device, push func(string), _ func() string) {
			for _, piece := range []string{"h", "ell", "o\n"} {
				io.WriteString(d, piece)
			}
			d.expect("from server: hello")
			push(long)
			d.expect("from server: xxx")
			d.say("AUTH not.a.token")
			d.expect("ERR invalid_token")
			d.say("ping")
			d.expect("pong")
		}},
		{"a signature that was verified", plain + identity, secure + identity, func(d *device, _ func(string), token func() string) {
			d.say("AUTH " + token())
			d.expect("OK AUTH ")
		}},
		{"a long line in pieces, twice", plain, secure, func(d *device, _ func(string), _ func() string) {
			for range 2 {
				for at := range 8 {
					io.WriteString(d, long[at*1000:][:1000])
				}
				d.say("")
				d.expect("from server: xxx")
			}
		}},
		// crypto/tls keeps the room that the largest record needed.
		{"long lines", plain, secure + 5000, func(d *device, _ func(string), _ func() string) {
			d.say(long)
			d.expect("from server: xxx")
			io.WriteString(d, strings.Repeat("ping\n", 1000))
			for range 1000 {
				d.expect("pong")
			}
		}},
	} {
		t.Run(tt.name+"/plain", func(t *testing.T) { silentSessions(t, false, "", tt.plain, tt.did) })
		t.Run(tt.name+"/tls", func(t *testing.T) { silentSessions(t, true, "", tt.secure, tt.did) })
	}
	// Nothing of a PROXY header is kept but an address, and nothing stands between
	// the session and its socket.
	silent := func(*device, func(string), func() string) {}
	for version := range byte(2) {
		header := proxyHeader(t, version+1, "[2001:db8::7]:50000")
		t.Run(fmt.Sprintf("behind a balancer, version %d/plain", version+1), func(t *testing.T) { silentSessions(t, false, header, plain, silent) })
		t.Run(fmt.Sprintf("behind a balancer, version %d/tls", version+1), func(t *testing.T) { silentSessions(t, true, header, secure, silent) })
	}
}

func silentSessions(t *testing.T, secure bool, header string, most int, did func(d *device, push func(string), token func() string)) {
	r := startWith(t, func(c *config.Config) {
		c.Session.IdleTimeout = time.Hour
		if header != "" {
			trustLoopback(c)
		}
	}, func(o *Options) { o.Log = slog.New(slog.DiscardHandler) })
	r.waitReady()
	token := r.issuer.Token()
	open := func() net.Conn {
		nc, d := r.lean(secure, header)
		d.say("AUTH " + token)
		_, rest, _ := strings.Cut(d.expect("OK AUTH "), "session=")
		id, _, _ := strings.Cut(rest, " ")
		did(d, func(text string) {
			if err := r.sessions.Session(id).Push([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}, func() string { return r.issuer.Token() })
		return nc
	}
	var warm, held [200]net.Conn
	for i := range warm { // what the first make for all
		warm[i] = open()
		defer warm[i].Close()
	}
	before := settled()
	for i := range held {
		held[i] = open()
		defer held[i].Close()
	}
	least := 1 << 30
	defer func() { t.Logf("%d bytes a session", least) }()
	r.waitFor(fmt.Sprintf("below %d bytes a session", most), func() bool {
		least = min(least, (memory()-before)/len(held))
		return least < most
	})
}

// lean connects as a device that can be forgotten while its socket stays.
func (r *running) lean(secure bool, header string) (net.Conn, *device) {
	r.t.Helper()
	listener := map[bool]string{false: "plain", true: "tls"}[secure]
	nc, err := net.Dial("tcp", r.Addr(listener).String())
	if err != nil {
		r.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	d := &device{Conn: nc, t: r.t}
	if _, err := io.WriteString(nc, header); err != nil {
		r.t.Fatal(err)
	}
	if secure {
		d.Conn = tls.Client(nc, r.tlsConfig())
	}
	d.in = bufio.NewReader(d.Conn)
	return nc, d
}

// settled is memory when it does not fall any more.
func settled() int {
	least := memory()
	for since := time.Now(); time.Since(since) < 1500*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		if now := memory(); now < least-least/100 {
			least, since = now, time.Now()
		}
	}
	return least
}

// memory is what is in use of heap and stacks, in bytes.
func memory() int {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
