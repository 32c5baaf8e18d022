package devissuer_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestIntrospect: RFC 7662 section 2.2.
func TestIntrospect(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	robot, granted := server.token(), server.login("alice")
	jti := func(token string) any { _, claims := decode(t, token); return claims["jti"] }

	for name, test := range map[string]struct {
		token string
		want  map[string]any
	}{
		"a robot's": {robot, map[string]any{
			"active": true, "token_type": "Bearer", "iss": server.url, "sub": "dev-device", "aud": "linegate",
			"client_id": "dev-device", "scope": "line:connect", "jti": jti(robot), "iat": 1_700_000_000.0, "exp": 1_700_000_300.0,
		}},
		"a person's": {granted.access, map[string]any{
			"active": true, "token_type": "Bearer", "iss": server.url, "sub": "alice", "username": "alice", "aud": "linegate",
			"client_id": "linegatectl", "scope": "line:connect offline_access", "jti": jti(granted.access), "iat": 1_700_000_000.0, "exp": 1_700_000_300.0,
		}},
		"a refresh token": {granted.refresh, map[string]any{
			"active": true, "iss": server.url, "sub": "alice", "username": "alice",
			"client_id": "linegatectl", "scope": "line:connect offline_access",
		}},
		"unknown":            {"x", map[string]any{"active": false}},
		"tampered":           {granted.access + "A", map[string]any{"active": false}},
		"half a refresh one": {granted.refresh[:26], map[string]any{"active": false}},
	} {
		got := server.do("POST", "/introspect", "token="+test.token, form, basic("dev-device", "dev-secret"))
		var body map[string]any
		if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 || !reflect.DeepEqual(body, test.want) {
			t.Errorf("%s: %d %s, want %v", name, got.status, got.body, test.want)
		}
	}

	replaced := granted.refresh
	server.refresh(replaced).tokens(t)
	if server.active(replaced) {
		t.Error("a refresh token that was replaced is active")
	}
	clock.Advance(devissuer.DefaultTokenLifetime)
	if server.active(granted.access) {
		t.Error("an expired token is active")
	}
}

// TestIntrospectRefused: RFC 7662 sections 2.1 and 2.3.
func TestIntrospectRefused(t *testing.T) {
	server := start(t, devissuer.Config{})
	token := server.token()
	for _, test := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"nobody asks", []string{"token", token}, "invalid_client"},
		{"a public client asks", []string{"client_id", "linegatectl", "token", token}, "invalid_client"},
		{"wrong secret", []string{"client_id", "dev-device", "client_secret", "x", "token", token}, "invalid_client"},
		{"no token", []string{"client_id", "dev-device", "client_secret", "dev-secret"}, "invalid_request"},
	} {
		server.ask("/introspect", test.pairs...).refused(t, test.name, test.want)
	}
	server.do("POST", "/introspect", "{}").refused(t, "no form", "invalid_request")
}
