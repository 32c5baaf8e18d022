package admin

import (
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/logtest"
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
	log      *logtest.Log
}

func serve(t testing.TB) *served {
	t.Helper()
	s := &served{t: t, issuer: authtest.New(t), sessions: &crowd{}, log: new(logtest.Log)}
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

func (v *visitor) ID() string { return v.id }

func (v *visitor) Identity() *auth.Identity { return v.identity }
func (v *visitor) Remote() string           { return "192.0.2.1:5000" }
func (v *visitor) Opened() time.Time        { return opening }
func (v *visitor) Expires() time.Time       { return opening.Add(time.Hour) }

func (v *visitor) End(code wire.Code, _ time.Duration) {
	v.identity = cmp.Or(v.renewed, v.identity)
	v.ended = append(v.ended, code)
}
