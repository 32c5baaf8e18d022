package devissuer_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

const (
	metadataPath = "/.well-known/oauth-authorization-server"
	oidcPath     = "/.well-known/openid-configuration"
)

// TestOutage: what each endpoint answers while it fails, and that the others,
// and the control page, do not.
func TestOutage(t *testing.T) {
	server := start(t, devissuer.Config{})
	ask := func(path string) answer {
		if path == "/token" {
			return server.do("POST", path, "grant_type=client_credentials", form, basic("dev-device", "dev-secret"))
		}
		return server.do("GET", path, "")
	}
	for _, test := range []struct {
		mode   string
		status int
		body   map[string]string
	}{
		{"500", 500, map[string]string{metadataPath: "simulated outage", oidcPath: "simulated outage", "/jwks": "simulated outage", "/token": "simulated outage"}},
		{"garbage", 200, map[string]string{metadataPath: "<html>", oidcPath: "<html>", "/jwks": "<html>", "/token": "<html>"}},
		{"empty", 200, map[string]string{metadataPath: "{}", oidcPath: "{}", "/jwks": `{"keys":[]}`, "/token": "{}"}},
		{"none", 200, map[string]string{metadataPath: server.url, oidcPath: server.url, "/jwks": `"kid"`, "/token": "access_token"}},
	} {
		server.do("POST", "/dev/outage", "mode="+test.mode+"&endpoint=metadata&endpoint=jwks&endpoint=token", form)
		for path, want := range test.body {
			if got := ask(path); got.status != test.status || !strings.Contains(got.body, want) {
				t.Errorf("%s %s: %d %s", test.mode, path, got.status, got.body)
			}
		}
		if got := server.do("GET", "/dev/", ""); got.status != 200 {
			t.Errorf("%s: the control page fails too: %d", test.mode, got.status)
		}
	}
	server.do("POST", "/dev/outage", "mode=500", form)
	for path, want := range map[string]int{metadataPath: 500, oidcPath: 500, "/jwks": 500, "/token": 200} {
		if got := ask(path); got.status != want {
			t.Errorf("by default, %s: %d", path, got.status)
		}
	}
}

// TestSlow and what follows run in synctest's time, over a pipe.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newLine(t)
		line.outage("slow")
		began := time.Now()
		status, body, err := line.get("/jwks")
		if err != nil || status != 200 || !strings.Contains(body, `"kid"`) || time.Since(began) != 3*time.Second {
			t.Errorf("%d %s %v after %v", status, body, err, time.Since(began))
		}
	})
}

func TestHang(t *testing.T) {
	for name, test := range map[string]struct {
		patience time.Duration    // of the client
		during   func(line *line) // after half a minute
		want     time.Duration    // until there is no answer
	}{
		"until the client gives up":   {10 * time.Second, func(*line) {}, 10 * time.Second},
		"until the outage ends":       {time.Hour, func(l *line) { l.outage("none") }, 30 * time.Second},
		"until another one begins":    {time.Hour, func(l *line) { l.outage("500") }, 30 * time.Second},
		"for a minute at the longest": {time.Hour, func(*line) {}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := newLine(t)
				line.outage("hang")
				line.web.Timeout = test.patience
				time.AfterFunc(30*time.Second, func() { test.during(line) })
				began := time.Now()
				status, _, err := line.get("/jwks")
				if err == nil || time.Since(began) != test.want {
					t.Errorf("%d %v after %v", status, err, time.Since(began))
				}
				<-time.After(time.Minute) // until nothing is under way
			})
		})
	}
}

// line is an issuer behind pipes, so that synctest's clock holds for all.
type line struct {
	t       *testing.T
	web     *http.Client
	handler *devissuer.Server
}

func newLine(t *testing.T) *line {
	handler, err := devissuer.New(devissuer.Config{Issuer: "http://127.0.0.1:8880"})
	if err != nil {
		t.Fatal(err)
	}
	pipes := make(pipes)
	server := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(pipes) }()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: pipes.dial}
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return &line{t: t, web: &http.Client{Transport: transport}, handler: handler}
}

func (l *line) get(path string) (status int, body string, err error) {
	response, err := l.web.Get("http://127.0.0.1:8880" + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

func (l *line) outage(mode string) {
	response, err := l.web.Post("http://127.0.0.1:8880/dev/outage", "application/x-www-form-urlencoded", strings.NewReader("mode="+mode))
	if err != nil {
		l.t.Error(err)
		return
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		l.t.Errorf("outage: %s", response.Status)
	}
}

// pipes is a listener whose connections are pipes.
type pipes chan net.Conn

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p <- local{there}
	return here, nil
}

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8880} }

// local is a pipe whose other end is on this machine.
type local struct{ net.Conn }

func (local) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000} }
