package devissuer_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/devissuer"
	"github.com/linegate/linegate/internal/mint"
)

// start serves an issuer on a port of 127.0.0.1; config lacks only its Issuer.
func start(t *testing.T, config devissuer.Config) *testServer {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	config.Issuer = "http://" + web.Listener.Addr().String()
	server, err := devissuer.New(config)
	if err != nil {
		t.Fatal(err)
	}
	web.Config.Handler = server
	web.Start()
	t.Cleanup(web.Close)
	return &testServer{Server: server, t: t, url: config.Issuer}
}

type testServer struct {
	*devissuer.Server
	t   *testing.T
	url string
}

type answer struct {
	status int
	header http.Header
	body   string
}

// member returns a member of the JSON object in the body, nil when it has none.
func (a answer) member(t *testing.T, name string) any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(a.body), &object); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return object[name]
}

// do sends a request that edit has completed.
func (s *testServer) do(method, path, body string, edit ...func(*http.Request)) answer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range edit {
		f(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(content)}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func form(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }

// basic authenticates as RFC 6749 section 2.3.1 says: form-encoded halves.
func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// token gets a token for the ready client.
func (s *testServer) token() string {
	s.t.Helper()
	got := s.do("POST", "/token", "grant_type=client_credentials", form, basic("dev-device", "dev-secret"))
	token, ok := got.member(s.t, "access_token").(string)
	if got.status != http.StatusOK || !ok {
		s.t.Fatalf("no token: %d %s", got.status, got.body)
	}
	return token
}

// keyIDs returns the ids in the published key set.
func (s *testServer) keyIDs() []string {
	s.t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal([]byte(s.do("GET", "/jwks", "").body), &set); err != nil {
		s.t.Fatal(err)
	}
	ids := make([]string, len(set.Keys))
	for i, key := range set.Keys {
		ids[i] = key.Kid
	}
	return ids
}

// verify checks a token as a gateway does that has just fetched the keys.
func (s *testServer) verify(token string, now func() time.Time) error {
	s.t.Helper()
	keys, skipped, err := auth.ParseKeySet([]byte(s.do("GET", "/jwks", "").body))
	if err != nil || len(skipped) > 0 {
		s.t.Fatal(err, skipped)
	}
	verifier, err := auth.NewVerifier(auth.Config{Now: now, Issuers: []auth.IssuerConfig{{
		Name: "dev", Issuer: s.url, Audience: []string{devissuer.DefaultAudience},
		Algorithms: mint.Algorithms, RequiredScopes: []string{"line:connect"},
		Keys: auth.StaticKeys(keys),
	}}})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = verifier.Verify(s.t.Context(), token, auth.Proof{})
	return err
}
