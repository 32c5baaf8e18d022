package client_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/client"
)

// What the token endpoint is sent (RFC 6749 section 4.4.2 and 2.3.1).
func TestTokenRequest(t *testing.T) {
	for name, test := range map[string]struct {
		cfg      client.CredentialsConfig
		wantAuth string // user:password of the Authorization header
		wantForm string
	}{
		"header": {
			client.CredentialsConfig{ClientID: "dev", ClientSecret: "s"},
			"dev:s", "grant_type=client_credentials",
		},
		"header, both halves form-encoded": {
			client.CredentialsConfig{ClientID: "a:b c", ClientSecret: "100% ü"},
			"a%3Ab+c:100%25+%C3%BC", "grant_type=client_credentials",
		},
		"post": {
			client.CredentialsConfig{ClientID: "dev", ClientSecret: "a&b", Post: true},
			"", "client_id=dev&client_secret=a%26b&grant_type=client_credentials",
		},
		"scopes and further parameters": {
			client.CredentialsConfig{
				ClientID: "dev", Scopes: []string{"line:connect", "x"},
				Params: url.Values{"audience": {"linegate"}, "grant_type": {"overridden"}},
			},
			"dev:", "audience=linegate&grant_type=client_credentials&scope=line%3Aconnect+x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var method, kind, auth, form string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, ok := r.BasicAuth()
				if ok {
					auth = user + ":" + password
				}
				body, _ := io.ReadAll(r.Body)
				method, kind, form = r.Method, r.Header.Get("Content-Type"), string(body)
				grantToken(w, "a.b.c", 300)
			}))
			defer server.Close()
			test.cfg.TokenURL = server.URL
			token, err := source(t, test.cfg).Token(t.Context(), false)
			if token != "a.b.c" || err != nil {
				t.Fatalf("got %q, %v", token, err)
			}
			if method != "POST" || kind != "application/x-www-form-urlencoded" {
				t.Errorf("got %s of %s", method, kind)
			}
			if auth != test.wantAuth || form != test.wantForm {
				t.Errorf("got %q, %s\nwant %q, %s", auth, form, test.wantAuth, test.wantForm)
			}
		})
	}
}

// What becomes of the endpoint's answers (RFC 6749 section 5). No error shows
// the secret or a token.
func TestTokenAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		kind   string // default application/json
		body   string
		want   string // the token, or the error
	}{
		"granted":             {200, "", `{"access_token":"a.b.c","token_type":"Bearer"}`, "a.b.c"},
		"type in lower case":  {200, "application/json;charset=UTF-8", `{"access_token":"a.b.c","token_type":"bearer"}`, "a.b.c"},
		"type unknown":        {200, "", `{"access_token":"a.b.c","token_type":"DPoP"}`, `token endpoint: token_type is "DPoP", want Bearer`},
		"type missing":        {200, "", `{"access_token":"a.b.c"}`, `token endpoint: token_type is "", want Bearer`},
		"no token":            {200, "", `{"token_type":"Bearer"}`, "token endpoint: access_token: not a token (a compact JWS of [A-Za-z0-9_-] and dots)"},
		"token with a line":   {200, "", `{"access_token":"tok\nping","token_type":"Bearer"}`, "token endpoint: access_token: not a token (a compact JWS of [A-Za-z0-9_-] and dots)"},
		"not JSON":            {200, "", "tok.tok.tok", "token endpoint: the answer of HOST is not a JSON object"},
		"a page":              {200, "text/html", `{"access_token":"tok.tok.tok","token_type":"Bearer"}`, "token endpoint: the answer of HOST is not a JSON object"},
		"too long":            {200, "", `{"x":"` + strings.Repeat("x", 256<<10) + `"}`, "token endpoint: the answer is longer than 262144 bytes"},
		"refused":             {401, "", `{"error":"invalid_client"}`, "the token endpoint answered HTTP 401 invalid_client"},
		"refused, with words": {400, "", `{"error":"invalid_scope","error_description":"no\u0007such"}`, "the token endpoint answered HTTP 400 invalid_scope: no\ufffdsuch"},
		"words without end":   {400, "", `{"error":"x","error_description":"` + strings.Repeat("y", 999) + `"}`, "the token endpoint answered HTTP 400 x: " + strings.Repeat("y", 256) + "..."},
		"quotes the secret":   {400, "", `{"error":"invalid_client","error_description":"hush+it or hush it?"}`, "the token endpoint answered HTTP 400 invalid_client: <secret> or <secret>?"},
		"refused, no JSON":    {503, "text/plain", "sorry", "the token endpoint answered HTTP 503"},
		"redirect":            {307, "", "", "the token endpoint answered HTTP 307"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", cmp.Or(test.kind, "application/json"))
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			got, err := source(t, client.CredentialsConfig{TokenURL: server.URL, ClientID: "dev", ClientSecret: "hush it"}).Token(t.Context(), false)
			if err != nil {
				got = err.Error()
			}
			if want := strings.ReplaceAll(test.want, "HOST", strings.TrimPrefix(server.URL, "http://")); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			refusal, refused := errors.AsType[*client.TokenError](err)
			if refused != (test.status != 200) || refused && refusal.Status != test.status {
				t.Errorf("got %#v", err)
			}
		})
	}
}

// Where the token endpoint is found (RFC 8414 section 3, then OpenID Connect
// Discovery section 4). ISSUER stands for the configured issuer.
func TestDiscovery(t *testing.T) {
	const good = `{"issuer":"ISSUER","token_endpoint":"BASE/token"}`
	for name, test := range map[string]struct {
		issuerPath string
		documents  map[string]string // by path; all others are not found
		want       string            // part of the error; empty: found
	}{
		"RFC 8414":                       {"", map[string]string{"/.well-known/oauth-authorization-server": good}, ""},
		"RFC 8414, issuer with a path":   {"/t1", map[string]string{"/.well-known/oauth-authorization-server/t1": good}, ""},
		"RFC 8414, issuer with a slash":  {"/t1/", map[string]string{"/.well-known/oauth-authorization-server/t1": good}, ""},
		"OpenID Connect":                 {"/t1", map[string]string{"/t1/.well-known/openid-configuration": good}, ""},
		"OpenID Connect, after a broken": {"", map[string]string{"/.well-known/oauth-authorization-server": "<html>", "/.well-known/openid-configuration": good}, ""},
		"neither":                        {"/t1", nil, "BASE/t1/.well-known/openid-configuration: not found"},
		"another issuer": {
			"",
			map[string]string{"/.well-known/oauth-authorization-server": `{"issuer":"https://evil.example","token_endpoint":"BASE/token"}`},
			`BASE/.well-known/oauth-authorization-server: names another issuer, "https://evil.example"`,
		},
		"an endpoint that would see the secret readable": {
			"",
			map[string]string{"/.well-known/openid-configuration": `{"issuer":"ISSUER","token_endpoint":"http://evil.example/token"}`},
			`token_endpoint: "http://evil.example/token": http is for loopback only`,
		},
		"no endpoint": {
			"",
			map[string]string{"/.well-known/openid-configuration": `{"issuer":"ISSUER"}`},
			`token_endpoint: "": want https://host/path`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var server *httptest.Server
			resolve := func(s string) string {
				return strings.NewReplacer("ISSUER", server.URL+test.issuerPath, "BASE", server.URL).Replace(s)
			}
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				doc, found := test.documents[r.URL.Path]
				switch {
				case r.URL.Path == "/token":
					grantToken(w, "a.b.c", 300)
				case found:
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, resolve(doc))
				default:
					http.NotFound(w, r)
				}
			}))
			defer server.Close()
			token, err := source(t, client.CredentialsConfig{Issuer: server.URL + test.issuerPath, ClientID: "dev"}).Token(t.Context(), false)
			switch {
			case test.want == "" && (token != "a.b.c" || err != nil):
				t.Errorf("got %q, %v", token, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), resolve(test.want))):
				t.Errorf("got  %v\nwant %s", err, resolve(test.want))
			}
		})
	}
}

// A token is kept until a tenth of its life, and at most 30 s, is left.
func TestTokenIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		expiresIn any // as the server writes it
		kept      time.Duration
	}{
		"5 minutes":       {300, 270 * time.Second},
		"as a string":     {"300", 270 * time.Second},
		"20 seconds":      {20, 18 * time.Second},
		"a day":           {86400, 86370 * time.Second},
		"not said":        {nil, 0},
		"already expired": {-5, 0},
		"nonsense":        {"soon", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				tokens := source(t, client.CredentialsConfig{
					TokenURL: "https://login.example.com/token", ClientID: "dev",
					Transport: roundTrip(func(*http.Request) (*http.Response, error) {
						n++
						w := httptest.NewRecorder()
						grantToken(w, fmt.Sprintf("token.%d.x", n), test.expiresIn)
						return w.Result(), nil
					}),
				})
				ask := func(fresh bool, want string) {
					t.Helper()
					if got, err := tokens.Token(t.Context(), fresh); got != want || err != nil {
						t.Errorf("got %s, %v, want %s", got, err, want)
					}
				}
				ask(false, "token.1.x")
				ask(true, "token.2.x")
				if test.kept > 0 {
					<-time.After(test.kept - 1)
					ask(false, "token.2.x")
					<-time.After(1)
				}
				ask(false, "token.3.x")
			})
		})
	}
}

// One that waits its turn can give up; an issuer that hangs is given up after
// 10 s, and is discovered anew: it may have moved.
func TestIssuerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths []string
		hang := false
		tokens := source(t, client.CredentialsConfig{
			Issuer: "https://login.example.com", ClientID: "dev",
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				paths = append(paths, r.URL.Path)
				w := httptest.NewRecorder()
				switch {
				case r.Method == http.MethodGet:
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, `{"issuer":"https://login.example.com","token_endpoint":"https://login.example.com/token"}`)
				case hang:
					<-r.Context().Done()
					return nil, r.Context().Err()
				default:
					grantToken(w, "a.b.c", 300)
				}
				return w.Result(), nil
			}),
		})
		began := time.Now()
		hang = true
		first := make(chan error, 1)
		go func() {
			_, err := tokens.Token(t.Context(), false)
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := tokens.Token(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting: %v", err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("hanging: %v after %v", err, time.Since(began))
		}
		hang = false
		if _, err := tokens.Token(t.Context(), false); err != nil {
			t.Error(err)
		}
		const metadata = "/.well-known/oauth-authorization-server"
		if want := []string{metadata, "/token", metadata, "/token"}; !slices.Equal(paths, want) {
			t.Errorf("asked %v, want %v", paths, want)
		}
	})
}

func TestCredentialsErrors(t *testing.T) {
	for want, cfg := range map[string]client.CredentialsConfig{
		"neither an issuer nor a token URL": {ClientID: "x"},
		"no client id":                      {Issuer: "https://login.example.com"},
		`"http://login.example.com": http is for loopback only, the secret would be sent readable`: {Issuer: "http://login.example.com", ClientID: "x"},
		`"login.example.com": want https://host/path`:                                              {Issuer: "login.example.com", ClientID: "x"},
		`"https://u:xxxxx@login.example.com": user or fragment in a URL`:                           {Issuer: "https://u:p@login.example.com", ClientID: "x"},
		`"ftp://login.example.com": want https://host/path`:                                        {TokenURL: "ftp://login.example.com", ClientID: "x"},
	} {
		if _, err := client.NewClientCredentials(cfg); !errors.Is(err, client.ErrConfig) || err.Error() != "client: configuration: "+want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func source(t *testing.T, cfg client.CredentialsConfig) *client.ClientCredentials {
	t.Helper()
	tokens, err := client.NewClientCredentials(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func grantToken(w http.ResponseWriter, token string, expiresIn any) {
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]any{"access_token": token, "token_type": "Bearer"}
	if expiresIn != nil {
		answer["expires_in"] = expiresIn
	}
	_ = json.NewEncoder(w).Encode(answer)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
