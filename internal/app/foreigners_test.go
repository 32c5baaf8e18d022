package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/wire"
)

// TestForeigners: real clients of other protocols, and those of this one at the wrong
// door, are sent away for a reason, and no token that comes in the clear to where TLS
// is spoken is looked at.
func TestForeigners(t *testing.T) {
	f := newFraming(t, func(c *config.Config) { c.Session.AuthTimeout = 5 * time.Second })
	said, nothing := strconv.Quote(bye)+", <nil>", `"", <nil>`
	const malformed = `malformed HTTP status code "invalid_request"` // a BYE
	for _, row := range []struct {
		name   string
		come   func(f *framing) (heard string)
		reason wire.Code
		hears  string
	}{
		{"a client of HTTP at the plain door", func(f *framing) string { return f.browse("http", "plain") }, wire.InvalidRequest, malformed},
		{"a client of HTTP at the TLS door", func(f *framing) string { return f.browse("http", "tls") }, wire.TLSFailed, "EOF"},
		{"a client of HTTPS", func(f *framing) string { return f.browse("https", "tls") }, wire.InvalidRequest, malformed},
		{"SSH at the plain door", func(f *framing) string { return f.banner("plain", "SSH-2.0-OpenSSH_9.9\r\n") }, wire.InvalidRequest, said},
		{"SSH at the TLS door", func(f *framing) string { return f.banner("tls", "SSH-2.0-OpenSSH_9.9\r\n") }, wire.TLSFailed, nothing},
		{"a device in the clear at the TLS door", func(f *framing) string {
			return f.banner("tls", "AUTH "+f.good+"\nping\n")
		}, wire.TLSFailed, nothing},
		{"half a line in the clear at the TLS door", func(f *framing) string { return f.banner("tls", "AUTH") }, wire.TLSFailed, nothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.beside(t, func() {
				f := f.in(t)
				before, attempts := f.closed(), f.metric("linegate_auth_attempts_total")
				const each = 10
				for range each {
					if heard := row.come(f); !strings.Contains(heard, row.hears) {
						t.Errorf("heard %s; want %s", heard, row.hears)
					}
				}
				f.expectClosed(before, row.reason, each)
				if more := f.metric("linegate_auth_attempts_total") - attempts; more != 0 {
					t.Errorf("%v tokens were looked at", more)
				}
			})
		})
	}
}

// TestTLSAtThePlainDoor: a hello is a line that is no AUTH as soon as an LF stands in
// it, and one that never ends until then.
func TestTLSAtThePlainDoor(t *testing.T) {
	f := newFraming(t, func(c *config.Config) {
		c.Session.AuthTimeout, c.Session.MaxLine = 2*time.Second, 16<<10
	})
	f.beside(t, func() {
		for range 5 {
			before := f.closed()
			nc, err := net.Dial("tcp", f.Addr("plain").String())
			if err != nil {
				t.Fatal(err)
			}
			said := &recording{Conn: nc}
			_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
			if err := tls.Client(said, f.tlsConfig()).Handshake(); !errors.As(err, new(tls.RecordHeaderError)) {
				t.Errorf("the client ended with %v", err)
			}
			nc.Close()
			reason := wire.AuthTimeout
			if bytes.Contains(said.written.Bytes(), []byte("\n")) {
				reason = wire.InvalidRequest
			}
			f.expectClosed(before, reason, 1)
		}
	})
}

// recording keeps what is written to it.
type recording struct {
	net.Conn
	written bytes.Buffer
}

func (r *recording) Write(b []byte) (int, error) {
	r.written.Write(b)
	return r.Conn.Write(b)
}

// browse has a client of HTTP ask, and returns its error.
func (f *framing) browse(scheme, listener string) (heard string) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: f.tlsConfig(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+f.Addr(listener).String()+"/", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+f.good)
	response, err := transport.RoundTrip(request)
	if err == nil {
		response.Body.Close()
		return response.Status
	}
	return err.Error()
}

// banner says text in the clear, and returns what comes and how that ends.
func (f *framing) banner(listener, text string) (heard string) {
	nc, err := net.Dial("tcp", f.Addr(listener).String())
	if err != nil {
		f.t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	say(nc, text)
	if len(text) < 5 { // not even the head of a record
		_ = nc.(*net.TCPConn).CloseWrite()
	}
	all, err := io.ReadAll(nc)
	return fmt.Sprintf("%q, %v", all, err)
}
