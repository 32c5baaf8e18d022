package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/devissuer"
	"github.com/linegate/linegate/session"
)

// The story from the first click to the conversation, and out again. The
// browser is a process that BROWSER names.
func TestLogin(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(t.TempDir(), "new", "folder", "tokens.json")
	environ := []string{storeVariable + "=" + store, "BROWSER=/nowhere/browser:" + self + " %s", roleVariable + "=browser"}

	got := runWith(t, environ, "", "login", "--issuer", issuer.url)
	if got.status != exitOK || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{
		"To log in at " + issuer.url + ", open this address in a browser on this machine:\n\n  " + issuer.url + "/authorize?",
		"\nA browser is being opened.\nWaiting for the answer, at most 5m0s; Ctrl-C gives up.\n",
		"\nLogged in as alice at " + issuer.url + ", for: line:connect offline_access\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	issuer.wantNoSecret(t, got.stdout)

	token := runWith(t, environ, "", "token", "--issuer", issuer.url)
	if sub := subjectOf(t, token.stdout); sub != "alice" || token.stderr != "" {
		t.Errorf("token of %s, %+v", sub, token)
	}
	if again := runWith(t, environ, "", "token", "--issuer", issuer.url); again != token {
		t.Errorf("the token lasts, and is another")
	}
	if robot := runWith(t, environ, "", "token", "--issuer", issuer.url, "--client-credentials"); subjectOf(t, robot.stdout) != "dev-device" {
		t.Errorf("%+v", robot)
	}

	address := gateway(t, verifier(t, issuer.url), session.Rules{}, nil)
	talk := runWith(t, environ, "Hello World!\n", "connect", "--issuer", issuer.url, address)
	if talk.status != exitOK || !strings.Contains(talk.stdout, "\n< from server: Hello World!\n") ||
		talk.stderr != "linegatectl: using the login of alice at "+issuer.url+"\n" {
		t.Errorf("%+v", talk)
	}
	issuer.wantNoSecret(t, talk.stdout+talk.stderr)

	fresh := runWith(t, environ, "", "token", "--issuer", issuer.url, "--fresh")
	if fresh.stdout == token.stdout || subjectOf(t, fresh.stdout) != "alice" || issuer.count("refresh_token") != 1 {
		t.Errorf("--fresh: %+v", fresh)
	}

	out := runWith(t, environ, "", "logout", "--issuer", issuer.url)
	if want := "Logged out: alice at " + issuer.url + "\n"; out != (result{stdout: want}) {
		t.Errorf("%+v", out)
	}
	issuer.wantNoSecret(t, out.stdout)
	if robot := runWith(t, environ, "", "token", "--issuer", issuer.url); subjectOf(t, robot.stdout) != "dev-device" {
		t.Errorf("logged out: %+v", robot)
	}
}

// What is asked for, and how (RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC
// 8252 section 7.3).
func TestLoginAddress(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	for args, want := range map[string]map[string]string{
		"": {"scope": "line:connect offline_access", "prompt": "consent", "client_id": "linegatectl"},
		"--client-id mine --scope a,b --audience au --resource https://r.test": {
			"scope": "a b", "prompt": "", "client_id": "mine", "audience": "au", "resource": "https://r.test",
		},
	} {
		r := start(t, append(strings.Fields("login --no-browser "+args), "--issuer", issuer.url)...)
		asked := query(t, r.address())
		want["response_type"], want["code_challenge_method"] = "code", "S256"
		for name, value := range want {
			if asked.Get(name) != value {
				t.Errorf("%s: %s is %q, want %q", args, name, asked.Get(name), value)
			}
		}
		redirect, err := url.Parse(asked.Get("redirect_uri"))
		if err != nil || redirect.Scheme != "http" || redirect.Hostname() != "127.0.0.1" || redirect.Port() == "" || redirect.Path != "/callback" {
			t.Errorf("redirect_uri %s", redirect)
		}
		if len(asked.Get("state")) < 22 || len(asked.Get("code_challenge")) != 43 {
			t.Errorf("state %s, code_challenge %s", asked.Get("state"), asked.Get("code_challenge"))
		}
		r.cancel()
		r.ends(exitFailure)
		if _, stderr := r.rest(); stderr != "linegatectl: interrupted\n" {
			t.Errorf("interrupted: %s", stderr)
		}
	}
}

// Issuers with which no login is tried.
func TestLoginNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		metadata string // beside issuer and token endpoint
		args     []string
		stderr   string
	}{
		"no authorization endpoint": {"", nil, "issuer ISSUER names no authorization endpoint that can be used; is there --device?"},
		"no device endpoint":        {"", []string{"--device"}, "issuer ISSUER names no device authorization endpoint that can be used"},
		"PKCE plain only": {
			`,"authorization_endpoint":"ISSUER/a","code_challenge_methods_supported":["plain"]`, nil,
			"issuer ISSUER does not take PKCE with S256, without which a code could be stolen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := observedIssuer(t, devissuer.Config{})
			fill := strings.NewReplacer("ISSUER", issuer.url).Replace
			issuer.fail("/.well-known/oauth-authorization-server", answerWith(200, fill(`{"issuer":"ISSUER","token_endpoint":"ISSUER/token"`+test.metadata+`}`)))
			got := run(t, "", append([]string{"login", "--issuer", issuer.url}, test.args...)...)
			if got.status != exitFailure || got.stderr != "linegatectl: "+fill(test.stderr)+"\n" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A code that the issuer takes, and yet no login: what it gave is of no use.
func TestLoginUselessTokens(t *testing.T) {
	for answer, want := range map[string]string{
		`{"access_token":"opaque-opaque-opaque","token_type":"Bearer"}`: "the issuer gave an access token that no gateway takes: the token has no dots: it is opaque, no JWT (some issuers want --audience or --resource)",
		`{"access_token":"e30.e30.\nping","token_type":"Bearer"}`:       "the issuer gave an access token that no gateway takes: the token has characters that no JWT has (some issuers want --audience or --resource)",
		`{"access_token":"e30.e30.opaque-opaque","token_type":"DPoP"}`:  "the issuer gave a token of type DPoP, want Bearer",
		`{"access_token":"e30.e30.opaque-opaque"}`:                      "the issuer gave a token of type , want Bearer",
		`opaque-opaque-opaque`: "token endpoint: oauth2: cannot parse json: invalid character 'o' looking for beginning of value",
	} {
		issuer := observedIssuer(t, devissuer.Config{})
		issuer.fail("/token", answerWith(200, answer))
		r := start(t, "login", "--no-browser", "--issuer", issuer.url)
		if _, err := decide(http.DefaultTransport, r.address(), "alice", "allow"); err != nil {
			t.Fatal(err)
		}
		r.ends(exitFailure)
		stdout, stderr := r.rest()
		if stderr != "linegatectl: "+want+"\n" || strings.Contains(stdout+stderr, "opaque-") {
			t.Errorf("got  %swant %s", stderr, want)
		}
	}
}

// An endpoint that quotes what it was sent does not make linegatectl show it.
func TestLoginShowsNoSecret(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	issuer.fail("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		body, _ := json.Marshal(map[string]string{"error": "x" + r.PostForm.Get("code"), "error_description": r.PostForm.Encode()})
		answerWith(400, string(body))(w, r)
	})
	r := start(t, "login", "--no-browser", "--issuer", issuer.url)
	page, err := decide(http.DefaultTransport, r.address(), "alice", "allow")
	if err != nil {
		t.Fatal(err)
	}
	r.ends(exitFailure)
	stdout, stderr := r.rest()
	issuer.wantNoSecret(t, page+stdout+stderr)
	if !strings.HasPrefix(stderr, "linegatectl: the token endpoint answered HTTP 400 x<secret>: ") {
		t.Error(stderr)
	}
}

// What is sent to the issuer goes nowhere else, wherever it points to.
func TestLoginFollowsNoRedirect(t *testing.T) {
	issuer := observedIssuer(t, devissuer.Config{})
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}
	issuer.fail("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("followed") })
	environ, _ := loggedIn(t, issuer)
	issuer.fail("/token", elsewhere)
	issuer.fail("/device_authorization", elsewhere)
	issuer.fail("/revoke", elsewhere)
	for args, want := range map[string]string{
		"login --device": "linegatectl: the device authorization endpoint answered HTTP 307\n",
		"token --fresh":  "linegatectl: no token: the login of alice at ISSUER was not renewed: the token endpoint answered HTTP 307\n",
	} {
		got := runWith(t, environ, "", append(strings.Fields(args), "--issuer", issuer.url)...)
		if got.status != exitFailure || got.stderr != strings.ReplaceAll(want, "ISSUER", issuer.url) {
			t.Errorf("%s: %+v", args, got)
		}
	}
	if got := runWith(t, environ, "", "logout", "--issuer", issuer.url); !strings.HasSuffix(got.stderr, ": the revocation endpoint answered HTTP 307\n") {
		t.Errorf("logout: %+v", got)
	}
}

// No refresh token: the login is one all the same, and says how long.
func TestLoginWithoutRefreshToken(t *testing.T) {
	clients := []devissuer.Client{{
		ID: "once", Grants: []string{devissuer.GrantCode}, Scopes: []string{"line:connect"}, Redirects: []string{"http://127.0.0.1/callback"},
	}}
	issuer := observedIssuer(t, devissuer.Config{Clients: clients})
	environ := noLogin(t)
	r := startWith(t, environ, "login", "--no-browser", "--issuer", issuer.url, "--client-id", "once", "--scope", "line:connect")
	if _, err := decide(http.DefaultTransport, r.address(), "alice", "allow"); err != nil {
		t.Fatal(err)
	}
	r.ends(exitOK)
	if stdout, _ := r.rest(); !regexp.MustCompile(`\nThe issuer gave no refresh token: the login ends in (5m0s|4m\d+s)\.\n`).MatchString(stdout) {
		t.Error(stdout)
	}
	if got := runWith(t, environ, "", "token", "--issuer", issuer.url); subjectOf(t, got.stdout) != "alice" {
		t.Errorf("%+v", got)
	}
	got := runWith(t, environ, "", "token", "--issuer", issuer.url, "--fresh")
	if want := "linegatectl: no token: the login of alice at " + issuer.url + " cannot be renewed; log in again: linegatectl login --issuer " + issuer.url + " --client-id once\n"; got.status != exitFailure || got.stderr != want {
		t.Errorf("%+v", got)
	}
}

func subjectOf(t *testing.T, token string) string {
	t.Helper()
	_, claims, err := decode(strings.TrimSpace(token))
	if err != nil {
		return err.Error()
	}
	sub, _ := claims["sub"].(string)
	return sub
}

// verifier is a gateway's, of the issuer at this URL.
func verifier(t *testing.T, issuer string) *auth.Verifier {
	t.Helper()
	keys, err := auth.NewRemote(auth.RemoteConfig{Name: "dev", Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		keys.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{{
		Name: "dev", Issuer: issuer, Audience: []string{"linegate"}, RequiredScopes: []string{"line:connect"}, Keys: keys,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
