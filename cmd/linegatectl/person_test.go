package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestMain lets the test binary be other programs: linegatectl itself, where
// processes are what is tested, and the browser that a login opens.
func TestMain(m *testing.M) {
	switch role, _ := os.LookupEnv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "linegatectl":
		main()
	case "browser":
		if _, err := decide(http.DefaultTransport, os.Args[1], "alice", "allow"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

const roleVariable = "LINEGATECTL_TEST_ROLE"

// decide is a person with a browser: she opens address, signs in as user and
// presses the button "allow" or "deny". It returns the page where that leads.
func decide(transport http.RoundTripper, address, user, decision string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Transport: transport, Jar: jar}
	at, body, err := visit(browser.Get(address))
	for _, press := range []url.Values{{"user": {user}}, {"decision": {decision}}} {
		if err != nil {
			return "", err
		}
		action, token := formAction.FindStringSubmatch(body), formToken.FindStringSubmatch(body)
		if action == nil || token == nil {
			return "", fmt.Errorf("no form on %s: %s", at, body)
		}
		target, parseErr := at.Parse(html.UnescapeString(action[1]))
		if parseErr != nil {
			return "", parseErr
		}
		press.Set("form_token", token[1])
		at, body, err = visit(browser.PostForm(target.String(), press))
	}
	return body, err
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	formToken  = regexp.MustCompile(`name="form_token" value="([^"]+)"`)
)

// visit reads a page, and tells where redirects have led.
func visit(resp *http.Response, err error) (at *url.URL, body string, _ error) {
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.Request.URL, string(text), err
}

// observed is the development issuer with somebody who takes notes of what
// passes through it.
type observed struct {
	issuer *devissuer.Server
	url    string

	mu      sync.Mutex
	grants  []string
	secrets []string
	fails   map[string]http.HandlerFunc // answers in the issuer's place, by path
}

// observe makes an issuer; url is where it will be served.
func observe(t *testing.T, config devissuer.Config) *observed {
	t.Helper()
	issuer, err := devissuer.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &observed{issuer: issuer, url: config.Issuer, fails: map[string]http.HandlerFunc{}}
}

// observedIssuer serves one on a port of its own.
func observedIssuer(t *testing.T, config devissuer.Config) *observed {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	config.Issuer = "http://" + server.Listener.Addr().String()
	o := observe(t, config)
	server.Config.Handler = o
	server.Start()
	t.Cleanup(server.Close)
	return o
}

func (o *observed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	o.mu.Lock()
	fail := o.fails[r.URL.Path]
	if r.URL.Path == "/token" {
		o.grants = append(o.grants, form.Get("grant_type"))
	}
	for _, name := range secretNames {
		o.secrets = append(o.secrets, form.Get(name))
	}
	o.mu.Unlock()
	if fail != nil {
		fail(w, r)
		return
	}
	recorder := httptest.NewRecorder()
	o.issuer.ServeHTTP(recorder, r)
	var answer map[string]any
	_ = json.Unmarshal(recorder.Body.Bytes(), &answer)
	o.mu.Lock()
	for _, name := range secretNames {
		secret, _ := answer[name].(string)
		o.secrets = append(o.secrets, secret)
	}
	o.mu.Unlock()
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}

var secretNames = []string{"access_token", "refresh_token", "code", "code_verifier", "device_code", "client_secret", "token"}

// RoundTrip reaches the issuer without a network, for tests of time.
func (o *observed) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	served := r.Clone(r.Context())
	served.RemoteAddr, served.RequestURI, served.Host = "127.0.0.1:50000", r.URL.RequestURI(), r.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	o.ServeHTTP(recorder, served)
	resp := recorder.Result()
	resp.Request = r
	return resp, nil
}

// fail makes an endpoint answer so; nil: as it should.
func (o *observed) fail(path string, answer http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fails[path] = answer
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// count returns how often this grant was asked for.
func (o *observed) count(grant string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, g := range o.grants {
		if g == grant {
			n++
		}
	}
	return n
}

// wantNoSecret looks for pieces of what must not be shown: tokens, codes,
// verifiers. Of a token the header, which is no secret, is left out.
func (o *observed) wantNoSecret(t *testing.T, output string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := 0
	for _, secret := range o.secrets {
		if parts := strings.Split(secret, "."); len(parts) == 3 {
			secret = parts[1] + "." + parts[2]
		}
		for i := 0; i+16 <= len(secret); i++ {
			seen++
			if strings.Contains(output, secret[i:i+16]) {
				t.Errorf("a piece of a secret is shown: %s", output)
				return
			}
		}
	}
	if seen == 0 {
		t.Error("no secret has passed: nothing was looked for")
	}
}

// loggedIn is the environment of somebody who has logged in at the issuer as
// alice.
func loggedIn(t *testing.T, o *observed) (environ []string, store *tokenStore) {
	t.Helper()
	environ = noLogin(t)
	r := startWith(t, environ, "login", "--no-browser", "--issuer", o.url)
	if _, err := decide(http.DefaultTransport, r.address(), "alice", "allow"); err != nil {
		t.Fatal(err)
	}
	r.ends(exitOK)
	_, path, _ := strings.Cut(environ[0], "=")
	return environ, &tokenStore{path: path}
}

// address waits for the address that a login prints.
func (r *running) address() string {
	r.t.Helper()
	for r.stdout.Scan() {
		if line := strings.TrimSpace(r.stdout.Text()); strings.HasPrefix(line, "http") {
			return line
		}
	}
	r.t.Fatal("no address printed")
	return ""
}

// rest is what else it said, once it has ended.
func (r *running) rest() (stdout, stderr string) {
	for r.stdout.Scan() {
		stdout += r.stdout.Text() + "\n"
	}
	for r.stderr.Scan() {
		stderr += r.stderr.Text() + "\n"
	}
	return stdout, stderr
}
