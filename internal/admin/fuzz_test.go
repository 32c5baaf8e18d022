package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/state"
)

// FuzzRequest: whatever an operator's program asks for, the API answers with one
// JSON object or nothing, and has no fault. What is revoked is what the body says to
// any reader of JSON, and everything that was tried is on the record.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		`{"session":"A"}`, `{"issuer":"main","token_id":"t1"}`, `{"issuer":"main","all":true,"issued_before":"2020-01-02T03:04:05.5+01:00"}`,
		` {"issuer":"main","subj\u0065ct":"\ud800","expires_at":"2999-01-01T00:00:00Z","reason":"lost"} `, `{"issuer":"main","subject":"a","subject":"b"}`,
		`{"issuer":"main","Subject":"a"}`, `{"issuer":"main","key_id":7}`, `{"issuer":"https://main.test","client_id":"x","all":null}`, `[]`, `{`, "",
	} {
		f.Add(uint8(0), "/v1/revocations", body)
	}
	for _, target := range []string{
		"/v1/sessions", "/v1/sessions?limit=1&after=A", "/v1/sessions?issuer=main&subject=a&client_id=x&key_id=k&token_id=t1", "/v1/sessions?limit=65536",
		"/v1/sessions?subject=a&subject=b", "/v1/sessions?Subject=a", "/v1/sessions?%zz", "/v1/sessions?a;b", "/v1/sessions?access_token=x",
		"/v1/sessions/A", "/v1/sessions/%2e%2e%2f", "/v1/revocations?limit=1&after=0", "/v1/revocations/0000000000000001", "/v1//x/../sessions", "/",
	} {
		f.Add(uint8(1), target, "")
		f.Add(uint8(2), target, "")
	}
	methods := []string{http.MethodPost, http.MethodGet, http.MethodDelete, http.MethodHead, "get"}
	f.Fuzz(func(t *testing.T, method uint8, target, body string) {
		address, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return // net/http answers those
		}
		var log bytes.Buffer
		kept := &ledger{}
		api := New(Config{
			Authenticator: anybody{}, Sessions: devices(), Revocations: kept,
			Issuers: func() map[string]string {
				return map[string]string{"main": "https://main.test", "test": "https://test.test"}
			},
			Log: slog.New(slog.NewJSONHandler(&log, nil)),
		})
		request := &http.Request{
			Method: methods[int(method)%len(methods)], URL: address, RequestURI: target, Host: "gateway",
			Header: http.Header{"Authorization": {"Bearer x.y.z"}}, Body: io.NopCloser(strings.NewReader(body)),
		}
		response := httptest.NewRecorder()
		api.ServeHTTP(response, request)
		checkAnswer(t, response)
		checkLog(t, log.String(), request, response.Code)
		if (response.Code == http.StatusCreated) != (len(kept.records) == 1) {
			t.Fatalf("%d, with %d revocations", response.Code, len(kept.records))
		}
		for _, record := range kept.records {
			checkMeant(t, record, body)
		}
	})
}

func checkAnswer(t *testing.T, response *httptest.ResponseRecorder) {
	t.Helper()
	if response.Code >= 500 {
		t.Fatalf("%d %s", response.Code, response.Body)
	}
	if response.Body.Len() == 0 || response.Code == http.StatusTemporaryRedirect || response.Code == http.StatusMovedPermanently {
		return
	}
	var object map[string]any
	decoder := json.NewDecoder(response.Body)
	if err := decoder.Decode(&object); err != nil || decoder.More() || response.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d, %v: not one JSON object", response.Code, err)
	}
	if description, _ := object["error_description"].(string); len(description) > 512 || strings.ContainsFunc(description, unicode.IsControl) {
		t.Fatalf("described as %q", description)
	}
}

// checkLog wants lines of JSON, and of each act one.
func checkLog(t *testing.T, log string, request *http.Request, status int) {
	t.Helper()
	acts := 0
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) || strings.Contains(line, "panicked") {
			t.Fatalf("logged %s", line)
		}
		if strings.Contains(line, `"msg":"admin act"`) {
			acts++
		}
	}
	want := 0
	switch {
	case status == http.StatusCreated, status == http.StatusNoContent:
		want = 1
	case request.Method == http.MethodPost && request.URL.Path == "/v1/revocations" && status != http.StatusBadRequest:
		want = 1
	}
	if acts < want || acts > 1 {
		t.Fatalf("%d, with %d records: %s", status, acts, log)
	}
}

// checkMeant reads the body in another way.
func checkMeant(t *testing.T, r state.Record, body string) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		t.Fatalf("revoked by %q: %v", body, err)
	}
	said := func(name string) string { text, _ := members[name].(string); return text }
	if r.Session != said("session") || r.Subject != said("subject") || r.ClientID != said("client_id") || r.TokenID != said("token_id") ||
		r.Key != said("key_id") || r.Reason != said("reason") {
		t.Fatalf("%s revoked %+v", body, r)
	}
	if r.All() != (members["all"] == true) || r.Issuer != "https://main.test" && !slices.Contains([]string{"test", "https://test.test"}, said("issuer")) {
		t.Fatalf("%s revoked %+v", body, r)
	}
}

// anybody is let in.
type anybody struct{}

func (anybody) Verify(context.Context, string, auth.Proof) (*auth.Identity, error) {
	return &auth.Identity{Grant: &auth.Grant{IssuerName: "test", Issuer: "https://test.test"}, Subject: "olga", Expires: time.Now().Add(time.Hour)}, nil
}

func (anybody) Scopes() []string { return []string{"linegate:admin"} }

// devices are connected.
func devices() *crowd {
	c := &crowd{revoked: new(auth.Revocations)}
	for _, id := range []string{"A", "B"} {
		c.add(id, auth.Identity{
			Grant:   &auth.Grant{IssuerName: "main", Issuer: "https://main.test", ClientID: "x", KeyID: "k"},
			Subject: "a", TokenID: "t" + id,
			Expires: time.Now().Add(time.Hour), Digest: sha256.Sum256([]byte(id)),
		})
	}
	return c
}

// ledger keeps what was revoked on no disk.
type ledger struct{ records []state.Record }

func (l *ledger) Revoke(r state.Record, inForce func()) (state.Record, error) {
	if err := r.Check(); err != nil {
		return r, err
	}
	r.ID = "0000000000000001"
	l.records = append(l.records, r)
	inForce()
	return r, nil
}

func (l *ledger) TakeBack(string) (state.Record, error) { return state.Record{}, state.ErrNotFound }

func (l *ledger) List(string, int) ([]state.Record, bool) {
	return []state.Record{{ID: "0000000000000002", Revocation: auth.Revocation{Issuer: "https://main.test", Subject: "a"}}}, true
}
