package devissuer_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestAuthorizeRefuses lists authorization requests and how they are refused:
// on a page when it is not certain whom a redirect would reach, else by
// redirect with the client's state (RFC 6749 section 4.1.2.1).
func TestAuthorizeRefuses(t *testing.T) {
	server := start(t, devissuer.Config{Clients: append(devissuer.DefaultClients(), another())})
	const onPage = ""

	for _, test := range []struct {
		name, rfc string
		edit      func(url.Values)
		want      string // the error sent back, or onPage
	}{
		{"no client", "6749 4.1.2.1", del("client_id"), onPage},
		{"unknown client", "6749 4.1.2.1", set("client_id", "nobody"), onPage},
		{"client without redirects", "6749 3.1.2.2", set("client_id", "dev-device"), onPage},
		{"no redirect_uri", "6749 3.1.2.3", del("redirect_uri"), onPage},
		{"other path", "9700 2.1", set("redirect_uri", "http://127.0.0.1:54321/callback2"), onPage},
		{"other host", "9700 2.1", set("redirect_uri", "http://evil.example/callback"), onPage},
		{"host behind the port", "9700 4.1.1", set("redirect_uri", "http://127.0.0.1:80@evil.example/callback"), onPage},
		{"other loopback address", "8252 7.3", set("redirect_uri", "http://127.0.0.2:54321/callback"), onPage},
		{"localhost for 127.0.0.1", "8252 8.3", set("redirect_uri", "http://localhost:54321/callback"), onPage},
		{"https for http", "9700 2.1", set("redirect_uri", "https://127.0.0.1:54321/callback"), onPage},
		{"a query that is not registered", "9700 2.1", set("redirect_uri", callback+"?a=b"), onPage},
		{"no port behind the colon", "8252 7.3", set("redirect_uri", "http://127.0.0.1:/callback"), onPage},
		{"no such port", "8252 7.3", set("redirect_uri", "http://127.0.0.1:65536/callback"), onPage},
		{"two redirects, the good one first", "6749 3.1", add("redirect_uri", "http://evil.example/"), onPage},
		{"two clients, the good one first", "6749 3.1", add("client_id", "another"), onPage},
		{"script", "9700 4.1", set("redirect_uri", "javascript:alert(1)"), onPage},

		{"no response_type", "6749 4.1.2.1", del("response_type"), "invalid_request"},
		{"implicit grant", "9700 2.1.2", set("response_type", "token"), "unsupported_response_type"},
		{"other response_mode", "6749 4.1.2", set("response_mode", "fragment"), "invalid_request"},
		{"repeated state", "6749 3.1", add("state", "2"), "invalid_request"},
		{"scope of others", "6749 3.3", set("scope", "line:other"), "invalid_scope"},
		{"scope with two spaces", "6749 3.3", set("scope", "line:connect  offline_access"), "invalid_scope"},
		{"no PKCE", "9700 2.1.1", func(v url.Values) { v.Del("code_challenge"); v.Del("code_challenge_method") }, "invalid_request"},
		{"plain PKCE", "7636 4.2", set("code_challenge_method", "plain"), "invalid_request"},
		{"plain PKCE by default", "7636 4.3", del("code_challenge_method"), "invalid_request"},
		{"challenge too short", "7636 4.2", set("code_challenge", "YQ"), "invalid_request"},
		{"challenge with padding", "7636 4.2", set("code_challenge", challenge(verifier)+"="), "invalid_request"},
	} {
		for _, method := range []string{"GET", "POST"} { // RFC 6749 section 3.1
			t.Run(test.rfc+" "+test.name+" "+method, func(t *testing.T) {
				wish := wish()
				test.edit(wish)
				p := newPerson(t, server)
				if method == "GET" {
					p.opens("/authorize?" + wish.Encode())
				} else {
					p.does("POST", "/authorize", wish, http.Header{"Sec-Fetch-Site": {"cross-site"}})
				}
				if test.want == onPage {
					p.sees(http.StatusBadRequest, "This application cannot sign you in")
					if strings.Contains(p.page, "evil.example") {
						t.Error("the page names the address")
					}
					return
				}
				back := p.back()
				if back.Get("error") != test.want || back.Get("iss") != server.url || back.Has("code") {
					t.Errorf("%v, want %s", back, test.want)
				}
				if back.Get("state") != wish.Get("state") {
					t.Errorf("state %q, want %q", back.Get("state"), wish.Get("state"))
				}
				if !descriptionText.MatchString(back.Get("error_description")) {
					t.Errorf("error_description %q (6749 4.1.2.1)", back.Get("error_description"))
				}
			})
		}
	}
}

// TestAuthorizeAccepts lists requests that lead to the sign-in page.
func TestAuthorizeAccepts(t *testing.T) {
	server := start(t, devissuer.Config{})
	for _, test := range []struct {
		name, rfc string
		edit      func(url.Values)
	}{
		{"as it should be", "6749 4.1.1", func(url.Values) {}},
		{"another port", "8252 7.3", set("redirect_uri", "http://127.0.0.1:1/callback")},
		{"no port", "8252 7.3", set("redirect_uri", "http://127.0.0.1/callback")},
		{"IPv6", "8252 7.3", set("redirect_uri", "http://[::1]:54321/callback")},
		{"a scope", "6749 3.3", set("scope", "line:connect")},
		{"no state", "6749 4.1.1", del("state")},
		{"response_mode query", "6749 4.1.2", set("response_mode", "query")},
		{"unknown parameter", "6749 3.1", set("prompt", "login")},
		{"two resources", "8707 2", func(v url.Values) { v["resource"] = []string{"https://a.example", "https://b.example"} }},
	} {
		for _, method := range []string{"GET", "POST"} {
			wish := wish()
			test.edit(wish)
			p := newPerson(t, server)
			if method == "GET" {
				p.opens("/authorize?" + wish.Encode())
			} else {
				p.does("POST", "/authorize", wish, http.Header{"Sec-Fetch-Site": {"cross-site"}})
			}
			if p.status != http.StatusOK || !strings.Contains(p.page, "<h1>Sign in</h1>") {
				t.Errorf("%s %s, %s: %d %s", test.rfc, test.name, method, p.status, p.page)
			}
		}
	}
}

// TestUnreadableAuthorization: what is not form-encoded is refused on a page.
func TestUnreadableAuthorization(t *testing.T) {
	server := start(t, devissuer.Config{})
	for name, got := range map[string]answer{
		"query": server.do("GET", "/authorize?client_id=%zz", ""),
		"body":  server.do("POST", "/authorize", "%zz", form),
		"JSON":  server.do("POST", "/authorize", "{}", header("Content-Type", "application/json")),
	} {
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "cannot be read") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestRedirectKeepsItsQuery: RFC 6749 section 3.1.2.
func TestRedirectKeepsItsQuery(t *testing.T) {
	client := another()
	client.Redirects = []string{"https://app.example/cb?tenant=a%20b", "com.example.app:/cb"}
	server := start(t, devissuer.Config{Clients: []devissuer.Client{client}})
	for redirect, want := range map[string]string{
		"https://app.example/cb?tenant=a%20b": "https://app.example/cb?tenant=a%20b&code=",
		"com.example.app:/cb":                 "com.example.app:/cb?code=",
	} {
		wish := wish()
		wish.Set("client_id", "another")
		wish.Set("redirect_uri", redirect)
		p := newPerson(t, server).opens("/authorize?"+wish.Encode()).presses("user", "alice")
		// Browsers hold a form's redirect to form-action too.
		source := strings.TrimSuffix(redirect[:strings.Index(redirect, "cb")], "/")
		if policy := p.header.Get("Content-Security-Policy"); !slices.Contains(strings.Fields(policy), source) {
			t.Errorf("no %s in %s", source, policy)
		}
		if p.presses("decision", "allow"); !strings.HasPrefix(p.at, want) {
			t.Errorf("sent to %s, want %s...", p.at, want)
		}
	}
}

func set(name, value string) func(url.Values) { return func(v url.Values) { v.Set(name, value) } }
func add(name, value string) func(url.Values) { return func(v url.Values) { v.Add(name, value) } }
func del(name string) func(url.Values)        { return func(v url.Values) { v.Del(name) } }
