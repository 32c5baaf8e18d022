package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestIssuerOnly: a token from a running issuer, a rotation, and a clean stop.
func TestIssuerOnly(t *testing.T) {
	t.Parallel()
	dev := start(t, "--issuer-only", "--issuer-listen=127.0.0.1:0", "--token-lifetime=1m", "--algorithm=EdDSA")
	if strings.Contains(dev.text, "gateway") {
		t.Errorf("there is no gateway to speak of:\n%s", dev.text)
	}
	before := dev.token()
	dev.rotate()
	after := dev.token()
	if keyOf(t, before) == keyOf(t, after) {
		t.Errorf("the same key signs after a rotation")
	}
	dev.signals <- os.Interrupt
	if status := <-dev.status; status != 0 {
		t.Errorf("status %d: %s", status, dev.stderr)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(dev.issuer(), "http://")); err == nil {
		conn.Close()
		t.Error("the issuer still listens")
	}
}

// TestRotateEvery: the timer rotates without being asked.
func TestRotateEvery(t *testing.T) {
	t.Parallel()
	dev := start(t, "--issuer-only", "--issuer-listen=127.0.0.1:0", "--rotate-every=1s", "--token-lifetime=1s")
	if !dev.stderr.wait(t, "keys rotated") {
		t.Errorf("no rotation: %s", dev.stderr)
	}
	dev.stop()
}

// TestBusyIssuer: one line that names the flag.
func TestBusyIssuer(t *testing.T) {
	busy := occupy(t)
	var stdout, stderr bytes.Buffer
	p := program{stdout: &stdout, stderr: &stderr}
	status := p.Run([]string{"--issuer-only", "--issuer-listen", busy})
	want := "linegate-dev: --issuer-listen: listen tcp " + busy + ": bind: address already in use\n"
	if status != 1 || stderr.String() != want || stdout.Len() > 0 {
		t.Errorf("%d %q %q", status, &stderr, &stdout)
	}
}

// TestRunBoth: who ends whom, in which order, and whose error is told.
func TestRunBoth(t *testing.T) {
	fault := errors.New("fault")
	untilDone := func(ctx context.Context) error { <-ctx.Done(); return nil }
	fails := func(context.Context) error { return fault }

	if err := runBoth(t.Context(), fails, untilDone); !errors.Is(err, fault) {
		t.Errorf("the gateway fails: %v", err)
	}
	if err := runBoth(t.Context(), untilDone, fails); !errors.Is(err, fault) {
		t.Errorf("the issuer fails: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var order []string
	var mu sync.Mutex
	end := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		}
	}
	cancel()
	if err := runBoth(ctx, end("gateway"), end("issuer")); err != nil {
		t.Error(err)
	}
	if got := strings.Join(order, " "); got != "gateway issuer" {
		t.Errorf("ended in the order %s", got)
	}
}

// running is linegate-dev as a person has it in a terminal.
type running struct {
	t       *testing.T
	text    string // what it printed when everything listened
	stderr  *buffer
	signals chan os.Signal
	status  chan int // its exit status, once
}

// start runs linegate-dev and returns when it has said where everything is.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	read, write := io.Pipe()
	dev := &running{t: t, stderr: newBuffer(), signals: make(chan os.Signal, 2), status: make(chan int, 1)}
	p := program{stdout: write, stderr: dev.stderr, signals: dev.signals}
	go func() {
		status := p.Run(args)
		_ = write.Close()
		dev.status <- status
	}()
	lines := bufio.NewScanner(read)
	for !strings.HasSuffix(dev.text, "Ctrl-C ends it.\n") {
		if !lines.Scan() {
			t.Fatalf("status %d, printed %q, logged %s", <-dev.status, dev.text, dev.stderr)
		}
		dev.text += lines.Text() + "\n"
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	return dev
}

// stop ends it as Ctrl-C does.
func (r *running) stop() {
	r.t.Helper()
	r.signals <- os.Interrupt
	if status := <-r.status; status != 0 {
		r.t.Errorf("status %d: %s", status, r.stderr)
	}
}

// find returns the part of the printed text that the pattern's group matches.
func (r *running) find(pattern string) string {
	r.t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(r.text)
	if match == nil {
		r.t.Fatalf("no %s in:\n%s", pattern, r.text)
	}
	return match[1]
}

func (r *running) issuer() string { r.t.Helper(); return r.find(`issuer +(http://[^ ,]+),`) }

// token gets a token over HTTP as any client does.
func (r *running) token() string { r.t.Helper(); return r.tokenFor("") }

// tokenFor is token for a scope.
func (r *running) tokenFor(scope string) string {
	r.t.Helper()
	response, err := http.PostForm(r.issuer()+"/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"dev-device"}, "client_secret": {"dev-secret"}, "scope": {scope},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		r.t.Fatalf("no token: %s %v", response.Status, err)
	}
	return answer.AccessToken
}

// rotate does what the printed curl does.
func (r *running) rotate() {
	r.t.Helper()
	response, err := http.Post(r.find(`curl -X POST (\S+)`), "", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.t.Fatal(response.Status)
	}
}

// control posts a form to the issuer's control API.
func (r *running) control(action, form string) {
	r.t.Helper()
	response, err := http.Post(r.find(`control +(\S+)`)+action, "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.t.Fatal(action, response.Status)
	}
}

// keyOf returns a token's header, which names its key.
func keyOf(t *testing.T, token string) string {
	t.Helper()
	header, _, found := strings.Cut(token, ".")
	if !found {
		t.Fatal("no token")
	}
	return header
}

// occupy returns an address that somebody else listens on.
func occupy(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// buffer collects what is written, and tells when a text has appeared.
type buffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed at the next write
}

func newBuffer() *buffer { return &buffer{changed: make(chan struct{})} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// wait reports whether text appeared within 10 s.
func (b *buffer) wait(t *testing.T, text string) bool {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		b.mu.Lock()
		found, changed := bytes.Contains(b.text.Bytes(), []byte(text)), b.changed
		b.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-changed:
		case <-deadline:
			return false
		}
	}
}
