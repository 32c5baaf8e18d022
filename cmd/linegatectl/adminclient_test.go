package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/devissuer"
)

// adminAnswers is an admin API that gives these answers one after the other,
// the last one again and again, and takes notes of what it is asked.
type adminAnswers struct {
	url string

	mu      sync.Mutex
	answers []adminAnswer
	asked   []string // METHOD path?query body
	tokens  []string // Authorization
}

type adminAnswer struct {
	status int
	header map[string]string
	body   string
}

func answerAdmin(t *testing.T, answers ...adminAnswer) *adminAnswers {
	t.Helper()
	a := &adminAnswers{answers: answers}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *adminAnswers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
	a.tokens = append(a.tokens, r.Header.Get("Authorization"))
	answer := a.answers[0]
	if len(a.answers) > 1 {
		a.answers = a.answers[1:]
	}
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// requests returns what it was asked.
func (a *adminAnswers) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// What each answer of the admin API, and none, is made of: one line that says
// what to do.
func TestAdminRefusals(t *testing.T) {
	token := authtest.New(t).Token()
	operator := write(t, "operator.jwt", token)
	issuer := observedIssuer(t, devissuer.Config{})
	environ, _ := loggedIn(t, issuer)
	login := []string{"--login-issuer", issuer.url}
	again := "log in again: linegatectl login --admin --issuer " + issuer.url
	for name, test := range map[string]struct {
		answer adminAnswer
		args   []string // --admin-token-file when nil
		want   string
	}{
		"token refused": {
			adminAnswer{401, map[string]string{"WWW-Authenticate": `Bearer realm="linegate", error="invalid_token"`}, `{"error":"invalid_token","error_description":"the token is not accepted"}`},
			nil,
			"the admin API refused the token (invalid_token: the token is not accepted); give another token with --admin-token-file",
		},
		"token of a login refused": {
			adminAnswer{401, nil, `{"error":"invalid_token"}`},
			login,
			"the admin API refused the token (invalid_token); " + again,
		},
		"scope missing": {
			adminAnswer{403, map[string]string{"WWW-Authenticate": `Bearer realm="linegate", error="insufficient_scope", scope="linegate:admin"`}, `{"error":"insufficient_scope"}`},
			nil,
			"the token lacks the scope linegate:admin (insufficient_scope); give another token with --admin-token-file",
		},
		"scope of a login missing": {
			adminAnswer{403, map[string]string{"WWW-Authenticate": `Bearer realm="linegate", error="insufficient_scope", scope="linegate:admin"`}, `{"error":"insufficient_scope","error_description":"want it"}`},
			login,
			"the token lacks the scope linegate:admin (insufficient_scope: want it); " + again,
		},
		"another scope missing": {
			adminAnswer{403, map[string]string{"WWW-Authenticate": `Bearer error="insufficient_scope", scope="ops:write"`}, `{"error":"insufficient_scope"}`},
			login,
			"the token lacks the scope ops:write (insufficient_scope); log in again: linegatectl login --issuer " + issuer.url + " --scope ...",
		},
		"cannot be checked now": {
			adminAnswer{503, map[string]string{"Retry-After": "7"}, `{"error":"temporarily_unavailable","error_description":"no keys"}`},
			nil,
			"the admin API cannot answer now (temporarily_unavailable: no keys); try again in 7 s",
		},
		"bad request": {
			adminAnswer{400, nil, `{"error":"invalid_request","error_description":"issuer: there is none of that name"}`},
			nil,
			"the admin API answered HTTP 400 invalid_request: issuer: there is none of that name",
		},
		"in force, and not stored": {
			adminAnswer{500, nil, `{"error":"server_error","error_description":"in force, but not stored"}`},
			nil,
			"the admin API answered HTTP 500 server_error: in force, but not stored",
		},
		"hostile": {
			adminAnswer{400, nil, `{"error":"a\nb\u001b[2J","error_description":"` + token + `"}`},
			nil,
			`the admin API answered HTTP 400 a\x0ab\x1b[2J: <secret>`,
		},
		"another service":            {adminAnswer{404, nil, "404 page not found\n"}, nil, "HOST answered HTTP 404 and no JSON: is that the admin API?"},
		"another service, and happy": {adminAnswer{200, nil, "<html>"}, nil, "HOST answered with something that is not JSON: is that the admin API?"},
		"a redirect":                 {adminAnswer{302, map[string]string{"Location": "http://192.0.2.1/"}, ""}, nil, "HOST answered HTTP 302 and no JSON: is that the admin API?"},
		"items that are none":        {adminAnswer{200, nil, `{"items":[{"session":1}],"next":null}`}, nil, "the admin API gives what this version does not know: json: cannot unmarshal number into Go struct field .session of type string"},
		"the same page for ever": {
			adminAnswer{200, nil, `{"items":[],"next":"x"}`},
			nil,
			"the admin API gives the same page over and over",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := answerAdmin(t, test.answer)
			args := test.args
			if args == nil {
				args = []string{"--admin-token-file", operator}
			}
			got := runWith(t, environ, "", append([]string{"sessions", "--admin-url", api.url}, args...)...)
			want := "linegatectl: " + strings.ReplaceAll(test.want, "HOST", strings.TrimPrefix(api.url, "http://")) + "\n"
			if got.status != exitFailure || got.stderr != want {
				t.Errorf("status %d\n got %swant %s", got.status, got.stderr, want)
			}
			if shows(got.stdout+got.stderr, token) {
				t.Error("a part of the token is shown")
			}
			issuer.wantNoSecret(t, got.stdout+got.stderr)
		})
	}
}

// What can be wrong before the admin API is asked.
func TestAdminUnreachable(t *testing.T) {
	operator := tokenFile(t, authtest.New(t))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	nobody := closed.Addr().String()
	config, caFile := certificate(t)
	elsewhere := filepath.Join(t.TempDir(), "tokens.json")
	plain := strings.TrimPrefix(answerAdmin(t, adminAnswer{}).url, "http://")
	silent := listen(t, nil, func(nc net.Conn) { _, _ = bufio.NewReader(nc).ReadString('A') }) // of Authorization
	secured := listen(t, config, func(nc net.Conn) { _, _ = nc.Read(make([]byte, 1)) })
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nobody there": {
			[]string{"--admin-url", "http://" + nobody},
			"nothing listens at " + nobody + " (connection refused): the gateway is down, or its configuration does not turn the admin API on there (admin.address)",
		},
		"certificate not trusted": {
			[]string{"--admin-url", "https://" + secured},
			"admin API at " + secured + ": tls: failed to verify certificate: x509: certificate signed by unknown authority",
		},
		"certificate of another": {
			[]string{"--admin-url", "https://" + strings.Replace(secured, "127.0.0.1", "localhost", 1), "--ca-file", caFile},
			"admin API at " + strings.Replace(secured, "127.0.0.1", "localhost", 1) + ": tls: failed to verify certificate: x509: certificate is valid for ",
		},
		"no TLS":                {[]string{"--admin-url", "https://" + plain}, plain + " speaks HTTP without TLS: give --admin-url http://" + plain + "\n"},
		"hangs up without TLS":  {[]string{"--admin-url", "http://" + silent}, "admin API at " + silent + ": EOF (if it has TLS there: --admin-url https://" + silent + ")\n"},
		"hangs up":              {[]string{"--admin-url", "https://" + secured, "--ca-file", caFile}, "admin API at " + secured + ": EOF"},
		"no CA file":            {[]string{"--admin-url", "https://" + nobody, "--ca-file", "missing.pem"}, "--ca-file: open missing.pem: no such file or directory"},
		"a CA file that's none": {[]string{"--admin-url", "https://" + nobody, "--ca-file", operator}, "--ca-file: " + operator + " has no PEM certificate"},
		"no client certificate": {
			[]string{"--admin-url", "https://" + nobody, "--client-cert", "missing.pem", "--client-key", "missing.key"},
			"--client-cert, --client-key: open missing.pem: no such file or directory",
		},
		"no token file":     {[]string{"--admin-token-file", "missing.jwt"}, "--admin-token-file: open missing.jwt: no such file or directory"},
		"nothing piped in":  {[]string{"--admin-token-file", "-"}, "standard input: the first line is empty"},
		"not a token":       {[]string{"--admin-token-file", caFile}, "--admin-token-file: the first line is no token"},
		"no login":          {[]string{"--login-issuer", "https://login.test"}, "no login stored for https://login.test: log in (linegatectl login --admin --issuer https://login.test), or give --admin-token-file"},
		"no login, default": {[]string{"--login-issuer", devIssuer}, "no login stored for http://127.0.0.1:8880: log in (linegatectl login --admin), or give --admin-token-file"},
		"no login, in a file of its own": {
			[]string{"--login-issuer", "https://login.test", "--token-store", elsewhere},
			"no login stored for https://login.test: log in (linegatectl login --admin --issuer https://login.test --token-store " + elsewhere + "), or give --admin-token-file\n",
		},
		"no login of that client": {
			[]string{"--login-client-id", "ops"},
			"no login stored for http://127.0.0.1:8880: log in (linegatectl login --admin --client-id ops), or give --admin-token-file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"sessions"}, test.args...)
			if !strings.Contains(fmt.Sprint(args), "login") && !strings.Contains(fmt.Sprint(args), "token-file") {
				args = append(args, "--admin-token-file", operator)
			}
			got := run(t, "", args...)
			if got.status != exitFailure || !strings.HasPrefix(got.stderr, "linegatectl: "+test.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("status %d\n got %swant linegatectl: %s", got.status, got.stderr, test.want)
			}
		})
	}
}

// Pages follow each other to the end, or to --limit.
func TestAdminPages(t *testing.T) {
	operator := tokenFile(t, authtest.New(t))
	page := func(next string, ids ...string) adminAnswer {
		items := make([]string, len(ids))
		for i, id := range ids {
			items[i] = fmt.Sprintf(`{"session":%q}`, id)
		}
		return adminAnswer{200, nil, fmt.Sprintf(`{"items":[%s],"next":%s}`, strings.Join(items, ","), next)}
	}
	for name, test := range map[string]struct {
		args    string
		answers []adminAnswer
		asked   []string
		stdout  string
	}{
		"to the end": {
			"--subject alice",
			[]adminAnswer{page(`"B&C"`, "A", "B&C"), page(`null`, "D")},
			[]string{"limit=500&subject=alice", "after=B%26C&limit=500&subject=alice"},
			`{"session":"A"} {"session":"B&C"} {"session":"D"} `,
		},
		"to the limit": {
			"--limit 3",
			[]adminAnswer{page(`"B"`, "A", "B"), page(`"C"`, "C")},
			[]string{"limit=3", "after=B&limit=1"},
			`{"session":"A"} {"session":"B"} {"session":"C"} `,
		},
		"a page with nothing on it": {
			"",
			[]adminAnswer{page(`"A"`), page(`null`, "B")},
			[]string{"limit=500", "after=A&limit=500"},
			`{"session":"B"} `,
		},
		"all filters": {
			"--issuer main --subject a+b%c --client-id c --key-id k --token-id t",
			[]adminAnswer{page(`null`)},
			[]string{"client_id=c&issuer=main&key_id=k&limit=500&subject=a%2Bb%25c&token_id=t"},
			"",
		},
		"an empty filter is one": {
			"--token-id= --subject=",
			[]adminAnswer{page(`null`)},
			[]string{"limit=500&subject=&token_id="},
			"",
		},
		"what came before a failure": {
			"",
			[]adminAnswer{page(`"A"`, "A"), {500, nil, `{"error":"server_error"}`}},
			[]string{"limit=500", "after=A&limit=500"},
			`{"session":"A"} `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := answerAdmin(t, test.answers...)
			got := run(t, "", append(strings.Fields("sessions --output json "+test.args), "--admin-url", api.url+"/", "--admin-token-file", operator)...)
			if stdout := strings.ReplaceAll(got.stdout, "\n", " "); stdout != test.stdout {
				t.Errorf("got %s%s", stdout, got.stderr)
			}
			var want []string
			for _, query := range test.asked {
				want = append(want, "GET /v1/sessions?"+query)
			}
			if asked := api.requests(); !slices.Equal(asked, want) {
				t.Errorf("asked %q, want %q", asked, want)
			}
		})
	}
}
