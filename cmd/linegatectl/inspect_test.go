package main

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// A token in plain words.
func TestExplain(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	token := unsigned(
		`{"alg":"ES256","typ":"at+jwt","kid":"k1","jku":"https://evil.example/keys"}`,
		`{"iss":"https://login.example.com","sub":"device-7\u001b[2J","aud":["linegate","x"],
		  "exp":1767323345,"iat":1767323045.5,"nbf":1767240000,"auth_time":"soon","scope":"line:connect",
		  "zone":{"b":1,"a":"\u001b"},"Exp":1}`,
	)
	const want = `header
  alg  ES256                      signature algorithm
  kid  k1                         id of the key that signed it, in the issuer's key set
  typ  at+jwt                     access token (RFC 9068)
  jku  https://evil.example/keys  ignored: the gateway takes keys only from its configured issuers
claims
  iss        https://login.example.com  issuer: who made it
  sub        device-7\x1b[2J            subject: whom it speaks for
  aud        ["linegate","x"]           audience: for whom it is
  scope      line:connect               what it allows
  exp        1767323345                 expires: 2026-01-02T03:09:05Z, in 5m0s
  nbf        1767240000                 not valid before: 2026-01-01T04:00:00Z, 23h4m5s ago
  iat        1767323045.5               issued: 2026-01-02T03:04:05Z, now
  auth_time  soon                       when the user logged in
  Exp        1                          
  zone       {"a":"\u001b","b":1}       

The signature is not shown. Whoever has the token can connect with it until it expires.
`
	var got bytes.Buffer
	if err := explain(&got, token, now); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestTypeMeaning(t *testing.T) {
	for typ, want := range map[any]string{
		"application/AT+JWT": "access token (RFC 9068)",
		"JWT":                "a JWT of some kind; the gateway takes it only where token_types has JWT",
		nil:                  "no type; the gateway takes it only where token_types has none",
		"logout+jwt":         "not a type of access tokens",
	} {
		if got := typeMeaning(typ); got != want {
			t.Errorf("%v: %s", typ, got)
		}
	}
}

// What a token is bound to, and what is there twice, is told as it is.
func TestExplainWhatIsRefused(t *testing.T) {
	const bound = "bound to the client certificate with this SHA-256 thumbprint; --client-cert names the one to check by"
	const unknown = "bound to what the gateway cannot check, so it refuses the token; it can check x5t#S256 alone"
	for _, tt := range []struct{ header, claims, want string }{
		{`{}`, `{"cnf":{"x5t#S256":"abc"}}`, `  cnf  {"x5t#S256":"abc"}  ` + bound},
		{`{}`, `{"cnf":{"x5t#S256":"abc","jkt":"x"}}`, `  cnf  {"jkt":"x","x5t#S256":"abc"}  ` + unknown},
		{`{}`, `{"cnf":{"jkt":"x"}}`, `  cnf  {"jkt":"x"}  ` + unknown},
		{`{}`, `{"cnf":null}`, `  cnf  null  ` + unknown},
		{`{}`, `{"exp":1,"iss":"a","exp":2}`, `claims (exp is there more than once: the gateway refuses that; the last is shown)`},
		{`{"alg":"none","alg":"ES256"}`, `{}`, `header (alg is there more than once: the gateway refuses that; the last is shown)`},
		{`{"a\u001b":1,"a\u001b":1}`, `{}`, `header (a\x1b is there more than once: `},
		{`{}`, `{"x":{"y":1,"y":1}}`, "claims\n"},
	} {
		var got bytes.Buffer
		if err := explain(&got, unsigned(tt.header, tt.claims), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.String(), tt.want) {
			t.Errorf("%s %s: no %q in\n%s", tt.header, tt.claims, tt.want, got.String())
		}
	}
}

// What is no token gets one line, which holds nothing of it.
func TestInspectNoToken(t *testing.T) {
	object := base64.RawURLEncoding.EncodeToString([]byte("{}"))
	for token, want := range map[string]string{
		"":                          "standard input: the first line is empty",
		"opaque-opaque":             "the token has no dots: it is opaque, no JWT",
		"opaque.opaque":             "the token has 2 parts between dots, want three",
		"a.b.c.d.e":                 "the token has five parts: it is encrypted (JWE), and only its audience can read it",
		"opaque!." + object + ".c":  "the token's header is not base64url",
		object + ".opaque-opaque.c": "the token's payload is not base64url",
		"bnVsbA." + object + ".c":   "the token's header is not a JSON object",  // null
		object + ".e30gb3BhcXVl.c":  "the token's payload is not a JSON object", // {} opaque
	} {
		got := run(t, token+"\n", "token", "inspect")
		if got.status != 1 || got.stdout != "" || got.stderr != "linegatectl: "+want+"\n" || strings.Contains(got.stderr, "opaque-") {
			t.Errorf("%s: %+v", token, got)
		}
	}
}

// Against an issuer: the outcome is the gateway's, in its word.
func TestInspectChecks(t *testing.T) {
	iss := authtest.Serve(t)
	stranger := authtest.New(t, authtest.At("https://stranger.test"))
	unpublished := iss.NewKey()
	file := write(t, "linegate.yaml", `
issuers:
  - name: main
    issuer: `+iss.URL+`
    audience: [linegate]
    required_scopes: [line:connect]
`)
	for name, test := range map[string]struct {
		token string
		want  string // beginning of the last line
	}{
		"good":           {iss.Token(), `accepted: a session as device-1 with scopes line:connect, for at most `},
		"pasted as AUTH": {"AUTH " + iss.Token(), `accepted: a session as device-1 with scopes line:connect, for at most `},
		"expired":        {iss.Token(authtest.ExpiresIn(-time.Minute)), "linegatectl: refused: expired (exp): has passed"},
		"audience":       {iss.Token(authtest.Claim("aud", "other")), "linegatectl: refused: audience (aud): has none of the values asked for"},
		"scope":          {iss.Token(authtest.Claim("scope", "x")), `linegatectl: refused: scope (scope): "line:connect" is missing`},
		"type":           {iss.Token(authtest.Header("typ", "JWT")), "linegatectl: refused: type (typ): not on the issuer's list"},
		"algorithm":      {iss.Token(authtest.Header("alg", "PS512")), "linegatectl: refused: algorithm (alg): not on the issuer's list"},
		"unsigned":       {iss.Unsigned(), "linegatectl: refused: algorithm (alg): not on the issuer's list"},
		"issuer":         {stranger.Token(), "linegatectl: refused: issuer (iss): not a configured issuer"},
		"unknown key":    {iss.Token(authtest.SignedBy(unpublished)), "linegatectl: refused: unknown_key (kid): the issuer publishes no such key"},
		"forged":         {iss.Token(authtest.ForgedBy(unpublished)), "linegatectl: refused: signature"},
		"format":         {"opaque", "linegatectl: refused: format: not three parts"},
	} {
		for how, flags := range map[string][]string{
			"file":  {"--config", file},
			"flags": {"--issuer", iss.URL, "--audience", "linegate", "--scope", "line:connect"},
		} {
			t.Run(name+" by "+how, func(t *testing.T) {
				got := run(t, test.token+"\n", append([]string{"token", "inspect"}, flags...)...)
				accepted := strings.HasPrefix(test.want, "accepted")
				text := got.stderr
				if accepted {
					text = got.stdout
				}
				last := text[strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n")+1:]
				if (got.status == 0) != accepted || !strings.HasPrefix(last, test.want) {
					t.Errorf("%+v", got)
				}
				if shows(got.stdout+got.stderr, test.token) {
					t.Error("a part of the token is shown")
				}
			})
		}
	}
	got := run(t, iss.Token()+"\n", "token", "inspect", "--config", file)
	if want := "\nchecked by issuer main: aud linegate; typ at+jwt; alg ES256 or RS256 or EdDSA; scopes line:connect\n"; !strings.Contains(got.stdout, want) {
		t.Errorf("no line %q in\n%s", want, got.stdout)
	}
	got = run(t, stranger.Token()+"\n", "token", "inspect", "--config", file)
	if want := "\nconfigured issuers, one of which iss must be to the byte:\n  main  " + iss.URL + "\n"; !strings.Contains(got.stdout, want) {
		t.Errorf("no lines %q in\n%s", want, got.stdout)
	}
	iss.Fail(authtest.Status)
	got = run(t, iss.Token()+"\n", "token", "inspect", "--config", file)
	if got.status != 1 || !regexp.MustCompile(`(?m)^linegatectl: refused: keys_unavailable: .*503`).MatchString(got.stderr) {
		t.Errorf("issuer down: %+v", got)
	}
}

// shows reports whether 16 consecutive characters of the token's payload or
// signature are in output.
func shows(output, token string) bool {
	_, secret, _ := strings.Cut(token, ".")
	for i := 0; i+16 <= len(secret); i++ {
		if strings.Contains(output, secret[i:i+16]) {
			return true
		}
	}
	return false
}

func TestInspectUsage(t *testing.T) {
	bad := write(t, "linegate.yaml", "issuers:\n  - issuer: https://login.example.com\n    audiance: [x]\n")
	for _, test := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"--scope", "x"}, 64, "linegatectl: --issuer: "},
		{[]string{"--issuer", "https://login.example.com"}, 64, "linegatectl: --audience: "},
		{[]string{"--issuer", "http://login.example.com", "--audience", "x", "--scope", "x"}, 64, "linegatectl: --issuer: "},
		{[]string{"--config", "missing.yaml"}, 78, "linegatectl: --config: "},
		{[]string{"--config", bad}, 78, "linegatectl: " + bad + ":3: issuers[0].audiance: "},
		{[]string{"--config", bad, "--scope", "x"}, 78, "linegatectl: "},
		{[]string{"--client-cert", "client.pem"}, 64, "linegatectl: --client-cert: nothing is checked without an issuer"},
		{[]string{"--issuer", "https://login.example.com", "--audience", "x", "--scope", "x", "--client-cert", "missing.pem"}, 1, "linegatectl: --client-cert: open missing.pem: "},
		{[]string{"--issuer", "https://login.example.com", "--audience", "x", "--scope", "x", "--client-cert", bad}, 1, "linegatectl: --client-cert: " + bad + " has no PEM certificate"},
		{[]string{"--token-file", "missing.jwt"}, 1, "linegatectl: --token-file: open missing.jwt: "},
	} {
		got := run(t, "a.b.c\n", append([]string{"token", "inspect"}, test.args...)...)
		if got.status != test.status || got.stdout != "" || !strings.HasPrefix(got.stderr, test.stderr) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", test.args, got)
		}
	}
}

func unsigned(header, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(claims)) + ".c2lnbmF0dXJl"
}
