package devissuer_test

import (
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// TestCodeRefused lists token requests for a code that is good, and how they
// are refused; the code is good for the right one afterwards.
func TestCodeRefused(t *testing.T) {
	server := start(t, devissuer.Config{Clients: append(devissuer.DefaultClients(), another())})
	for _, test := range []struct {
		name, rfc string
		pairs     []string
		want      string
	}{
		{"wrong code", "6749 5.2", []string{"code", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, "invalid_grant"},
		{"other redirect", "6749 4.1.3", []string{"redirect_uri", "http://127.0.0.1:54322/callback"}, "invalid_grant"},
		{"wrong verifier", "7636 4.6", []string{"code_verifier", verifier + "x"}, "invalid_grant"},
		{"the challenge as verifier", "7636 4.6", []string{"code_verifier", challenge(verifier)}, "invalid_grant"},
		{"verifier too short", "7636 4.1", []string{"code_verifier", "short"}, "invalid_grant"},
		{"another client", "6749 4.1.3", []string{"client_id", "another"}, "invalid_grant"},
		{"unknown client", "6749 5.2", []string{"client_id", "nobody"}, "invalid_client"},
		{"no client", "6749 5.2", []string{"client_id", ""}, "invalid_client"},
		{"a secret of a public client", "6749 5.2", []string{"client_secret", "x"}, "invalid_client"},
		{"no code", "6749 5.2", []string{"code", ""}, "invalid_request"},
		{"no redirect", "6749 4.1.3", []string{"redirect_uri", ""}, "invalid_request"},
		{"no verifier", "7636 4.5", []string{"code_verifier", ""}, "invalid_request"},
		{"client without this grant", "6749 5.2", []string{"client_id", "dev-device", "client_secret", "dev-secret"}, "unauthorized_client"},
		{"public client in its own name", "6749 4.4", []string{"grant_type", "client_credentials"}, "unauthorized_client"},
	} {
		t.Run(test.rfc+" "+test.name, func(t *testing.T) {
			code := server.code("alice")
			server.exchange(code, test.pairs...).refused(t, test.name, test.want)
			server.exchange(code).tokens(t)
		})
	}
}

// TestCodeOnce: RFC 6749 section 4.1.2, RFC 9700 section 2.1.1: when a code
// comes again, what it gave ends.
func TestCodeOnce(t *testing.T) {
	server := start(t, devissuer.Config{})
	code, other := server.code("alice"), server.login("alice")
	first := server.exchange(code).tokens(t)
	second := server.refresh(first.refresh).tokens(t)

	server.exchange(code).refused(t, "the code again", "invalid_grant")
	server.refresh(second.refresh).refused(t, "its refresh token", "invalid_grant")
	for name, token := range map[string]string{"first": first.access, "second": second.access, "refresh": second.refresh} {
		if server.active(token) {
			t.Errorf("the %s token is active", name)
		}
	}
	if !server.active(other.access) {
		t.Error("another login has ended with it")
	}
}

// TestCodeExpires after 60 s (RFC 9700 section 2.1.1: short-lived).
func TestCodeExpires(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	early, late := server.code("alice"), server.code("alice")
	clock.Advance(time.Minute - 1)
	server.exchange(early).tokens(t)
	clock.Advance(1)
	server.exchange(late).refused(t, "after a minute", "invalid_grant")
}

// TestCodeOfConfidentialClient: secret and verifier both count (RFC 9700
// section 2.1.1), and who is not registered for it gets no refresh token.
func TestCodeOfConfidentialClient(t *testing.T) {
	client := devissuer.Client{
		ID: "site", Secret: "site-secret", Grants: []string{devissuer.GrantCode},
		Scopes: []string{"line:connect"}, Redirects: []string{callback},
	}
	server := start(t, devissuer.Config{Clients: []devissuer.Client{client}})
	wish := wish()
	wish.Set("client_id", "site")
	p := newPerson(t, server).opens("/authorize?"+wish.Encode()).presses("user", "alice")
	code := p.presses("decision", "allow").back().Get("code")

	server.exchange(code, "client_id", "site").refused(t, "no secret", "invalid_client")
	server.exchange(code, "client_id", "site", "client_secret", "x").refused(t, "wrong secret", "invalid_client")
	server.exchange(code, "client_id", "site", "client_secret", "site-secret", "code_verifier", "").
		refused(t, "no verifier", "invalid_request")
	got := server.exchange(code, "client_id", "site", "client_secret", "site-secret").tokens(t)
	if got.refresh != "" {
		t.Error("a refresh token")
	}
}
