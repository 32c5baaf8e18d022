package main

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// Nobody answers.
func TestLoginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &silent{make(chan struct{})}
		flow := newCodeFlow(&oauthClient{}, login{}, listener, nil)
		begun := time.Now()
		_, err := flow.run(t.Context())
		if err == nil || err.Error() != "no answer came within 5m0s" || time.Since(begun) != 5*time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		<-listener.closed
	})
}

// silent is a port at which nobody knocks.
type silent struct{ closed chan struct{} }

func (s *silent) Accept() (net.Conn, error) {
	<-s.closed
	return nil, net.ErrClosed
}

func (s *silent) Close() error {
	close(s.closed)
	return nil
}

func (s *silent) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// No answer is believed without the state that was sent, and none is without
// the issuer that was asked.
func FuzzAnswer(f *testing.F) {
	const right = "state=right-state&iss=https://login.test"
	for _, query := range []string{
		right + "&code=x", right + "&error=access_denied", "code=x", "state=right-state&code=x", right + "&iss=x&code=x",
		"state=&iss=&code=", ";", "%zz", "state=right-state;code=x", "State=right-state&iss=https://login.test&code=x",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		oauth := &oauthClient{issuer: "https://login.test"}
		oauth.metadata.IssInResponse = true
		flow := &codeFlow{oauth: oauth, state: "right-state"}
		code, err := flow.code(query)
		if (code == "") != (err != nil) {
			t.Errorf("code %q, %v", code, err)
		}
		answer, _ := url.ParseQuery(query)
		if err == nil && (!slices.Equal(answer["state"], []string{"right-state"}) || !slices.Equal(answer["iss"], []string{"https://login.test"})) {
			t.Errorf("%q was believed", query)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\x00\n") {
			t.Errorf("error %q", err)
		}
	})
}

// What an answer must have to be believed, and what the person reads where it
// has not: in the terminal and in the browser. STATE and ISSUER are right.
func TestLoginAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		stderr string // after "linegatectl: "
		page   string // part of it; default: "The login failed: " and stderr
	}{
		"denied": {
			answer: "state=STATE&iss=ISSUER&error=access_denied",
			stderr: "denied: the issuer or the person there granted nothing (access_denied)",
			page:   "<h1>Denied</h1>\n<p>Nothing was granted to linegatectl.",
		},
		"tampered state": {
			answer: "state=STATF&iss=ISSUER&code=x",
			stderr: "the answer's state is not the one that was sent: it belongs to another login, or somebody tampers",
			page:   "The login failed: the answer&#39;s state is not",
		},
		"no state":               {"iss=ISSUER&code=x", "the answer's state is not the one that was sent: it belongs to another login, or somebody tampers", "<h1>That did not work</h1>"},
		"denied, no state":       {"iss=ISSUER&error=access_denied", "the answer's state is not the one that was sent: it belongs to another login, or somebody tampers", "<h1>That did not work</h1>"},
		"two states":             {"state=STATE&state=x&iss=ISSUER&code=x", "the answer has state more than once", ""},
		"another issuer":         {"state=STATE&iss=https://evil.example&code=x", "the answer's iss is https://evil.example, want ISSUER: it comes from another issuer, or somebody tampers", "That did not work"},
		"another issuer's no":    {"state=STATE&iss=https://evil.example&error=access_denied", "the answer's iss is https://evil.example, want ISSUER: it comes from another issuer, or somebody tampers", "That did not work"},
		"no issuer":              {"state=STATE&code=x", "the answer's iss is -, want ISSUER: it comes from another issuer, or somebody tampers", "That did not work"},
		"no code":                {"state=STATE&iss=ISSUER", "the answer has no code", ""},
		"not form-encoded":       {"state=STATE&iss=ISSUER&code=%zz", "the answer's parameters are not form-encoded", "parameters are not form-encoded"},
		"a code that is not one": {"state=STATE&iss=ISSUER&code=forged.forged.forged.forged", "the token endpoint answered HTTP 400 invalid_grant: the code is unknown, or another client's", "invalid_grant"},
		"an error": {
			"state=STATE&iss=ISSUER&error=invalid_scope&error_description=no+such",
			"the issuer answered invalid_scope: no such", "",
		},
		"an error that would be more than text": {
			"state=STATE&iss=ISSUER&error=x&error_description=" + url.QueryEscape("<script>alert(1)</script>\x1b[2J\n2"),
			`the issuer answered x: <script>alert(1)</script>\x1b[2J\x0a2`,
			`the issuer answered x: &lt;script&gt;alert(1)&lt;/script&gt;\x1b[2J\x0a2.</p>`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := observedIssuer(t, devissuer.Config{})
			environ := noLogin(t)
			r := startWith(t, environ, "login", "--no-browser", "--issuer", issuer.url)
			asked := query(t, r.address())
			fill := strings.NewReplacer("STATE", asked.Get("state"), "ISSUER", issuer.url).Replace
			_, page, err := visit(http.Get(asked.Get("redirect_uri") + "?" + fill(test.answer)))
			if err != nil {
				t.Fatal(err)
			}
			r.ends(exitFailure)
			stdout, stderr := r.rest()
			if want := "linegatectl: " + fill(test.stderr) + "\n"; stderr != want {
				t.Errorf("got  %swant %s", stderr, want)
			}
			if test.page == "" {
				test.page = "The login failed: " + test.stderr + "."
			}
			if !strings.Contains(page, test.page) {
				t.Errorf("no %q in %s", test.page, page)
			}
			if strings.Contains(stdout+stderr+page, "forged") {
				t.Error("the code is shown")
			}
			if _, err := os.Stat(strings.TrimPrefix(environ[0], storeVariable+"=")); err == nil {
				t.Error("something was stored")
			}
		})
	}
}

// What else may knock at the port while a login waits changes nothing; after
// the answer, the port is closed.
func TestLoginCallbackOnly(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	r := start(t, "login", "--no-browser", "--issuer", issuer.url)
	address := r.address()
	asked := query(t, address)
	redirect := asked.Get("redirect_uri")
	good := redirect + "?error=access_denied&iss=" + issuer.url + "&state=" + asked.Get("state")
	for _, test := range []struct {
		method, url, host string
		status            int
	}{
		{"GET", strings.TrimSuffix(redirect, "/callback") + "/favicon.ico", "", 404},
		{"POST", good, "", 405},
		{"GET", good, "evil.example", 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("%s %s: %d, want %d", test.method, test.host, resp.StatusCode, test.status)
		}
	}
	page, err := decide(http.DefaultTransport, address, "bob", "allow")
	if err != nil || !strings.Contains(page, "You are logged in as bob.") {
		t.Errorf("%v %s", err, page)
	}
	r.ends(exitOK)
	if _, err := http.Get(good); err == nil {
		t.Error("the port is still open")
	}
}

// The page may load nothing, is kept nowhere, and tells nobody the address that
// has the code.
func TestLoginPageHeaders(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	r := start(t, "login", "--no-browser", "--issuer", issuer.url)
	resp, err := http.Get(query(t, r.address()).Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	r.ends(exitFailure)
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"Content-Type": "text/html; charset=utf-8",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'nonce-") {
		t.Errorf("policy %s", csp)
	}
}

// An answer that comes again, while the first is being looked into, is none.
func TestLoginAnswersOnce(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	r := start(t, "login", "--no-browser", "--issuer", issuer.url)
	address := r.address()
	issuer.fail("/token", func(w http.ResponseWriter, req *http.Request) {
		resp, err := http.Get(query(t, address).Get("redirect_uri") + "?error=access_denied")
		if err == nil {
			resp.Body.Close()
		}
		if err != nil || resp.StatusCode != http.StatusGone {
			t.Errorf("the second answer: %v, %v", resp, err)
		}
		issuer.issuer.ServeHTTP(w, req)
	})
	if _, err := decide(http.DefaultTransport, address, "alice", "allow"); err != nil {
		t.Fatal(err)
	}
	r.ends(exitOK)
}

func query(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}
