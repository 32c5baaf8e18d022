package devissuer_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestLogin is the whole flow, as RFC 6749 section 4.1 draws it.
func TestLogin(t *testing.T) {
	server := start(t, devissuer.Config{})
	alice := newPerson(t, server).opens("/authorize?" + wish().Encode())
	alice.sees(200, "linegatectl", "Alice", "Bob", "development server")

	alice.presses("user", "alice")
	alice.sees(200, "<b>linegatectl</b> asks", "<b>Alice</b>", "Connect to the line gateway", "line:connect",
		"Renew this access", "http://127.0.0.1:54321", "I am not Alice")
	if policy := alice.header.Get("Content-Security-Policy"); policy !=
		"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://127.0.0.1:54321" {
		t.Errorf("policy %s", policy)
	}

	back := alice.presses("decision", "allow").back()
	if back.Get("state") != "st&te=1" || back.Get("iss") != server.url || back.Has("error") { // RFC 9207 section 2
		t.Errorf("sent back with %v", back)
	}
	got := server.exchange(back.Get("code"))
	if got.member(t, "token_type") != "Bearer" || got.member(t, "expires_in") != 300.0 ||
		got.member(t, "scope") != "line:connect offline_access" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", got.header, got.body)
	}
	granted := got.tokens(t)
	if granted.refresh == "" {
		t.Error("no refresh token")
	}
	if err := server.verify(granted.access, time.Now); err != nil {
		t.Error(err)
	}
	if _, claims := decode(t, granted.access); claims["sub"] != "alice" || claims["client_id"] != "linegatectl" {
		t.Errorf("claims %v", claims)
	}

	// She is still signed in, and asked again (RFC 8252 section 8.6); less
	// was asked for, and less is given.
	less := wish()
	less.Set("scope", "line:connect")
	back = alice.opens("/authorize?"+less.Encode()).presses("decision", "allow").back()
	if scope := server.exchange(back.Get("code")).member(t, "scope"); scope != "line:connect" {
		t.Errorf("scope %v", scope)
	}
}

// TestOperator: the right to administer is given to whoever asks for it by its
// name, and is told so, and to nobody else.
func TestOperator(t *testing.T) {
	server := start(t, devissuer.Config{})
	for _, test := range []struct{ asked, given string }{
		{"", "line:connect offline_access"},
		{"linegate:admin", "linegate:admin"},
		{"line:connect linegate:admin", "line:connect linegate:admin"},
	} {
		request := wish()
		request.Del("scope")
		if test.asked != "" {
			request.Set("scope", test.asked)
		}
		alice := newPerson(t, server).opens("/authorize?"+request.Encode()).presses("user", "alice")
		if got := strings.Contains(alice.page, "Administer the line gateway"); got != (test.asked != "") {
			t.Errorf("asked for %q, and told of it: %t", test.asked, got)
		}
		if got := server.exchange(alice.presses("decision", "allow").back().Get("code")).member(t, "scope"); got != test.given {
			t.Errorf("asked for %q, given %q", test.asked, got)
		}
	}
}

// TestDeny: RFC 6749 section 4.1.2.1.
func TestDeny(t *testing.T) {
	server := start(t, devissuer.Config{})
	back := newPerson(t, server).opens("/authorize?"+wish().Encode()).
		presses("user", "bob").presses("decision", "deny").back()
	if back.Get("error") != "access_denied" || back.Get("state") != "st&te=1" || back.Get("iss") != server.url || back.Has("code") {
		t.Errorf("sent back with %v", back)
	}
}

// TestAnotherPerson: who is signed in can leave, and somebody else decides.
func TestAnotherPerson(t *testing.T) {
	server := start(t, devissuer.Config{})
	p := newPerson(t, server).opens("/authorize?"+wish().Encode()).presses("user", "alice")
	p.presses("decision", "leave").sees(200, "<h1>Sign in</h1>")
	back := p.presses("user", "bob").presses("decision", "allow").back()
	if _, claims := decode(t, server.exchange(back.Get("code")).tokens(t).access); claims["sub"] != "bob" {
		t.Errorf("claims %v", claims)
	}
}

// TestForms lists what is done to the forms, and that nothing comes of it.
func TestForms(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	elsewhere := newPerson(t, server).opens("/authorize?"+wish().Encode()).presses("user", "bob")

	for _, test := range []struct {
		name   string
		edit   func(url.Values, http.Header)
		status int
		page   string
	}{
		{"no form token", func(f url.Values, _ http.Header) { f.Del("form_token") }, 403, "not from here"},
		{"a tampered form token", func(f url.Values, _ http.Header) { f.Set("form_token", f.Get("form_token")+"x") }, 403, "not from here"},
		{"another browser's form token", func(f url.Values, _ http.Header) {
			f.Set("form_token", elsewhere.finds(`name="form_token" value="([^"]*)"`))
		}, 403, "not from here"},
		{"from another site", func(_ url.Values, h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") }, 403, "not from here"},
		{"from another port", func(_ url.Values, h http.Header) { h.Set("Sec-Fetch-Site", "same-site") }, 403, "not from here"},
		{"from another site, old browser", func(_ url.Values, h http.Header) {
			h.Del("Sec-Fetch-Site")
			h.Set("Origin", "http://evil.example")
		}, 403, "not from here"},
		{"no decision", func(f url.Values, _ http.Header) { f.Del("decision") }, 400, "no decision"},
		{"another decision", func(f url.Values, _ http.Header) { f.Set("decision", "maybe") }, 400, "no decision"},
		{"two decisions", func(f url.Values, _ http.Header) { f.Add("decision", "deny") }, 400, "cannot be read"},
		{"nobody that is known", func(f url.Values, _ http.Header) { f.Del("decision"); f.Set("user", "eve") }, 400, "nobody of that name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPerson(t, server).opens("/authorize?"+wish().Encode()).presses("user", "alice")
			here, page := p.at, p.page
			p.presses("decision", "allow", test.edit).sees(test.status, test.page)
			p.at, p.page = here, page // she goes back, and it still works
			if code := p.presses("decision", "allow").back().Get("code"); code == "" {
				t.Error("the form is spoilt")
			}
		})
	}

	newcomer := func() *person { return newPerson(t, server).opens("/authorize?" + wish().Encode()) }

	t.Run("decided before signing in", func(t *testing.T) {
		newcomer().presses("decision", "allow").sees(400, "no decision")
	})
	t.Run("decided twice", func(t *testing.T) {
		p := newcomer().presses("user", "alice")
		here, page := p.at, p.page
		p.presses("decision", "allow").back()
		p.at, p.page = here, page
		p.presses("decision", "allow").sees(400, "nothing to decide")
		p.opens(here).sees(400, "nothing to decide")
	})
	t.Run("no such request", func(t *testing.T) {
		p := newcomer().presses("user", "alice")
		p.page = strings.ReplaceAll(p.page, "?request=", "?request=x")
		p.presses("decision", "allow").sees(400, "nothing to decide")
		p.opens("/consent").sees(400, "nothing to decide")
	})
	t.Run("in another browser", func(t *testing.T) {
		p := newcomer().presses("user", "alice")
		newPerson(t, server).opens(p.at).sees(400, "nothing to decide")
		elsewhere.opens(p.at).sees(400, "nothing to decide")
	})
	t.Run("another browser's request in her form", func(t *testing.T) {
		other := strings.TrimPrefix(newcomer().at, server.url)
		p := newcomer().presses("user", "alice")
		p.page = strings.ReplaceAll(p.page, p.finds(`action="([^"]*)"`), other)
		p.presses("decision", "allow").sees(400, "nothing to decide")
	})
	t.Run("the cookie from before signing in", func(t *testing.T) { // it may have been planted
		p := newcomer()
		address, _ := url.Parse(server.url)
		before := p.web.Jar.Cookies(address)
		p.presses("user", "alice")
		planter := newPerson(t, server)
		planter.web.Jar.SetCookies(address, before)
		planter.opens(p.at).sees(400, "nothing to decide")
	})
	t.Run("after ten minutes", func(t *testing.T) {
		p := newcomer().presses("user", "alice")
		clock.Advance(10 * time.Minute)
		p.presses("decision", "allow").sees(400, "nothing to decide")
	})
	t.Run("after twelve hours", func(t *testing.T) {
		p := newcomer().presses("user", "alice")
		clock.Advance(12 * time.Hour)
		p.presses("decision", "allow").sees(403, "not from here")
	})
}

// TestCookie: what keeps the cookie from scripts and from other sites.
func TestCookie(t *testing.T) {
	server := start(t, devissuer.Config{})
	got := server.do("GET", "/device?user_code=X", "")
	cookie := got.header.Get("Set-Cookie")
	_, port, _ := strings.Cut(strings.TrimPrefix(server.url, "http://"), ":")
	if !strings.HasPrefix(cookie, "linegate_dev_"+port+"=") {
		t.Errorf("browsers send it to all ports of this host: %s", cookie)
	}
	for _, want := range []string{"; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=43200"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("no %s in %s", want, cookie)
		}
	}
}

// TestPagesEscape: what people read is text, whatever was registered.
func TestPagesEscape(t *testing.T) {
	client := another()
	client.Name = `<script>alert("1")</script>`
	server := start(t, devissuer.Config{Clients: []devissuer.Client{client}, Users: []devissuer.User{{ID: "eve", Name: "<b>Eve"}}})
	wish := wish()
	wish.Set("client_id", "another")
	p := newPerson(t, server).opens("/authorize?" + wish.Encode())
	p.sees(200, "&lt;script&gt;", "&lt;b&gt;Eve")
	p.presses("user", "eve").sees(200, "&lt;script&gt;", "&lt;b&gt;Eve")
	p.opens("/device?user_code=" + url.QueryEscape(`"><script>`)).sees(400)
	for _, page := range []string{p.page, p.opens("/dev/").page} {
		if strings.Contains(page, "<script") {
			t.Error(page)
		}
	}
}
