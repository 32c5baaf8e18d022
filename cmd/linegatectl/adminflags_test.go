package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/devissuer"
)

// Whose token it is that the admin API gets.
func TestAdminToken(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	environ, store := loggedIn(t, issuer)
	stored, err := store.find(issuer.url, "")
	if err != nil {
		t.Fatal(err)
	}
	token := authtest.New(t).Token()
	for name, test := range map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"of the login":      {"", []string{"--login-issuer", issuer.url}, stored.AccessToken},
		"of a file":         {"", []string{"--admin-token-file", write(t, "token", token+"\r\n")}, token},
		"piped in":          {token + "\n", []string{"--admin-token-file", "-"}, token},
		"as an AUTH line":   {"AUTH " + token + "\n", []string{"--admin-token-file", "-"}, token},
		"of another client": {"", []string{"--login-issuer", issuer.url, "--login-client-id", "linegatectl"}, stored.AccessToken},
	} {
		api := answerAdmin(t, adminAnswer{200, nil, `{"items":[],"next":null}`})
		got := runWith(t, environ, test.stdin, append([]string{"sessions", "--admin-url", api.url}, test.args...)...)
		api.mu.Lock()
		if got.status != exitOK || !slices.Equal(api.tokens, []string{"Bearer " + test.want}) {
			t.Errorf("%s: %+v, with %d tokens", name, got, len(api.tokens))
		}
		api.mu.Unlock()
	}
}

// A person's use: log in as an operator and go on, also when the token is no
// longer good, as long as the login is.
func TestOperatorLogin(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	o := operate(t, func(c *config.Config) {
		dev := config.NewIssuer()
		dev.Name, dev.Issuer = "dev", issuer.url
		dev.Audience, dev.RequiredScopes = []string{devissuer.DefaultAudience}, []string{"line:connect"}
		c.Issuers = append(c.Issuers, dev)
		c.Admin.Issuers = append(c.Admin.Issuers, "dev")
	})
	environ, store := loggedIn(t, issuer)
	operator := func(args ...string) result {
		t.Helper()
		return runWith(t, environ, "", append(args, "--admin-url", "http://"+o.api, "--login-issuer", issuer.url)...)
	}
	const lacks = "linegatectl: the token lacks the scope linegate:admin (insufficient_scope: the token must have the scope linegate:admin); log in again: linegatectl login --admin --issuer "
	if got := operator("sessions"); got != (result{exitFailure, "", lacks + issuer.url + "\n"}) {
		t.Errorf("%+v", got)
	}

	r := startWith(t, environ, "login", "--admin", "--no-browser", "--issuer", issuer.url)
	if _, err := decide(http.DefaultTransport, r.address(), "alice", "allow"); err != nil {
		t.Fatal(err)
	}
	r.ends(exitOK)
	if got := operator("sessions"); got != (result{exitOK, "No sessions.\n", ""}) {
		t.Errorf("%+v", got)
	}
	stored, err := store.find(issuer.url, "")
	if err != nil {
		t.Fatal(err)
	}
	_, claims, err := decode(stored.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if got := operator("revoke", "--issuer", "dev", "--token-id", fmt.Sprint(claims["jti"])); got.status != exitOK {
		t.Errorf("%+v", got)
	}
	if got := operator("sessions"); got != (result{exitOK, "No sessions.\n", ""}) || issuer.count("refresh_token") != 1 {
		t.Errorf("%+v", got)
	}
	issuer.wantNoSecret(t, operator("revoke", "list", "--output", "json").stdout)

	issuer.fail("/token", answerWith(400, `{"error":"invalid_grant"}`))
	expire(t, store, time.Now())
	got := operator("sessions")
	if got.status != exitFailure || !strings.HasSuffix(got.stderr, "; log in again: linegatectl login --admin --issuer "+issuer.url+"\n") {
		t.Errorf("%+v", got)
	}
}

// Over TLS, with the certificate that the gateway wants of its operators, and
// with a token that is bound to it (RFC 8705).
func TestAdminTLS(t *testing.T) {
	certs := certtest.New(t)
	o := operate(t, func(c *config.Config) {
		c.Admin.TLS = config.AdminTLS{Cert: certs.Cert, Key: certs.Key, ClientCA: certs.CA}
	})
	pair, err := tls.LoadX509KeyPair(certs.Cert, certs.Key)
	if err != nil {
		t.Fatal(err)
	}
	stranger := certtest.New(t)
	hash := sha256.Sum256(pair.Certificate[0])
	bound := o.operator(authtest.Claim("cnf", map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(hash[:])}))
	other := o.operator(authtest.Claim("cnf", map[string]string{"x5t#S256": strings.Repeat("A", 43)}))
	for name, test := range map[string]struct {
		token string
		args  []string
		want  string // on standard error
	}{
		"with the certificate": {o.operator(), []string{"--client-cert", certs.Cert, "--client-key", certs.Key}, ""},
		"a bound token":        {bound, []string{"--client-cert", certs.Cert, "--client-key", certs.Key}, ""},
		"bound to another": {
			other,
			[]string{"--client-cert", certs.Cert, "--client-key", certs.Key},
			"linegatectl: the admin API refused the token (invalid_token: ",
		},
		"without it": {
			o.operator(),
			nil,
			"linegatectl: the admin API at " + o.api + " wants a client certificate (TLS alert: certificate required): give --client-cert and --client-key\n",
		},
		"with one by another authority": {
			o.operator(),
			[]string{"--client-cert", stranger.Cert, "--client-key", stranger.Key},
			"linegatectl: the admin API at " + o.api + " wants a client certificate by another authority than that of --client-cert (TLS alert: unknown certificate authority)\n",
		},
	} {
		got := run(t, "", append([]string{"sessions", "--admin-url", "https://" + o.api, "--ca-file", certs.CA, "--admin-token-file", test.token}, test.args...)...)
		if !strings.HasPrefix(got.stderr, test.want) || (test.want == "") != (got == result{exitOK, "No sessions.\n", ""}) {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
	}
	got := run(t, "", "sessions", "--admin-url", "http://"+o.api, "--admin-token-file", o.operator())
	if got.status != exitFailure || got.stderr != "linegatectl: "+o.api+" answered HTTP 400 and no JSON: is that the admin API? (if it has TLS there: --admin-url https://"+o.api+")\n" {
		t.Errorf("in clear: %+v", got)
	}
}

// The admin verbs' wrong usage.
func TestAdminUsage(t *testing.T) {
	other := write(t, "linegate.yaml", "issuers: [")
	for line, want := range map[string]string{
		"sessions alice":                                           `unknown command "alice" for "linegatectl sessions"`,
		"sessions --limit -1":                                      "--limit: want at least 0",
		"sessions --output yaml":                                   `--output: "yaml" is neither table nor json`,
		"sessions --admin-url 127.0.0.1:9886":                      "--admin-url: want http://host:port or https://host:port",
		"sessions --admin-url ftp://127.0.0.1":                     "--admin-url: want http://host:port or https://host:port",
		"sessions --admin-url https://a:b@127.0.0.1":               "--admin-url: want no user, query or fragment in it",
		"sessions --admin-url http://192.0.2.1:9886":               "--admin-url: http is for loopback only, the token would cross the network to 192.0.2.1:9886 readable",
		"sessions --admin-url http://localhost.evil.test":          "--admin-url: http is for loopback only, the token would cross the network to localhost.evil.test readable",
		"sessions --ca-file ca.pem":                                "--ca-file: only with an --admin-url of https",
		"sessions --admin-url https://gw.test --client-cert c.pem": "--client-cert and --client-key: want both or none",
		"sessions --admin-token-file x --login-issuer y":           "--login-issuer: not beside --admin-token-file",

		"kick":           "requires at least 1 arg(s), only received 0",
		"kick ..":        "..: not an id",
		"kick A a/b":     "a/b: not an id",
		"kick A?limit=1": "A?limit=1: not an id",

		"revoke":               "nothing to revoke: want one of " + targetNames,
		"revoke alice":         `unknown command "alice" for "linegatectl revoke"`,
		"revoke --issuer main": "nothing to revoke: want one of " + targetNames,
		"revoke --subject a --issuer main --client-id b":                         "--client-id: not beside --subject; want one of " + targetNames,
		"revoke --subject= --issuer main":                                        "--subject: is empty",
		"revoke --all-of-issuer=false --issuer main":                             "--all-of-issuer: is empty",
		"revoke --subject a":                                                     "--issuer: its configured name is needed with --subject",
		"revoke --all-of-issuer --yes":                                           "--issuer: its configured name is needed with --all-of-issuer",
		"revoke --session A --issuer main":                                       "--issuer: not with --session, which tells it",
		"revoke --subject a --config x":                                          "--config: only with --token-file",
		"revoke --token-file x --issuer a":                                       "--issuer: not with --token-file, which tells it",
		"revoke --token-file - --admin-token-file -":                             "--token-file and --admin-token-file: not both standard input",
		"revoke --all-of-issuer --issuer main":                                   "--all-of-issuer: keeps out and ends everybody with such a token; --yes does it",
		"revoke --key-id k --issuer main":                                        "--key-id: keeps out and ends everybody with such a token; --yes does it",
		"revoke --token-id t --issuer main --issued-before 2026-01-31T12:00:00Z": "--issued-before: only with --subject, --client-id or --all-of-issuer",
		"revoke --subject a --issuer main --issued-before yesterday":             "--issued-before: yesterday is no time such as 2026-01-31T12:00:00Z",
		"revoke --subject a --issuer main --forget-at soon":                      "--forget-at: soon is no time such as 2026-01-31T12:00:00Z",
		"revoke --subject a --issuer main --forget-at x --for 1h":                "--for: not beside --forget-at",
		"revoke --subject a --issuer main --for 0s":                              "--for: want more than 0",
		"revoke --subject a --issuer main --for 7d":                              "--for: 7d is no duration such as 90m or 24h; 7 days are 168h",
		"revoke --session A --for 1h":                                            "--for, --forget-at: not with --session, whose token says when it expires",
		"revoke --session A --output yaml":                                       `--output: "yaml" is neither table nor json`,
		"revoke list A":                                                          `unknown command "A" for "linegatectl revoke list"`,
		"revoke list --limit -1":                                                 "--limit: want at least 0",
		"revoke undo":                                                            "requires at least 1 arg(s), only received 0",
		"revoke undo ../sessions":                                                "../sessions: not an id",
	} {
		got := run(t, "", strings.Fields(line)...)
		if got.status != exitUsage || got.stderr != "linegatectl: "+want+"\n" || got.stdout != "" {
			t.Errorf("%s: status %d\n got %swant linegatectl: %s", line, got.status, got.stderr, want)
		}
	}
	if got := run(t, "", "revoke", "--token-file", "-", "--config", other); got.status != exitConfig {
		t.Errorf("%+v", got)
	}
}
