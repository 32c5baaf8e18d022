package devissuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

// person is somebody at a browser of her own: it keeps cookies, follows
// redirects as long as they lead to the issuer, and shows one page.
type person struct {
	t      *testing.T
	server *testServer
	web    *http.Client

	at     string // where the browser is, or would have gone
	page   string // what it shows
	status int
	header http.Header
}

func newPerson(t *testing.T, server *testServer) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, server: server, web: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// opens goes to an address of the issuer.
func (p *person) opens(address string) *person {
	p.t.Helper()
	return p.does("GET", address, nil, nil)
}

// presses sends the page's form as its button of that name does, with what a
// browser sends along; edit may tamper with it.
func (p *person) presses(button, value string, edit ...func(url.Values, http.Header)) *person {
	p.t.Helper()
	action := p.finds(`<form method="post" action="([^"]*)"`)
	form := url.Values{button: {value}, "form_token": {p.finds(`name="form_token" value="([^"]*)"`)}}
	headers := http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {p.server.url}}
	for _, f := range edit {
		f(form, headers)
	}
	return p.does("POST", action, form, headers)
}

func (p *person) does(method, address string, form url.Values, headers http.Header) *person {
	p.t.Helper()
	base, err := url.Parse(p.server.url)
	if err != nil {
		p.t.Fatal(err)
	}
	for {
		target, err := base.Parse(address)
		if err != nil {
			p.t.Fatal(err)
		}
		p.at = target.String()
		if target.Host != base.Host {
			p.page, p.status, p.header = "", 0, nil // left
			return p
		}
		request, err := http.NewRequestWithContext(p.t.Context(), method, p.at, strings.NewReader(form.Encode()))
		if err != nil {
			p.t.Fatal(err)
		}
		for name, values := range headers {
			request.Header[name] = values
		}
		if form != nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		response, err := p.web.Do(request)
		if err != nil {
			p.t.Fatal(err)
		}
		content, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			p.t.Fatal(err)
		}
		p.page, p.status, p.header = string(content), response.StatusCode, response.Header
		if p.status != http.StatusSeeOther {
			return p
		}
		method, address, form, headers = "GET", p.header.Get("Location"), nil, nil
	}
}

// finds returns what the pattern's group matches on the page.
func (p *person) finds(pattern string) string {
	p.t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(p.page)
	if match == nil {
		p.t.Fatalf("at %s: no %s in:\n%s", p.at, pattern, p.page)
	}
	return html.UnescapeString(match[1])
}

// sees checks the page's status and that each text is on it.
func (p *person) sees(status int, texts ...string) {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("at %s: status %d, want %d", p.at, p.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(p.page, text) {
			p.t.Errorf("at %s: no %q in:\n%s", p.at, text, p.page)
		}
	}
}

// back returns what the browser was sent back to the client with.
func (p *person) back() url.Values {
	p.t.Helper()
	query, ok := strings.CutPrefix(p.at, callback+"?")
	values, err := url.ParseQuery(query)
	if !ok || err != nil {
		p.t.Fatalf("sent to %s, want %s; page:\n%s", p.at, callback, p.page)
	}
	return values
}

// callback is where linegatectl listened.
const callback = "http://127.0.0.1:54321/callback"

const verifier = "a-verifier-of-forty-three-characters-at-least"

func challenge(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// wish is an authorization request in order, for the default client.
func wish() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"linegatectl"}, "redirect_uri": {callback}, "state": {"st&te=1"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
}

// code has somebody new allow what the default client asks for.
func (s *testServer) code(user string) string {
	s.t.Helper()
	p := newPerson(s.t, s).opens("/authorize?" + wish().Encode())
	return p.presses("user", user).presses("decision", "allow").back().Get("code")
}

// exchange is the token request for a code; pairs replace its parameters.
func (s *testServer) exchange(code string, pairs ...string) answer {
	s.t.Helper()
	return s.ask("/token", append([]string{
		"grant_type", "authorization_code", "client_id", "linegatectl",
		"code", code, "redirect_uri", callback, "code_verifier", verifier,
	}, pairs...)...)
}

// ask posts a form; of pairs with the same name the last counts, and one
// without a value is left out.
func (s *testServer) ask(path string, pairs ...string) answer {
	s.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		}
	}
	return s.do("POST", path, values.Encode(), form)
}

// tokens are what a successful token answer holds.
type tokens struct{ access, refresh string }

func (a answer) tokens(t *testing.T) tokens {
	t.Helper()
	access, _ := a.member(t, "access_token").(string)
	refresh, _ := a.member(t, "refresh_token").(string)
	if a.status != http.StatusOK || access == "" {
		t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return tokens{access, refresh}
}

// refused checks an error answer (RFC 6749 section 5.2).
func (a answer) refused(t *testing.T, why, code string) {
	t.Helper()
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	if a.status != status || a.member(t, "error") != code || a.member(t, "access_token") != nil {
		t.Errorf("%s: %d %s, want %s", why, a.status, a.body, code)
	}
}

// login returns the tokens of somebody who has logged in.
func (s *testServer) login(user string) tokens {
	s.t.Helper()
	return s.exchange(s.code(user)).tokens(s.t)
}

func (s *testServer) refresh(token string, pairs ...string) answer {
	s.t.Helper()
	return s.ask("/token", append([]string{
		"grant_type", "refresh_token", "client_id", "linegatectl", "refresh_token", token,
	}, pairs...)...)
}

// active asks the introspection endpoint, as a resource server would.
func (s *testServer) active(token string) bool {
	s.t.Helper()
	got := s.ask("/introspect", "client_id", "dev-device", "client_secret", "dev-secret", "token", token)
	active, ok := got.member(s.t, "active").(bool)
	if !ok {
		s.t.Fatalf("%d %s", got.status, got.body)
	}
	return active
}

// another is a public client beside the default ones.
func another() devissuer.Client {
	return devissuer.Client{
		ID:        "another",
		Grants:    []string{devissuer.GrantCode, devissuer.GrantRefresh, devissuer.GrantDevice},
		Scopes:    []string{"line:connect"},
		Redirects: []string{callback},
	}
}
