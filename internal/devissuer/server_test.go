package devissuer_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

func TestMetadata(t *testing.T) {
	server := start(t, devissuer.Config{Clients: []devissuer.Client{
		{ID: "a", Secret: "s", Scopes: []string{"line:connect", "b"}},
		{ID: "b", Secret: "s", Scopes: []string{"line:connect", "a"}},
	}})
	authenticated := []any{"client_secret_basic", "client_secret_post"}
	everybody := []any{"client_secret_basic", "client_secret_post", "none"}
	want := map[string]any{ // RFC 8414 section 2
		"issuer":                        server.url,
		"authorization_endpoint":        server.url + "/authorize",
		"token_endpoint":                server.url + "/token",
		"device_authorization_endpoint": server.url + "/device_authorization", // RFC 8628 section 4
		"revocation_endpoint":           server.url + "/revoke",
		"introspection_endpoint":        server.url + "/introspect",
		"jwks_uri":                      server.url + "/jwks",

		"scopes_supported":         []any{"a", "b", "line:connect"},
		"response_types_supported": []any{"code"},
		"response_modes_supported": []any{"query"},
		"grant_types_supported": []any{
			"authorization_code", "client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
		},
		"code_challenge_methods_supported":               []any{"S256"},
		"authorization_response_iss_parameter_supported": true, // RFC 9207 section 3

		"token_endpoint_auth_methods_supported":         everybody,
		"revocation_endpoint_auth_methods_supported":    everybody,
		"introspection_endpoint_auth_methods_supported": authenticated,
	}
	for _, path := range []string{
		"/.well-known/oauth-authorization-server", // RFC 8414 section 3
		"/.well-known/openid-configuration",       // RFC 8414 section 5
	} {
		got := server.do("GET", path, "")
		var doc map[string]any
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(doc, want) {
			t.Errorf("%s: %v, want %v", path, doc, want)
		}
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "max-age=60" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
}

// TestMethods: RFC 9110 section 15.5.6, a 405 names what is allowed.
func TestMethods(t *testing.T) {
	server := start(t, devissuer.Config{})
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"HEAD", "/jwks", 200, ""},
		{"POST", "/jwks", 405, "GET, HEAD"},
		{"PUT", "/.well-known/oauth-authorization-server", 405, "GET, HEAD"},
		{"DELETE", "/.well-known/openid-configuration", 405, "GET, HEAD"},
		{"GET", "/token", 405, "POST"}, // RFC 6749 section 3.2
		{"OPTIONS", "/token", 405, "POST"},
		{"GET", "/dev/rotate", 405, "POST"},
		{"GET", "/dev/nothing", 404, ""},
		{"GET", "/device_authorization", 405, "POST"},
		{"GET", "/revoke", 405, "POST"},     // RFC 7009 section 2.1
		{"GET", "/introspect", 405, "POST"}, // RFC 7662 section 2.1
		{"PUT", "/authorize", 405, "GET, HEAD, POST"},
		{"GET", "/", 404, ""},
		{"GET", "/jwks/x", 404, ""},
	} {
		got := server.do(test.method, test.path, "")
		if got.status != test.status || got.header.Get("Allow") != test.allow {
			t.Errorf("%s %s: %d Allow %q", test.method, test.path, got.status, got.header.Get("Allow"))
		}
		for name, value := range map[string]string{
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got.header.Get(name) != value {
				t.Errorf("%s %s: %s %q", test.method, test.path, name, got.header.Get(name))
			}
		}
	}
}

func TestConfig(t *testing.T) {
	good := func() devissuer.Config { return devissuer.Config{Issuer: "http://127.0.0.1:8880"} }
	for _, test := range []struct {
		name  string
		edit  func(*devissuer.Config)
		fault string // in the error; empty: none
	}{
		{"defaults", func(*devissuer.Config) {}, ""},
		{"https", func(c *devissuer.Config) { c.Issuer = "https://[::1]" }, ""},
		{"no issuer", func(c *devissuer.Config) { c.Issuer = "" }, `Issuer ""`},
		{"issuer with a path", func(c *devissuer.Config) { c.Issuer += "/" }, "Issuer"},
		{"issuer with a query", func(c *devissuer.Config) { c.Issuer += "?a" }, "Issuer"},
		{"issuer of another scheme", func(c *devissuer.Config) { c.Issuer = "ftp://a" }, "Issuer"},
		{"shortest lifetime", func(c *devissuer.Config) { c.TokenLifetime = time.Second }, ""},
		{"longest lifetime", func(c *devissuer.Config) { c.TokenLifetime = 24 * time.Hour }, ""},
		{"part of a second", func(c *devissuer.Config) { c.TokenLifetime = 1500 * time.Millisecond }, "token lifetime 1.5s"},
		{"negative lifetime", func(c *devissuer.Config) { c.TokenLifetime = -time.Second }, "token lifetime"},
		{"lifetime too long", func(c *devissuer.Config) { c.TokenLifetime = 24*time.Hour + time.Second }, "token lifetime"},
		{"unknown algorithm", func(c *devissuer.Config) { c.Algorithm = "HS256" }, `algorithm "HS256"`},
		{"often enough", func(c *devissuer.Config) { c.RotateEvery = 10 * time.Second }, ""},
		{"too often for the tokens", func(c *devissuer.Config) { c.RotateEvery = 9 * time.Second }, "rotations 9s"},
		{"too often for anybody", func(c *devissuer.Config) { c.RotateEvery, c.TokenLifetime = time.Second/2, time.Second }, "time between rotations"},
		{"negative rotation", func(c *devissuer.Config) { c.RotateEvery = -time.Second }, "time between rotations"},
		{"client without id", func(c *devissuer.Config) { c.Clients = []devissuer.Client{{Secret: "s", Scopes: []string{"a"}}} }, "no ID"},
		{"client without secret", func(c *devissuer.Config) { c.Clients = []devissuer.Client{{ID: "x", Scopes: []string{"a"}}} }, `"x": no Secret`},
		{"client without scope", func(c *devissuer.Config) { c.Clients = []devissuer.Client{{ID: "x", Secret: "s"}} }, `"x": no Scopes`},
		{"scope with a space", func(c *devissuer.Config) {
			c.Clients = []devissuer.Client{{ID: "x", Secret: "s", Scopes: []string{"a b"}}}
		}, `"x": a scope`},
		{"client id with a line feed", func(c *devissuer.Config) { c.Clients = []devissuer.Client{{ID: "x\n"}} }, `"x\n": the ID has`},
		{"public client", func(c *devissuer.Config) { c.Clients = []devissuer.Client{app("https://app.example/cb")} }, ""},
		{"unknown grant", func(c *devissuer.Config) { c.Clients = []devissuer.Client{{ID: "x", Grants: []string{"password"}}} }, `"x": grant type "password"`},
		{"public client with a grant of its own", func(c *devissuer.Config) {
			c.Clients = []devissuer.Client{{ID: "x", Scopes: []string{"a"}, Grants: []string{"client_credentials"}}}
		}, `"x": no Secret`},
		{"code without redirect", func(c *devissuer.Config) { c.Clients = []devissuer.Client{app()} }, `"app": no Redirects`},
		{"redirect without code", func(c *devissuer.Config) {
			c.Clients = []devissuer.Client{{ID: "x", Secret: "s", Scopes: []string{"a"}, Redirects: []string{"https://a/"}}}
		}, `"x": redirects without`},
		{"refresh of nothing", func(c *devissuer.Config) {
			c.Clients = []devissuer.Client{{ID: "x", Secret: "s", Scopes: []string{"a"}, Grants: []string{devissuer.GrantRefresh}}}
		}, `"x": refresh_token without`},
		{"bad redirect", func(c *devissuer.Config) { c.Clients = []devissuer.Client{app("http://app.example/cb")} }, `redirect "http://app.example/cb": neither`},
		{"user without id", func(c *devissuer.Config) { c.Users = []devissuer.User{{Name: "Eve"}} }, `user "": no ID`},
		{"user id with a space", func(c *devissuer.Config) { c.Users = []devissuer.User{{ID: "e ve"}} }, `user "e ve": the ID`},
		{"user twice", func(c *devissuer.Config) { c.Users = []devissuer.User{{ID: "eve"}, {ID: "eve"}} }, `user "eve" is there twice`},
		{"user like a client", func(c *devissuer.Config) { c.Users = []devissuer.User{{ID: "dev-device"}} }, `user "dev-device" is there twice, or`},
		{"client twice", func(c *devissuer.Config) {
			c.Clients = append(devissuer.DefaultClients(), devissuer.DefaultClients()...)
		}, `client "dev-device" is there twice`},
	} {
		config := good()
		test.edit(&config)
		_, err := devissuer.New(config)
		if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%s: %v, want %q", test.name, err, test.fault)
		}
	}
}

// app is a public client that people use, at these redirect URIs.
func app(redirects ...string) devissuer.Client {
	return devissuer.Client{
		ID: "app", Grants: []string{devissuer.GrantCode}, Scopes: []string{"line:connect"}, Redirects: redirects,
	}
}
