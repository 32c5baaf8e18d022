package devissuer_test

import (
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestRevoke: RFC 7009 section 2.1. With a refresh token all ends, an access
// token ends alone.
func TestRevoke(t *testing.T) {
	server := start(t, devissuer.Config{})
	revoke := func(token string) {
		t.Helper()
		got := server.ask("/revoke", "client_id", "linegatectl", "token", token, "token_type_hint", "access_token")
		if got.status != 200 || got.body != "" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	first := server.login("alice")
	second := server.refresh(first.refresh).tokens(t)

	revoke(first.access)
	if server.active(first.access) || !server.active(second.access) || !server.active(second.refresh) {
		t.Error("an access token: it alone ends")
	}
	revoke(second.refresh)
	if server.active(second.access) || server.active(second.refresh) {
		t.Error("a refresh token: all ends")
	}
	server.refresh(second.refresh).refused(t, "revoked", "invalid_grant")
	revoke(second.refresh)    // section 2.2: again is no error
	revoke("nobody-knows.it") // nor is this
}

// TestRevokeRefused: RFC 7009 section 2.2.1.
func TestRevokeRefused(t *testing.T) {
	server := start(t, devissuer.Config{Clients: append(devissuer.DefaultClients(), another())})
	granted := server.login("alice")
	for _, test := range []struct {
		name, rfc string
		pairs     []string
		want      string
	}{
		{"another client's access token", "7009 2.1", []string{"client_id", "another", "token", granted.access}, "invalid_grant"},
		{"another client's refresh token", "7009 2.1", []string{"client_id", "another", "token", granted.refresh}, "invalid_grant"},
		{"no client", "7009 2.1", []string{"token", granted.access}, "invalid_client"},
		{"wrong secret", "7009 2.1", []string{"client_id", "dev-device", "client_secret", "x", "token", granted.access}, "invalid_client"},
		{"no token", "7009 2.1", []string{"client_id", "linegatectl"}, "invalid_request"},
	} {
		server.ask("/revoke", test.pairs...).refused(t, test.rfc+" "+test.name, test.want)
	}
	server.do("POST", "/revoke", "{}").refused(t, "7009 2.1 no form", "invalid_request")
	if !server.active(granted.access) || !server.active(granted.refresh) {
		t.Error("a token was revoked")
	}
}
