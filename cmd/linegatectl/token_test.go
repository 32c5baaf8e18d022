package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// token prints a token and nothing else.
func TestToken(t *testing.T) {
	got := run(t, "", "token", "--issuer", issuer(t))
	if got.status != 0 || got.stderr != "" || !regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(got.stdout) {
		t.Errorf("%+v", got)
	}
}

func TestTokenFails(t *testing.T) {
	url := issuer(t)
	for name, test := range map[string]struct {
		environ []string
		args    []string
		stderr  string
	}{
		"wrong secret": {
			[]string{"LINEGATECTL_CLIENT_SECRET=hush"},
			nil,
			"linegatectl: no token: the token endpoint answered HTTP 401 invalid_client: unknown client or wrong secret\n",
		},
		"wrong secret in a file": {
			[]string{"LINEGATECTL_CLIENT_SECRET=dev-secret"},
			[]string{"--client-secret-file", write(t, "secret", "hush\n")},
			"linegatectl: no token: the token endpoint answered HTTP 401 invalid_client: unknown client or wrong secret\n",
		},
		"empty file": {
			nil,
			[]string{"--client-secret-file", "/dev/null"},
			"linegatectl: --client-secret-file: /dev/null: the first line is empty\n",
		},
		"scope": {
			nil,
			[]string{"--scope", "line:connect,admin"},
			"linegatectl: no token: the token endpoint answered HTTP 400 invalid_scope: scope exceeds what this client may have\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := runWith(t, test.environ, "", append([]string{"token", "--issuer", url}, test.args...)...)
			if got.status != 1 || got.stdout != "" || got.stderr != test.stderr {
				t.Errorf("%+v\nwant %s", got, test.stderr)
			}
		})
	}
}

// Where the secret comes from, and what the flags make of the request.
func TestTokenRequest(t *testing.T) {
	var form string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_ = r.ParseForm()
		form = user + ":" + password + " " + r.PostForm.Encode()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"a.b.c","token_type":"Bearer"}`))
	}))
	defer server.Close()
	for args, want := range map[string]string{
		"":                              "dev-device:dev-secret grant_type=client_credentials",
		"--client-secret-file FILE":     "dev-device:file+secret grant_type=client_credentials",
		"--client-id mine --scope a,b":  "mine:env grant_type=client_credentials&scope=a+b",
		"--client-auth post":            ": client_id=dev-device&client_secret=dev-secret&grant_type=client_credentials",
		"--scope a --scope b":           "dev-device:dev-secret grant_type=client_credentials&scope=a+b",
		"--audience https://api.test/x": "dev-device:dev-secret audience=https%3A%2F%2Fapi.test%2Fx&grant_type=client_credentials",
	} {
		var environ []string
		if strings.Contains(args, "mine") {
			environ = []string{"LINEGATECTL_CLIENT_SECRET=env"}
		}
		fields := strings.Fields(strings.ReplaceAll(args, "FILE", write(t, "secret", "file secret\r\n")))
		got := runWith(t, environ, "", append([]string{"token", "--token-url", server.URL}, fields...)...)
		if got.stdout != "a.b.c\n" || form != want {
			t.Errorf("%s: %+v\n got %s\nwant %s", args, got, form, want)
		}
	}
}

func TestVersion(t *testing.T) {
	if got := run(t, "", "version"); got.status != 0 || !strings.HasPrefix(got.stdout, "linegatectl ") || !strings.Contains(got.stdout, " go1.") {
		t.Errorf("%+v", got)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "connect --help", "token --help", "login --help", "logout --help", "sessions --help", "kick --help", "revoke --help", "revoke list --help", "revoke undo --help"} {
		if got := run(t, "", strings.Fields(args)...); got.status != 0 || !strings.Contains(got.stdout, "Usage:") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
