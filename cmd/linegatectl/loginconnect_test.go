package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
	"github.com/linegate/linegate/session"
)

// A session lives across the lives of its tokens: the login renews them, with
// nobody at the keyboard and no reconnect.
func TestConnectRenewsLogin(t *testing.T) {
	t.Parallel()
	issuer := observedIssuer(t, devissuer.Config{TokenLifetime: 8 * time.Second})
	address := gateway(t, verifier(t, issuer.url), session.Rules{}, nil)
	environ, _ := loggedIn(t, issuer)
	r := startWith(t, environ, "connect", "--issuer", issuer.url, address)
	r.tells("linegatectl: using the login of alice at " + issuer.url)
	r.shows("> AUTH <token>", "< OK AUTH v=1 sub=alice ")
	r.types("Hello World!")
	r.shows("> Hello World!", "< from server: Hello World!")
	for range 2 {
		r.shows("> AUTH <token>", "< OK AUTH v=1 sub=alice ")
	}
	if n := issuer.count("refresh_token"); n < 2 {
		t.Errorf("%d refreshes for 2 renewals", n)
	}
	r.stdin.Close()
	r.ends(exitOK)
	stdout, stderr := r.rest()
	if stderr != "" {
		t.Error(stderr)
	}
	issuer.wantNoSecret(t, stdout)
}

// A login that the issuer has ended: one line says what to do.
func TestConnectLoginEnded(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	environ, store := loggedIn(t, issuer)
	stored, err := store.find(issuer.url, loginClient)
	if err != nil {
		t.Fatal(err)
	}
	oauth, err := discover(t.Context(), nil, issuer.url, loginClient)
	if err == nil {
		_, err = oauth.refresh(t.Context(), *stored) // a thief was faster
	}
	if err != nil {
		t.Fatal(err)
	}
	expire(t, store, time.Now())
	got := runWith(t, environ, "", "connect", "--issuer", issuer.url, "127.0.0.1:1")
	want := "linegatectl: using the login of alice at ISSUER\n" +
		"linegatectl: no token: the issuer ended the login: the token endpoint answered HTTP 400 invalid_grant: " +
		"the refresh token was used before; all that came from it has ended; log in again: linegatectl login --issuer ISSUER\n"
	if want = strings.ReplaceAll(want, "ISSUER", issuer.url); got.status != exitFailure || got.stderr != want {
		t.Errorf("got  %s\nwant %s", got.stderr, want)
	}
	issuer.wantNoSecret(t, got.stderr)
}

// A renewal that is refused does not end the session; the one after the next
// login works, on the same connection.
func TestConnectLogsInAgain(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	environ, _ := loggedIn(t, issuer)
	var connections atomic.Int32
	address := listen(t, nil, func(nc net.Conn) {
		connections.Add(1)
		answers := []string{okLine + "\nNOTICE reauth expires_in=30\n", okLine + "\n"}
		for lines := bufio.NewScanner(nc); lines.Scan(); {
			if len(answers) > 0 {
				_, _ = io.WriteString(nc, answers[0])
				answers = answers[1:]
			}
		}
	})
	issuer.fail("/token", answerWith(400, `{"error":"invalid_grant"}`))
	r := startWith(t, environ, "connect", "--issuer", issuer.url, address)
	r.shows("> AUTH <token>", "< OK AUTH", "< NOTICE reauth")
	r.tells("linegatectl: using the login of alice", "linegatectl: no token: the issuer ended the login: the token endpoint answered HTTP 400 invalid_grant; log in again: linegatectl login --issuer "+issuer.url+"; renewing the token again in ")
	issuer.fail("/token", nil)
	again := startWith(t, environ, "login", "--no-browser", "--issuer", issuer.url)
	if _, err := decide(http.DefaultTransport, again.address(), "alice", "allow"); err != nil {
		t.Fatal(err)
	}
	again.ends(exitOK)
	r.shows("> AUTH <token>", "< OK AUTH")
	r.cancel()
	r.ends(exitOK)
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// When a stored login is used, and when the robot's own credentials are.
func TestWhoseToken(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	environ, _ := loggedIn(t, issuer)
	secretFile := write(t, "secret", "dev-secret\n")
	for args, want := range map[string]string{
		"":                                     "alice",
		"--client-id linegatectl":              "alice",
		"--client-id dev-device":               "dev-device",
		"--client-credentials":                 "dev-device",
		"--client-auth post":                   "dev-device",
		"--scope line:connect":                 "dev-device",
		"--audience linegate":                  "dev-device",
		"--client-secret-file " + secretFile:   "dev-device",
		"--token-url " + issuer.url + "/token": "dev-device",
		"--token-store " + filepath.Join(t.TempDir(), "nobody", "tokens.json"): "dev-device",
	} {
		got := runWith(t, environ, "", append(strings.Fields("token "+args), "--issuer", issuer.url)...)
		if sub := subjectOf(t, got.stdout); sub != want {
			t.Errorf("%s: token of %s, want %s: %s", args, sub, want, got.stderr)
		}
	}
	got := runWith(t, append(environ, secretVariable+"=dev-secret"), "", "token", "--issuer", issuer.url)
	if sub := subjectOf(t, got.stdout); sub != "dev-device" {
		t.Errorf("secret in the environment: token of %s", sub)
	}

	// A robot needs no home.
	t.Setenv("HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	var stdout bytes.Buffer
	Run(t.Context(), []string{"token", "--issuer", issuer.url}, nil, strings.NewReader(""), &stdout, io.Discard)
	if sub := subjectOf(t, stdout.String()); sub != "dev-device" {
		t.Errorf("no home: token of %s", sub)
	}
}
