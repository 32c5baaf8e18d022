package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// What is asked of the admin API for each way to name what is revoked.
func TestRevokeRequests(t *testing.T) {
	iss := authtest.New(t)
	operator := tokenFile(t, iss)
	expires := time.Now().Add(5 * time.Minute).UTC().Truncate(time.Second)
	exp := authtest.Claim("exp", expires.Unix())
	leaked := tokenFile(t, iss, exp, authtest.Claim("jti", "t-1"))
	other := tokenFile(t, iss, exp, authtest.Claim("jti", nil), authtest.Claim("uti", "u-1"))
	config := write(t, "linegate.yaml", fmt.Sprintf(`
issuers:
  - {name: other, issuer: https://other.test, audience: [a], required_scopes: [s]}
  - {name: main, issuer: %q, audience: [a], required_scopes: [s], token_id_claims: [uti]}
`, iss.URL))
	stdin, err := os.ReadFile(leaked)
	if err != nil {
		t.Fatal(err)
	}
	ofToken := func(id string) string {
		return fmt.Sprintf(`{"issuer":"main","token_id":%q,"expires_at":%q}`, id, expires.Format(time.RFC3339))
	}
	for args, want := range map[string]string{
		"--session A":                                                      `{"session":"A"}`,
		"--token-id t --issuer main":                                       `{"issuer":"main","token_id":"t"}`,
		"--subject s --issuer main":                                        `{"issuer":"main","subject":"s"}`,
		"--client-id c --issuer main":                                      `{"issuer":"main","client_id":"c"}`,
		"--key-id k --issuer main --yes":                                   `{"issuer":"main","key_id":"k"}`,
		"--all-of-issuer --issuer main --yes":                              `{"issuer":"main"}`,
		"--session A --reason 1<2":                                         `{"session":"A","reason":"1\u003c2"}`,
		"--token-file LEAKED --issuer main":                                ofToken("t-1"),
		"--token-file OTHER --config CONFIG":                               ofToken("u-1"),
		"--token-file - --issuer main":                                     ofToken("t-1"),
		"--subject s --issuer m --issued-before 2026-01-31T12:00:00+01:00": `{"issuer":"m","subject":"s","issued_before":"2026-01-31T12:00:00+01:00"}`,
		"--subject s --issuer m --forget-at 2036-01-31T12:00:00Z":          `{"issuer":"m","subject":"s","expires_at":"2036-01-31T12:00:00Z"}`,
	} {
		api := answerAdmin(t, adminAnswer{201, nil, `{"id":"r1"}`})
		line := strings.NewReplacer("LEAKED", leaked, "OTHER", other, "CONFIG", config).Replace(args)
		got := run(t, string(stdin), append(strings.Fields("revoke "+line), "--admin-url", api.url, "--admin-token-file", operator)...)
		if asked := api.requests(); got.status != exitOK || !slices.Equal(asked, []string{"POST /v1/revocations " + want}) {
			t.Errorf("%s: %+v\nasked %q\nwant %s", args, got, asked, want)
		}
	}
}

// What a --token-file can lack.
func TestRevokeTokenFile(t *testing.T) {
	iss := authtest.New(t)
	config := write(t, "linegate.yaml", `
issuers:
  - {name: other, issuer: https://other.test, audience: [a], required_scopes: [s]}
`)
	for name, test := range map[string]struct {
		file string
		args []string
		want string
	}{
		"a file":  {"missing.jwt", nil, "--token-file: open missing.jwt: no such file or directory"},
		"a token": {write(t, "opaque", "abcdefghijklmnopqrstuvwxyz\n"), nil, "--token-file: the token has no dots: it is opaque, no JWT"},
		"jti":     {tokenFile(t, iss, authtest.Claim("jti", nil)), nil, "--token-file: the token has no id (jti, uti): revoke its --session or --subject"},
		"exp":     {tokenFile(t, iss, authtest.Claim("exp", nil)), nil, "--token-file: the token does not say when it expires (exp): no gateway takes it"},
		"its issuer in --config": {
			tokenFile(t, iss),
			[]string{"--config", config},
			"--token-file: " + config + " has no issuer " + iss.URL + ", which the token names (iss)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := test.args
			if args == nil {
				args = []string{"--issuer", "main"}
			}
			got := run(t, "", append([]string{"revoke", "--token-file", test.file}, args...)...)
			if got.status != exitFailure || got.stderr != "linegatectl: "+test.want+"\n" {
				t.Errorf("%+v\nwant %s", got, test.want)
			}
		})
	}
}

// --for counts from now.
func TestRevokeFor(t *testing.T) {
	api := answerAdmin(t, adminAnswer{201, nil, `{"id":"r1"}`})
	before := time.Now().Truncate(time.Second)
	got := run(t, "", "revoke", "--subject", "s", "--issuer", "m", "--for", "24h",
		"--admin-url", api.url, "--admin-token-file", tokenFile(t, authtest.New(t)))
	if got.status != exitOK {
		t.Fatal(got.stderr)
	}
	_, text, _ := strings.Cut(api.requests()[0], `"expires_at":"`)
	at, err := time.Parse(time.RFC3339, strings.TrimSuffix(text, `"}`))
	if err != nil || at.Before(before.Add(24*time.Hour)) || at.After(time.Now().Add(24*time.Hour)) {
		t.Errorf("%s, %v", text, err)
	}
}
