package devissuer_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestControlPage: a person turns every knob, with a browser that runs nothing.
func TestControlPage(t *testing.T) {
	server := start(t, devissuer.Config{})
	dev := newPerson(t, server)
	keys := server.keyIDs()
	send := func(path string, pairs url.Values) *person {
		t.Helper()
		return dev.does("POST", path, pairs, map[string][]string{
			"Accept": {"text/html,application/xhtml+xml"}, "Sec-Fetch-Site": {"same-origin"}, "Origin": {server.url},
		})
	}
	dev.opens("/dev/").sees(200, server.url, keys[0], keys[1], "dev-device", "linegatectl", "Alice, Bob", `value="5m0s"`,
		"linegate:admin</code> <span class=\"note\">on request", "<option selected>ES256", "<option selected>none", `value="jwks" checked`, `value="metadata" checked`)
	if strings.Contains(dev.page, "dev-secret") {
		t.Error("a secret is on the page")
	}
	for _, action := range []string{"rotate", "remove", "settings", "outage"} {
		if !strings.Contains(dev.page, `<form method="post" action="/dev/`+action+`">`) {
			t.Errorf("no form for %s", action)
		}
	}

	send("/dev/rotate", url.Values{}).sees(200, "retiring")
	if after := server.keyIDs(); after[0] != keys[1] {
		t.Errorf("%s signs", after[0])
	}
	send("/dev/remove", url.Values{"kid": {keys[0]}}).sees(200, keys[1])
	if slices.Contains(server.keyIDs(), keys[0]) || strings.Contains(dev.page, keys[0]) {
		t.Error("the removed key is there")
	}
	send("/dev/settings", url.Values{"token_lifetime": {"20s"}, "algorithm": {"EdDSA"}}).sees(200, `value="20s"`, "<option selected>EdDSA")
	send("/dev/outage", url.Values{"mode": {"500"}, "endpoint": {"token"}}).sees(200, "<option selected>500", `value="token" checked`)
	if strings.Contains(dev.page, `value="jwks" checked`) {
		t.Error("the key set is said to fail too")
	}
	send("/dev/outage", url.Values{"mode": {"none"}}).sees(200, "<option selected>none")
	send("/dev/remove", url.Values{"kid": {"x"}}).sees(404, "no key with this kid")
	send("/dev/settings", url.Values{"token_lifetime": {"soon"}}).sees(400, "token_lifetime", "soon")
}

// TestControlScripts runs what the page shows to scripts, as curl would.
func TestControlScripts(t *testing.T) {
	server := start(t, devissuer.Config{})
	dev := newPerson(t, server)
	_, shown, _ := strings.Cut(dev.opens("/dev/").page, "<pre ")
	shown, _, _ = strings.Cut(shown, "</pre>")
	var did []string
	for line := range strings.Lines(html.UnescapeString(shown)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "curl" {
			continue
		}
		path, found := strings.CutPrefix(words[len(words)-1], server.url)
		if !found {
			t.Fatalf("not to %s: %s", server.url, line)
		}
		method, body, how := "GET", url.Values{}, func(*http.Request) {}
		for i, word := range words {
			switch word {
			case "-X":
				method = words[i+1]
			case "-d":
				name, value, _ := strings.Cut(words[i+1], "=")
				body.Add(name, value)
				method, how = "POST", form
			}
		}
		if got := server.do(method, path, body.Encode(), how); got.status != 200 || got.member(t, "signing") == "" {
			t.Errorf("%s: %d %s", line, got.status, got.body)
		}
		did = append(did, path)
	}
	want := []string{"/dev/state", "/dev/rotate", "/dev/remove", "/dev/settings", "/dev/outage"}
	if !slices.Equal(did, want) {
		t.Errorf("shown %q, want %q", did, want)
	}
}

// TestControlAPI lists what scripts post, and the state that comes of it.
func TestControlAPI(t *testing.T) {
	server := start(t, devissuer.Config{RotateEvery: time.Minute})
	for _, test := range []struct {
		path, body string
		status     int
		want       string // in the answer
	}{
		{"settings", "token_lifetime=20s", 200, `"algorithm":"ES256","token_lifetime":20,`},
		{"settings", "algorithm=RS256", 200, `"algorithm":"RS256","token_lifetime":20,`},
		{"settings", "", 200, `"algorithm":"RS256","token_lifetime":20,`},
		{"settings", "token_lifetime=1500ms", 400, "token lifetime 1.5s"},
		{"settings", "token_lifetime=25h", 400, "token lifetime 25h"},
		{"settings", "token_lifetime=31m", 400, "time between rotations 1m0s is below"},
		{"settings", "algorithm=HS256", 400, `algorithm "HS256"`},
		{"outage", "mode=hang", 200, `"outage":"hang","outage_endpoints":["jwks","metadata"]`},
		{"outage", "mode=empty&endpoint=token&endpoint=jwks&endpoint=jwks", 200, `"outage":"empty","outage_endpoints":["jwks","token"]`},
		{"outage", "mode=none&endpoint=token", 200, `"outage":"none","outage_endpoints":[]`},
		{"outage", "mode=flood", 400, `mode is none of ["none" "500" "hang" "garbage" "slow" "empty"]`},
		{"outage", "", 400, "mode is none of"},
		{"outage", "mode=500&endpoint=device", 400, `endpoint is none of ["jwks" "metadata" "token"]`},
		{"outage", "mode=%zz", 400, "not form-encoded"},
		{"remove", "kid=x", 404, "no key with this kid"},
		{"remove", "", 200, `"stage":"signing"`},
		{"rotate", "", 200, `"stage":"retiring"`},
	} {
		got := server.do("POST", "/dev/"+test.path, test.body, form)
		if got.status != test.status || !strings.Contains(got.body, test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.path, test.body, got.status, got.body, test.status, test.want)
		}
	}
	if got := server.do("GET", "/dev/state", ""); got.member(t, "signing") != server.keyIDs()[0] {
		t.Errorf("%s", got.body)
	}
}

// TestSettings: the next token has the new lifetime, and a key of the new
// algorithm is published first and signs later.
func TestSettings(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	keys := server.keyIDs()
	server.do("POST", "/dev/settings", "token_lifetime=20s&algorithm=EdDSA", form)
	after := server.keyIDs()
	if after[0] != keys[0] || after[1] == keys[1] {
		t.Errorf("published %q, before %q", after, keys)
	}
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		token := server.token()
		header, claims := decode(t, token)
		if header["alg"] != algorithm || claims["exp"].(float64)-claims["iat"].(float64) != 20 {
			t.Errorf("want %s and 20 s: %v %v", algorithm, header, claims)
		}
		if err := server.verify(token, clock.Now); err != nil {
			t.Error(err)
		}
		server.do("POST", "/dev/rotate", "")
	}

	// The first key may have signed for five minutes' validity, the second
	// only for 20 s.
	clock.Advance(5*time.Minute - 1)
	if left := server.keyIDs(); !slices.Contains(left, keys[0]) || len(left) != 3 {
		t.Errorf("published %q, with %s", left, keys[0])
	}
	clock.Advance(1)
	if left := server.keyIDs(); slices.Contains(left, keys[0]) {
		t.Errorf("published %q, without %s", left, keys[0])
	}
}

// TestRemove: a key of any age goes at once, and its tokens with it.
func TestRemove(t *testing.T) {
	server := start(t, devissuer.Config{})
	server.Rotate()
	a := server.keyIDs() // signing, next, retiring
	token := server.token()

	remove := func(body string) {
		t.Helper()
		if got := server.do("POST", "/dev/remove", body, form); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	remove("kid=" + a[2])
	if got := server.keyIDs(); !slices.Equal(got, a[:2]) {
		t.Errorf("the retiring one: %q of %q", got, a)
	}
	remove("kid=" + a[1])
	b := server.keyIDs()
	if len(b) != 2 || b[0] != a[0] || b[1] == a[1] {
		t.Errorf("the next one: %q of %q", b, a)
	}
	if err := server.verify(token, time.Now); err != nil || !server.active(token) {
		t.Errorf("a token of the key that is left: %v", err)
	}
	remove("") // the signing one
	c := server.keyIDs()
	if len(c) != 2 || c[0] != b[1] {
		t.Errorf("the signing one: %q of %q", c, b)
	}
	if err := server.verify(token, time.Now); err == nil || server.active(token) {
		t.Error("a token of the removed key is accepted")
	}
	if err := server.verify(server.token(), time.Now); err != nil {
		t.Errorf("a new token: %v", err)
	}
}

// TestControlIsLocal: what may reach /dev/ and what may not.
func TestControlIsLocal(t *testing.T) {
	server, err := devissuer.New(devissuer.Config{Issuer: "http://127.0.0.1:8880"})
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		why     string
		peer    string
		host    string
		headers map[string]string
		want    int
	}{
		{"curl", "127.0.0.1:50000", "127.0.0.1:8880", nil, 200},
		{"curl by name", "127.0.0.1:50000", "LocalHost:8880", nil, 200},
		{"curl over IPv6", "[::1]:50000", "[::1]:8880", nil, 200},
		{"no port in Host", "[::ffff:127.0.0.1]:50000", "[::1]", nil, 200},
		{"a page of the issuer's own", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "http://127.0.0.1:8880", "Sec-Fetch-Site": "same-origin"}, 200},
		{"another machine", "192.0.2.1:50000", "127.0.0.1:8880", nil, 403},
		{"a peer without address", "@", "127.0.0.1:8880", nil, 403},
		{"DNS rebinding", "127.0.0.1:50000", "evil.example:8880", nil, 403},
		{"a name that begins like an address", "127.0.0.1:50000", "127.0.0.1.evil.example", nil, 403},
		{"DNS rebinding, same origin to the browser", "127.0.0.1:50000", "evil.example:8880", map[string]string{"Origin": "http://evil.example:8880", "Sec-Fetch-Site": "same-origin"}, 403},
		{"no Host", "127.0.0.1:50000", "", nil, 403},
		{"a foreign page", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a page on another local port", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a foreign page in an old browser", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "https://evil.example"}, 403},
		{"a sandboxed page", "127.0.0.1:50000", "127.0.0.1:8880", map[string]string{"Origin": "null"}, 403},
	} {
		t.Run(strconv.Itoa(i)+" "+test.why, func(t *testing.T) {
			request := httptest.NewRequest("POST", "/dev/rotate", nil)
			request.RemoteAddr, request.Host = test.peer, test.host
			for name, value := range test.headers {
				request.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, request)
			if recorder.Code != test.want {
				t.Errorf("%d %s, want %d", recorder.Code, recorder.Body, test.want)
			}
		})
	}
}

// TestHost: no endpoint answers to a name that is neither the issuer's nor this
// machine's: with cookies, each would be prey to DNS rebinding.
func TestHost(t *testing.T) {
	server, err := devissuer.New(devissuer.Config{Issuer: "https://issuer.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/jwks", "/.well-known/oauth-authorization-server", "/authorize", "/consent", "/device", "/style.css", "/token", "/nothing",
	} {
		for host, allowed := range map[string]bool{
			"issuer.example": true, "127.0.0.1:8880": true, "localhost": true, "[::1]:1": true,
			"evil.example": false, "issuer.example.evil.example": false, "issuer.example:8880": false, "": false,
		} {
			request := httptest.NewRequest("GET", "http://x"+path, nil)
			request.Host = host
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, request)
			if (recorder.Code != 403) != allowed {
				t.Errorf("%s at %q: %d", path, host, recorder.Code)
			}
		}
	}
}
