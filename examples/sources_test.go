//go:build examples

package examples

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPythonTokenEndpoint: what the Python example makes of an authorization
// server's answers. None of them may end it, or show what they hold.
func TestPythonTokenEndpoint(t *testing.T) {
	t.Parallel()
	const metadata, token = "/.well-known/oauth-authorization-server/tenant", "/token"
	s := newScript(t)
	gateway := s.host + ":" + s.port // nobody may get there
	for _, test := range []struct {
		name   string
		path   string // where the answer differs from a good one
		status int
		answer string
		says   string // SERVER stands for the server
	}{
		{"no metadata", metadata, 404, "nothing", `no token: SERVER` + metadata + `: HTTP 404 without a reason (action retry)`},
		{"metadata of another", metadata, 200, `{"issuer": "https://other.test"}`, `no token: SERVER/tenant: its metadata names another issuer (action retry)`},
		{"a page for metadata", metadata, 200, `<html>`, `no token: SERVER/tenant: SERVER` + metadata + ` answers no JSON object (action retry)`},
		{"an endpoint without TLS", metadata, 200, `{"issuer": "SERVER/tenant", "token_endpoint": "http://a.test/token"}`, `no token: SERVER/tenant: token_endpoint 'http://a.test/token': want https, or http on loopback (action retry)`},
		{"wrong secret", token, 401, `{"error": "invalid_client"}`, `no token: SERVER/token: HTTP 401 invalid_client (action fix)`},
		{"an error that quotes", token, 400, `{"error": "no dev-secret here"}`, `no token: SERVER/token: HTTP 400 without a reason (action retry)`},
		{"overloaded", token, 503, "later", `no token: SERVER/token: HTTP 503 without a reason (action retry)`},
		{"redirect", token, 307, "", `no token: SERVER/token: HTTP 307 without a reason (action retry)`},
		{"not a bearer token", token, 200, `{"access_token": "eyJhbGciOi.a.b", "token_type": "DPoP"}`, `no token: SERVER/tenant: the token's type is not Bearer (action retry)`},
		{"no token", token, 200, `{"token_type": "Bearer"}`, `no token: what SERVER/tenant gives is not one (action retry)`},
		{"a token that breaks the line", token, 200, `{"access_token": "eyJhbGciOi\nping", "token_type": "bearer"}`, `no token: what SERVER/tenant gives is not one (action retry)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				switch r.URL.Path {
				case test.path:
					w.WriteHeader(test.status)
					_, _ = fmt.Fprint(w, strings.ReplaceAll(test.answer, "SERVER", "http://"+r.Host))
				case metadata:
					_, _ = fmt.Fprintf(w, `{"issuer": "http://%s/tenant", "token_endpoint": "http://%s/token"}`, r.Host, r.Host)
				default:
					t.Errorf("%s was asked for", r.URL.Path)
				}
			}))
			t.Cleanup(server.Close)
			p := run(t, []string{"LINEGATECTL_CLIENT_SECRET=dev-secret"}, "python3", python("--issuer", server.URL+"/tenant", gateway)[1:]...)
			said := p.until(`^linegate_client: (.*); connecting again in `)[1]
			if want := strings.ReplaceAll(test.says, "SERVER", server.URL); said != want {
				t.Errorf("said %q\nwant %q", said, want)
			}
		})
	}
}

// TestPythonRequest: RFC 6749 sections 2.3.1 and 4.4, with an id and a secret
// that need encoding.
func TestPythonRequest(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = fmt.Fprintf(w, `{"issuer": "http://%s", "token_endpoint": "http://%s/token"}`, r.Host, r.Host)
			return
		}
		id, secret, _ := r.BasicAuth()
		select {
		case asked <- strings.Join([]string{id, secret, r.FormValue("grant_type"), r.FormValue("scope")}, " "):
		default:
		}
	}))
	t.Cleanup(server.Close)
	run(t, []string{"LINEGATECTL_CLIENT_SECRET=s e:c%r+t"}, "python3",
		python("--issuer", server.URL, "--client-id", "pump 7", "--scope", "line:connect other", s.host+":"+s.port)[1:]...)
	if got, want := <-asked, "pump+7 s+e%3Ac%25r%2Bt client_credentials line:connect other"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNoToken: what gives no token is named, and tried again.
func TestNoToken(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	address := s.host + ":" + s.port
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("eyJhbGciOi two words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		command []string
		says    string
	}{
		{python("--token-command", "/nonexistent a", address), `linegate_client: no token: /nonexistent: No such file or directory`},
		{python("--token-command", "sh -c 'echo first >&2; echo why >&2; exit 3'", address), `linegate_client: no token: sh ended with status 3: why`},
		{python("--token-command", "cat "+bad, address), `linegate_client: no token: what cat gives is not one`},
		{python("--token-file", "/nonexistent", address), `linegate_client: no token: /nonexistent: No such file or directory`},
		{python("--token-file", bad, address), `linegate_client: no token: what ` + bad + ` gives is not one`},
		{[]string{programs.device, "/nonexistent", s.host, s.port}, `device: no token: /nonexistent: No such file or directory`},
		{[]string{programs.device, bad, s.host, s.port}, `device: no token: the first line of ` + bad + ` is not one`},
	} {
		p := run(t, nil, test.command[0], test.command[1:]...)
		if said := p.until(`^(.*) \(action retry\); connecting again in `)[1]; said != test.says {
			t.Errorf("said %q, want %q", said, test.says)
		}
	}
}
