package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/logtest"
	"github.com/linegate/linegate/internal/oplog"
)

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
		{"GET", "/v1/revocations?limit=x", 400, "invalid_request", `limit: want 1 to 1000, got "x"`},
		{"POST", "/v1/revocations?issuer=test", 400, "invalid_request", `"issuer": no such parameter`},
		{"DELETE", "/v1/revocations/x?force", 400, "invalid_request", `"force": no such parameter`},
		{"DELETE", "/v1/sessions/x?force=1", 400, "invalid_request", `"force": no such parameter`},
		{"GET", "/v1/sessions?user=x", 400, "invalid_request", `"user": no such parameter`},
		{"GET", "/v1/sessions?Subject=x", 400, "invalid_request", `"Subject": no such parameter`},
		{"GET", "/v1/sessions?subject=x&subject=y", 400, "invalid_request", "subject: given more than once"},
		{"GET", "/v1/sessions?subject=%zz", 400, "invalid_request", "malformed parameters behind the ?"},
		{"GET", "/v1/sessions?subject=x;limit=5", 400, "invalid_request", "malformed parameters behind the ?"},
		{"GET", "/v1/sessions?limit=0", 400, "invalid_request", `limit: want 1 to 1000, got "0"`},
		{"GET", "/v1/sessions?limit=1001", 400, "invalid_request", `limit: want 1 to 1000, got "1001"`},
		{"GET", "/v1/sessions?limit=-1", 400, "invalid_request", `limit: want 1 to 1000, got "-1"`},
		{"GET", "/v1/sessions?limit=", 400, "invalid_request", `limit: want 1 to 1000, got ""`},
		{"GET", "/v1/sessions?limit=ten", 400, "invalid_request", `limit: want 1 to 1000, got "ten"`},
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
		var logged logtest.Log
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
	var logged logtest.Log
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
