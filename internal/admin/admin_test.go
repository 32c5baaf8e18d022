package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/oplog"
	"github.com/linegate/linegate/internal/state"
	"github.com/linegate/linegate/wire"
)

// served is an admin API on a port of its own, whose operators are those of a
// real issuer.
type served struct {
	t        testing.TB
	url      string
	issuer   *authtest.Issuer
	sessions *crowd
	state    *state.Dir
	log      *syncBuffer
}

func serve(t testing.TB) *served {
	t.Helper()
	s := &served{t: t, issuer: authtest.New(t), sessions: &crowd{}, log: new(syncBuffer)}
	var err error
	if s.state, err = state.Open(t.TempDir(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.state.Close)
	s.sessions.revoked = s.state.Revocations()
	log := slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	rules := s.issuer.Config()
	rules.RequiredScopes = []string{"linegate:admin", "linegate:write"}
	verifier, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{rules}})
	if err != nil {
		t.Fatal(err)
	}
	api := New(Config{
		Authenticator: &gatekeeper{verifier, rules.RequiredScopes},
		Sessions:      s.sessions,
		Revocations:   s.state,
		Issuers:       func() map[string]string { return map[string]string{"test": s.issuer.URL, "main": "https://main.test"} },
		Log:           log,
	})
	server := NewServer(api, log)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(socket) }()
	t.Cleanup(func() { server.Close() })
	s.url = "http://" + socket.Addr().String()
	return s
}

// token is an operator's.
func (s *served) token(changes ...authtest.Change) string {
	return s.issuer.Token(append([]authtest.Change{
		authtest.Claim("scope", "linegate:write linegate:admin"), authtest.Sub("alice"),
	}, changes...)...)
}

// do sends a request with an operator's token.
func (s *served) do(method, path, body string) *reply {
	s.t.Helper()
	return s.send(method, path, body, http.Header{"Authorization": {"Bearer " + s.token()}})
}

func (s *served) send(method, path, body string, header http.Header) *reply {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		s.t.Errorf("%s %s: Cache-Control: %q", method, path, got)
	}
	for name := range response.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			s.t.Errorf("%s %s: %s, and no other origin has business here", method, path, name)
		}
	}
	return &reply{s.t, response, string(text)}
}

// reply is an answer with its body read.
type reply struct {
	t testing.TB
	*http.Response
	text string
}

// problem returns the members of an error's body.
func (r *reply) problem() (code, description string) {
	r.t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	r.decode(&body)
	return body.Error, body.Description
}

func (r *reply) decode(v any) {
	r.t.Helper()
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		r.t.Errorf("Content-Type: %q", got)
	}
	decoder := json.NewDecoder(strings.NewReader(r.text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		r.t.Fatalf("%d %q: %v", r.StatusCode, r.text, err)
	}
}

// gatekeeper is a verifier that knows what it asks for.
type gatekeeper struct {
	*auth.Verifier
	scopes []string
}

func (g *gatekeeper) Scopes() []string { return g.scopes }

// crowd are sessions that only say what ended them.
type crowd struct {
	revoked *auth.Revocations

	mu  sync.Mutex
	all []*visitor
}

func (c *crowd) add(id string, identity auth.Identity) *visitor {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &visitor{id: id, identity: &identity}
	c.all = append(c.all, v)
	return v
}

func (c *crowd) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = slices.DeleteFunc(c.all, func(v *visitor) bool { return v.id == id })
}

func (c *crowd) Sessions() []Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Session
	for _, v := range c.all {
		all = append(all, v)
	}
	return all
}

// Review ends those whose token is revoked.
func (c *crowd) Review() (withdrawn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.all {
		if len(v.ended) == 0 && c.revoked.Revoked(v.identity, time.Now()) {
			v.ended = append(v.ended, wire.TokenRevoked)
			withdrawn++
		}
	}
	return withdrawn
}

func (c *crowd) Session(id string) (Session, bool) {
	for _, s := range c.Sessions() {
		if s.ID() == id {
			return s, true
		}
	}
	return nil, false
}

type visitor struct {
	id       string
	identity *auth.Identity
	renewed  *auth.Identity // what it is just before it ends; nil: as it was
	ended    []wire.Code
}

// opening is when every visitor came.
var opening = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))

func (v *visitor) ID() string               { return v.id }
func (v *visitor) Identity() *auth.Identity { return v.identity }
func (v *visitor) Remote() string           { return "192.0.2.1:5000" }
func (v *visitor) Opened() time.Time        { return opening }
func (v *visitor) Expires() time.Time       { return opening.Add(time.Hour) }

func (v *visitor) End(code wire.Code, _ time.Duration) {
	v.identity = cmp.Or(v.renewed, v.identity)
	v.ended = append(v.ended, code)
}

// syncBuffer collects a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// take returns what came since the last call.
func (b *syncBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.b.String()
	b.b.Reset()
	return text
}

// What there is, by which methods, and what a wrong address or parameter is
// told.
func TestRoutes(t *testing.T) {
	s := serve(t)
	for _, test := range []struct {
		method, path string
		status       int
		code, text   string
	}{
		{"GET", "/v1/sessions", 200, "", ""},
		{"HEAD", "/v1/sessions", 200, "", ""},
		{"GET", "/", 404, "not_found", "no such path"},
		{"GET", "/v1", 404, "not_found", "no such path"},
		{"GET", "/v1/sessions/", 404, "not_found", "no such path"},
		{"GET", "/v2/sessions", 404, "not_found", "no such path"},
		{"POST", "/v1/sessions", 405, "method_not_allowed", "want GET, HEAD"},
		{"OPTIONS", "/v1/sessions", 405, "method_not_allowed", "want GET, HEAD"},
		{"GET", "/v1/sessions/x", 405, "method_not_allowed", "want DELETE"},
		{"DELETE", "/v1/sessions/x", 404, "not_found", "no such session"},
		{"GET", "/v1/revocations", 200, "", ""},
		{"PUT", "/v1/revocations", 405, "method_not_allowed", "want GET, HEAD, POST"},
		{"GET", "/v1/revocations/x", 405, "method_not_allowed", "want DELETE"},
		{"DELETE", "/v1/revocations/x", 404, "not_found", "no such revocation"},
		{"GET", "/v1/revocations?subject=x", 400, "invalid_request", `"subject": no such parameter`},
		{"GET", "/v1/revocations?limit=x", 400, "invalid_request", "limit: want 1 to 1000, got x"},
		{"POST", "/v1/revocations?issuer=test", 400, "invalid_request", `"issuer": no such parameter`},
		{"DELETE", "/v1/revocations/x?force", 400, "invalid_request", `"force": no such parameter`},
		{"DELETE", "/v1/sessions/x?force=1", 400, "invalid_request", `"force": no such parameter`},
		{"GET", "/v1/sessions?user=x", 400, "invalid_request", `"user": no such parameter`},
		{"GET", "/v1/sessions?Subject=x", 400, "invalid_request", `"Subject": no such parameter`},
		{"GET", "/v1/sessions?subject=x&subject=y", 400, "invalid_request", "subject: given more than once"},
		{"GET", "/v1/sessions?subject=%zz", 400, "invalid_request", "malformed parameters behind the ?"},
		{"GET", "/v1/sessions?subject=x;limit=5", 400, "invalid_request", "malformed parameters behind the ?"},
		{"GET", "/v1/sessions?limit=0", 400, "invalid_request", "limit: want 1 to 1000, got 0"},
		{"GET", "/v1/sessions?limit=1001", 400, "invalid_request", "limit: want 1 to 1000, got 1001"},
		{"GET", "/v1/sessions?limit=-1", 400, "invalid_request", "limit: want 1 to 1000, got -1"},
		{"GET", "/v1/sessions?limit=", 400, "invalid_request", "limit: want 1 to 1000, got "},
		{"GET", "/v1/sessions?limit=ten", 400, "invalid_request", "limit: want 1 to 1000, got ten"},
		{"GET", "/v1/sessions?limit=1000", 200, "", ""},
	} {
		got := s.do(test.method, test.path, "")
		if got.StatusCode != test.status {
			t.Errorf("%s %s: %s %s", test.method, test.path, got.Status, got.text)
			continue
		}
		if test.code == "" {
			continue
		}
		if code, text := got.problem(); code != test.code || text != test.text {
			t.Errorf("%s %s: %s, %s; want %s, %s", test.method, test.path, code, text, test.code, test.text)
		}
		if want := strings.TrimPrefix(test.text, "want "); test.status == 405 && got.Header.Get("Allow") != want {
			t.Errorf("%s %s: Allow: %s", test.method, test.path, got.Header.Get("Allow"))
		}
	}
}

// A fault of the gateway is told as such, without what caused it, and the log
// has that.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]Authenticator{
		"panics": faulty(func() error { panic("holds a secret") }),
		"fails":  faulty(func() error { return io.ErrUnexpectedEOF }),
	} {
		var logged syncBuffer
		api := New(Config{Authenticator: fault, Sessions: &crowd{}, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		request := httptest.NewRequest("GET", "/v1/sessions", nil)
		request.Header.Set("Authorization", "Bearer x")
		got := httptest.NewRecorder()
		api.ServeHTTP(got, request)
		if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), `"error":"server_error"`) {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
		if text := logged.String() + got.Body.String(); strings.Contains(text, "secret") || !strings.Contains(text, "remote=") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// faulty is an authenticator with a fault.
type faulty func() error

func (f faulty) Verify(context.Context, string, auth.Proof) (*auth.Identity, error) { return nil, f() }
func (f faulty) Scopes() []string                                                   { return nil }

// A client that dawdles or sends without end is cut off.
func TestServerLimits(t *testing.T) {
	server := NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	for name, limit := range map[string]time.Duration{
		"ReadHeaderTimeout": server.ReadHeaderTimeout, "ReadTimeout": server.ReadTimeout,
		"WriteTimeout": server.WriteTimeout, "IdleTimeout": server.IdleTimeout,
	} {
		if limit <= 0 || limit > time.Minute {
			t.Errorf("%s: %v", name, limit)
		}
	}
	s := serve(t)
	for length, want := range map[int]int{16 << 10: 401, 64 << 10: 431} { // a token may be as long as a line, and no longer
		request, err := http.NewRequest("GET", s.url+"/v1/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.Repeat("x", length))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("a token of %d bytes: %s", length, response.Status)
		}
	}
}

// What the server complains of is one kind of record, whichever client it was.
func TestComplaints(t *testing.T) {
	var logged syncBuffer
	level := new(slog.LevelVar)
	log, err := oplog.New(&logged, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(http.NotFoundHandler(), log)
	for port := range 100 {
		server.ErrorLog.Printf("http: TLS handshake error from 192.0.2.1:%d: EOF", 5000+port)
	}
	got := logged.String()
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"WARN","msg":"admin API's server","error":"http: TLS handshake error from 192.0.2.1:5000: EOF"}`) {
		t.Errorf("logged %s", got)
	}
}
