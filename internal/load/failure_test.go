package load

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/certtest"
)

// What is wrong is named, whoever is wrong.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		answer string // to a ping in the session
		mode   Mode
		kind   string
	}{
		"another pong":   {"pong!\n", Ping, wrongReply},
		"another text":   {"from server: xxx2\n", Echo, wrongReply},
		"one too many":   {"pong\npong\n", Ping, wrongReply},
		"a late OK":      {okLine, Ping, wrongReply},
		"ERR":            {"ERR backend_unavailable for=message action=retry\n", Ping, "err backend_unavailable"},
		"BYE":            {"BYE token_expired action=reauth :over\n", Ping, "bye token_expired"},
		"hung up":        {"", Ping, closed},
		"an endless one": {strings.Repeat("x", maxOdd+1), Ping, wrongReply},
	} {
		t.Run(name, func(t *testing.T) {
			address := script(t, func(_ int, line string) string {
				if strings.HasPrefix(line, "AUTH ") {
					return okLine
				}
				return test.answer
			})
			r, err := Run(t.Context(), Config{Mode: test.mode, Size: 4, Address: address, Connections: 2, Count: 50, Tokens: []string{"x"}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Failed != 2 || r.Errors[test.kind] != 2 {
				t.Errorf("%v", r.Errors)
			}
		})
	}
}

// Nobody there, nobody answering, and no TLS.
func TestNoServer(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		s := newSite(t, nil)
		for name, test := range map[string]struct {
			address string
			kind    string
		}{
			"nobody":    {nobody(t), unreachable},
			"silent":    {silent(t), timedOut},
			"the other": {s.app.Addr("plain").String(), handshake},
		} {
			t.Run(name, func(t *testing.T) {
				c := s.to(Config{Mode: Ping, Connections: 2, Count: 1}, secure)
				c.Address = test.address
				switch {
				case name == "silent":
					c.Timeout = 300 * time.Millisecond
				case name == "the other" && !secure:
					c.Address, test.kind = s.app.Addr("tls").String(), closed
				}
				r, err := Run(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if r.Failed != 2 || r.Errors[test.kind] != 2 {
					t.Errorf("%v", r.Errors)
				}
			})
		}
	})
}

// nobody is a port that nobody listens on.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

// silent is a port on which nothing is accepted.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// A kind that says little comes with the cause, and what a server has chosen of
// that steers no terminal.
func TestCauses(t *testing.T) {
	s := newSite(t, nil)
	c := s.to(Config{Mode: Ping, Connections: 2, Count: 1}, true)
	c.TLS.RootCAs = certtest.New(t).Roots()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if want := "2 of 2 connections failed: 2 tls (failed to verify certificate: x509: certificate signed by unknown authority"; !strings.HasPrefix(r.Failures(), want) {
		t.Errorf("%q, want %s...", r.Failures(), want)
	}
	hostile := failureOf(fmt.Errorf("for \x1b[2J%s", strings.Repeat("x", 1000)))
	if hostile.kind != otherError || strings.Contains(hostile.cause, "\x1b") || len(hostile.cause) > 250 {
		t.Errorf("%+v", hostile)
	}
}
