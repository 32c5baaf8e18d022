package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
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
		return fmt.Sprintf(`{"issuer":%q,"token_id":%q,"expires_at":%q}`, iss.URL, id, expires.Format(time.RFC3339))
	}
	for args, want := range map[string]string{
		"--session A":                         `{"session":"A"}`,
		"--token-id t --issuer main":          `{"issuer":"main","token_id":"t"}`,
		"--subject s --issuer main":           `{"issuer":"main","subject":"s"}`,
		"--client-id c --issuer main":         `{"issuer":"main","client_id":"c"}`,
		"--key-id k --issuer main --yes":      `{"issuer":"main","key_id":"k"}`,
		"--all-of-issuer --issuer main --yes": `{"issuer":"main","all":true}`,
		"--session A --reason 1<2":            `{"session":"A","reason":"1\u003c2"}`,
		"--token-file LEAKED":                 ofToken("t-1"),
		"--token-file OTHER --config CONFIG":  ofToken("u-1"),
		"--token-file -":                      ofToken("t-1"),
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
		"iss":     {tokenFile(t, iss, authtest.Claim("iss", nil)), nil, "--token-file: the token does not name its issuer (iss): no gateway takes it"},
		"exp":     {tokenFile(t, iss, authtest.Claim("exp", nil)), nil, "--token-file: the token does not say when it expires (exp): no gateway takes it"},
		"its issuer in --config": {
			tokenFile(t, iss),
			[]string{"--config", config},
			"--token-file: " + config + " has no issuer " + iss.URL + ", which the token names (iss)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, "", append([]string{"revoke", "--token-file", test.file}, test.args...)...)
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

// Each way to name what is revoked, on a gateway: the session ends and its token
// stays out, others do not notice; and all of it until it is taken back.
func TestRevoke(t *testing.T) {
	o := operate(t, nil)
	bystander := o.connect(authtest.Sub("bystander"), authtest.Claim("client_id", "other"))
	token := o.issuer.Token(authtest.Sub("mal\nlory"), authtest.Claim("client_id", "meter"), authtest.Claim("jti", "t-1"))
	leaked := write(t, "leaked.jwt", token)
	kid := o.issuer.SigningKey().ID
	d := o.connectWith(token)
	for _, test := range []struct {
		args   []string
		what   string // is said to be revoked
		always bool   // and never forgotten
		all    bool   // the bystander too
	}{
		{args: []string{"--session", "SESSION"}, what: "issuer=main session=SESSION"},
		{args: []string{"--token-file", leaked}, what: "issuer=main token_id=t-1"},
		{args: []string{"--issuer", "main", "--token-id", "t-1"}, what: "issuer=main token_id=t-1", always: true},
		{args: []string{"--issuer", "main", "--subject", "mal\nlory"}, what: `issuer=main subject="mal\nlory" issued_before=TIME`, always: true},
		{args: []string{"--issuer", "main", "--client-id", "meter", "--for", "24h"}, what: "issuer=main client_id=meter issued_before=TIME"},
		{args: []string{"--issuer", "main", "--key-id", kid, "--yes"}, what: "issuer=main key_id=" + kid, always: true, all: true},
		{args: []string{"--issuer", "main", "--all-of-issuer", "--yes"}, what: "issuer=main all=true issued_before=TIME", always: true, all: true},
	} {
		t.Log(test.args)
		for i, arg := range test.args {
			test.args[i] = strings.ReplaceAll(arg, "SESSION", d.session)
		}
		ended, forgotten := 1, "TIME"
		if test.all {
			ended = 2
		}
		if test.always {
			forgotten = "never"
		}
		got := o.run(append([]string{"revoke", "--reason", "a test"}, test.args...)...)
		_, id, _ := strings.Cut(strings.TrimSpace(got.stdout), "revoke undo ")
		what := strings.ReplaceAll(test.what, "SESSION", d.session)
		want := fmt.Sprintf("Revoked: %s\nSessions ended: %d\nForgotten: %s\nTo take it back: linegatectl revoke undo %s\n",
			what, ended, forgotten, id)
		if got.status != exitOK || timeless(got.stdout) != want || id == "" {
			t.Fatalf("%+v\nwant %s", got, want)
		}
		if got := o.run("revoke", "list"); strings.Count(got.stdout, "\n") != 2 || !strings.HasSuffix(timeless(got.stdout), " "+what+"\n") {
			t.Errorf("%+v", got)
		}
		d.ended()
		if _, answer := o.login(token); !strings.HasPrefix(answer, "BYE invalid_token ") {
			t.Errorf("got %q", answer)
		}
		if test.all {
			bystander.ended()
		} else {
			bystander.lives()
		}
		if got := o.run("revoke", "undo", id); got != (result{exitOK, id + ": taken back\n", ""}) {
			t.Errorf("%+v", got)
		}
		d = o.connectWith(token)
		if test.all {
			bystander = o.connectWith(bystander.token)
		}
	}
}

var anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func timeless(text string) string { return anyTime.ReplaceAllString(text, "TIME") }

// The list is in order of creation, in both forms, and what is not on it cannot
// be taken back.
func TestRevokeList(t *testing.T) {
	o := operate(t, nil)
	if got := o.run("revoke", "list"); got != (result{exitOK, "No revocations.\n", ""}) {
		t.Errorf("%+v", got)
	}
	var ids []string
	for _, subject := range []string{"b", "a b", "c"} {
		got := o.run("revoke", "--issuer", "main", "--subject", subject, "--reason", "\x1b[2J", "--output", "json")
		var made struct{ ID string }
		if err := json.Unmarshal([]byte(got.stdout), &made); err != nil || got.status != exitOK {
			t.Fatalf("%+v, %v", got, err)
		}
		ids = append(ids, made.ID)
	}
	ids = append(ids, "0123456789abcdef")
	got := o.run("revoke", "undo", ids[0], ids[3])
	want := result{exitFailure, ids[0] + ": taken back\n" + ids[3] + ": no such revocation\n", "linegatectl: not found: 1 of 2\n"}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	got = o.run("revoke", "list")
	var lines []string
	for line := range strings.Lines(timeless(got.stdout)) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	wantLines := []string{
		"ID CREATED BY FORGOTTEN REASON REVOKED",
		ids[1] + ` TIME olga never "\x1b[2J" issuer=main subject="a b" issued_before=TIME`,
		ids[2] + ` TIME olga never "\x1b[2J" issuer=main subject=c issued_before=TIME`,
	}
	if !slices.Equal(lines, wantLines) {
		t.Errorf("got %q\nwant %q", lines, wantLines)
	}

	got = o.run("revoke", "list", "--output", "json", "--limit", "1")
	var r struct{ ID, Subject, Reason string }
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || r.ID != ids[1] || r.Subject != "a b" || r.Reason != "\x1b[2J" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What is not there is said so, and what keeps the operator out, with the way back.
func TestRevokeHints(t *testing.T) {
	const own = "Your own token is refused from now on, too: undo takes "
	for _, test := range []struct {
		args, hint string
	}{
		{"--subject nobody --issuer main", ""},
		{"--token-id nobody --issuer main", ""},
		{"--subject olga --issuer main", ""},
		{"--subject olga --issuer ops", own + "a token issued at TIME or later, or by another issuer of admin.issuers\n"},
		{"--key-id ops-1 --yes --issuer ops", own + "a token by another key: by another issuer of admin.issuers, or by this one when it signs with another key\n"},
		{"--token-id t-9 --issuer ops", own + "another token\n"},
	} {
		o := operate(t, nil)
		o.admin[3] = o.operator(authtest.Claim("jti", "t-9"))
		got := o.run(append([]string{"revoke"}, strings.Fields(test.args)...)...)
		_, rest, _ := strings.Cut(timeless(got.stdout), "\n")
		rest, hint, _ := strings.Cut(rest, "revoke undo ")
		_, hint, _ = strings.Cut(hint, "\n")
		if got.status != exitOK || !strings.HasPrefix(rest, "Sessions ended: 0 (none has a token that this means now)\n") || hint != test.hint {
			t.Errorf("%s: %+v\nwant %s", test.args, got, test.hint)
		}
	}
}

// What the gateway has to say against a revocation.
func TestRevokeFails(t *testing.T) {
	o := operate(t, nil)
	const refused = "linegatectl: the admin API answered HTTP 400 invalid_request: "
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--session", "NOBODY"}, "linegatectl: the admin API answered HTTP 404 not_found: session: there is no such session\n"},
		{[]string{"--subject", "a", "--issuer", "nobody"}, refused + "issuer: none is named \"nobody\", nor is that the iss of one; there are: main, ops\n"},
		{[]string{"--subject", strings.Repeat("a", 257), "--issuer", "main"}, refused + "subject: "},
		{[]string{"--subject", "a", "--issuer", "main", "--reason", strings.Repeat("a", 257)}, refused + "reason: "},
		{[]string{"--subject", "a", "--issuer", "main", "--forget-at", "2020-01-31T12:00:00Z"}, refused + "expires_at: is past\n"},
		{
			[]string{"--token-file", tokenFile(t, o.issuer, authtest.Claim("exp", 1700000000))},
			refused + "expires_at: is past (the token's exp is 2023-11-14T22:13:20Z)\n",
		},
		{
			[]string{"--token-file", tokenFile(t, o.issuer, authtest.Claim("iss", "https://other.test"))},
			refused + "issuer: none is named \"https://other.test\", nor is that the iss of one; there are: main, ops\n",
		},
	} {
		if got := o.run(append([]string{"revoke"}, test.args...)...); got.status != exitFailure || !strings.HasPrefix(got.stderr, test.want) || got.stdout != "" {
			t.Errorf("%+v\nwant %s", got, test.want)
		}
	}
}
