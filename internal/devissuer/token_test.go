package devissuer_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestTokenEndpoint reads as a list of requests and their answers.
func TestTokenEndpoint(t *testing.T) {
	clients := append(devissuer.DefaultClients(),
		devissuer.Client{ID: "two", Secret: "s", Scopes: []string{"line:connect", "linegate:admin"}},
		devissuer.Client{ID: "ta:ng led", Secret: "p+q&r=%s:ü", Scopes: []string{"line:connect"}},
	)
	server := start(t, devissuer.Config{Clients: clients})

	type edits = []func(*http.Request)
	device := basic("dev-device", "dev-secret")
	const grant = "grant_type=client_credentials"
	const post = "&client_id=dev-device&client_secret=dev-secret"

	for _, test := range []struct {
		name  string
		rfc   string // section of RFC 6749 that asks for it
		path  string // /token
		body  string
		edits edits  // beside the content type
		want  string // the scope granted, or the error
	}{
		{name: "Basic", rfc: "4.4", body: grant, edits: edits{device}, want: "line:connect"},
		{name: "scheme in any case", rfc: "2.3.1", body: grant, edits: edits{header("Authorization", "bASIC ZGV2LWRldmljZTpkZXYtc2VjcmV0")}, want: "line:connect"},
		{name: "both halves form-encoded", rfc: "2.3.1", body: grant, edits: edits{basic("ta:ng led", "p+q&r=%s:ü")}, want: "line:connect"},
		{name: "in the body", rfc: "2.3.1", body: grant + post, want: "line:connect"},
		{name: "client_id beside Basic", rfc: "3.2.1", body: grant + "&client_id=dev-device", edits: edits{device}, want: "line:connect"},
		{name: "unknown parameter", rfc: "3.2", body: grant + "&colour=blue", edits: edits{device}, want: "line:connect"},
		{name: "scope the client has", rfc: "3.3", body: grant + "&scope=line:connect", edits: edits{device}, want: "line:connect"},
		{name: "no scope: all it has", rfc: "3.3", body: grant, edits: edits{basic("two", "s")}, want: "line:connect linegate:admin"},
		{name: "empty scope: as if left out", rfc: "3.2", body: grant + "&scope=", edits: edits{device}, want: "line:connect"},
		{name: "a part of its scopes", rfc: "3.3", body: grant + "&scope=linegate:admin", edits: edits{basic("two", "s")}, want: "linegate:admin"},
		{name: "a scope named twice", rfc: "3.3", body: grant + "&scope=line:connect+line:connect", edits: edits{device}, want: "line:connect"},

		{name: "a scope that it has on request only", rfc: "3.3", body: grant + "&scope=linegate:admin", edits: edits{device}, want: "linegate:admin"},
		{name: "scope of another client", rfc: "5.2", body: grant + "&scope=line:other", edits: edits{device}, want: "invalid_scope"},
		{name: "one scope too many", rfc: "5.2", body: grant + "&scope=line:connect+x", edits: edits{device}, want: "invalid_scope"},
		{name: "two spaces in scope", rfc: "3.3", body: grant + "&scope=line:connect++line:connect", edits: edits{device}, want: "invalid_scope"},
		{name: "quote in scope", rfc: "3.3", body: grant + "&scope=%22", edits: edits{device}, want: "invalid_scope"},

		{name: "wrong secret", rfc: "5.2", body: grant, edits: edits{basic("dev-device", "dev-secre")}, want: "invalid_client"},
		{name: "wrong secret in the body", rfc: "5.2", body: grant + "&client_id=dev-device&client_secret=x", want: "invalid_client"},
		{name: "unknown client", rfc: "5.2", body: grant, edits: edits{basic("nobody", "dev-secret")}, want: "invalid_client"},
		{name: "empty secret of an unknown client", rfc: "5.2", body: grant, edits: edits{basic("nobody", "")}, want: "invalid_client"},
		{name: "no authentication", rfc: "5.2", body: grant, want: "invalid_client"},
		{name: "client_id alone", rfc: "4.4", body: grant + "&client_id=dev-device", want: "invalid_client"},
		{name: "Bearer", rfc: "5.2", body: grant, edits: edits{header("Authorization", "Bearer x")}, want: "invalid_client"},
		{name: "secret not form-encoded", rfc: "2.3.1", body: grant, edits: edits{func(r *http.Request) { r.SetBasicAuth("ta:ng led", "p+q&r=%s:ü") }}, want: "invalid_client"},
		{name: "secret in the URL", rfc: "2.3.1", path: "/token?client_id=dev-device&client_secret=dev-secret", body: grant, want: "invalid_client"},

		{name: "Basic and body at once", rfc: "2.3", body: grant + post, edits: edits{device}, want: "invalid_request"},
		{name: "two Authorization headers", rfc: "2.3", body: grant, edits: edits{device, header("Authorization", "Basic eDp5")}, want: "invalid_request"},
		{name: "client_id differs from Basic", rfc: "2.3", body: grant + "&client_id=two", edits: edits{device}, want: "invalid_request"},
		{name: "parameter repeated", rfc: "3.2", body: grant + "&scope=line:connect&scope=line:connect", edits: edits{device}, want: "invalid_request"},
		{name: "no grant_type", rfc: "4.4.2", body: "scope=line:connect", edits: edits{device}, want: "invalid_request"},
		{name: "grant_type in the URL", rfc: "3.2", path: "/token?" + grant, edits: edits{device}, want: "invalid_request"},
		{name: "JSON", rfc: "4.4.2", body: `{"grant_type":"client_credentials"}`, edits: edits{device, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }}, want: "invalid_request"},
		{name: "body not form-encoded", rfc: "4.4.2", body: grant + "&%zz", edits: edits{device}, want: "invalid_request"},
		{name: "body over 16 KiB", rfc: "5.2", body: grant + "&x=" + strings.Repeat("x", 16<<10), edits: edits{device}, want: "invalid_request"},
		{name: "other grant", rfc: "5.2", body: "grant_type=password&username=a&password=b", edits: edits{device}, want: "unsupported_grant_type"},
	} {
		t.Run(test.rfc+" "+test.name, func(t *testing.T) {
			path := test.path
			if path == "" {
				path = "/token"
			}
			got := server.do("POST", path, test.body, append(edits{form}, test.edits...)...)

			if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" {
				t.Errorf("the answer may be stored (5.1): %v", got.header)
			}
			if got.header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
			}
			if got.status == http.StatusOK {
				if got.member(t, "scope") != test.want || got.member(t, "token_type") != "Bearer" {
					t.Errorf("want scope %q, got %s", test.want, got.body)
				}
				return
			}
			wantStatus, wantChallenge := http.StatusBadRequest, false
			if test.want == "invalid_client" {
				wantStatus, wantChallenge = http.StatusUnauthorized, true
			}
			if got.status != wantStatus || got.member(t, "error") != test.want {
				t.Errorf("want %d %s, got %d %s", wantStatus, test.want, got.status, got.body)
			}
			if challenge := got.header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Basic realm=") != wantChallenge {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
			description, _ := got.member(t, "error_description").(string)
			if !descriptionText.MatchString(description) {
				t.Errorf("error_description %q (5.2)", description)
			}
		})
	}
}

// descriptionText is what RFC 6749 section 5.2 allows in error_description.
var descriptionText = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)
