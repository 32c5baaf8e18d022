package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// write puts text into linegate.yaml in a directory of its own, and works
// there, so that errors call it linegate.yaml.
func write(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("linegate.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "linegate.yaml"
}

const minimal = `issuers:
  - issuer: https://login.example.com
    audience: [linegate]
    required_scopes: [line:connect]
`

func TestPrecedence(t *testing.T) {
	const (
		inFile = "log:\n  level: warn\n"
		inEnv  = "LINEGATE_LOG_LEVEL=error"
	)
	inFlag := map[string][]string{"log-level": {"debug"}}
	for _, test := range []struct {
		name    string
		file    string
		environ []string
		flags   map[string][]string
		want    string
		where   string
	}{
		{"nothing: default", "", nil, nil, "info", "linegate.yaml: log.level"},
		{"file", inFile, nil, nil, "warn", "linegate.yaml:6: log.level"},
		{"environment before file", inFile, []string{inEnv}, nil, "error", "LINEGATE_LOG_LEVEL"},
		{"an empty variable is none", inFile, []string{"LINEGATE_LOG_LEVEL="}, nil, "warn", "linegate.yaml:6: log.level"},
		{"flag before environment", inFile, []string{inEnv}, inFlag, "debug", "--log-level"},
		{"flag before file", inFile, nil, inFlag, "debug", "--log-level"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, err := Load(Options{Path: write(t, minimal+test.file), Environ: test.environ, Flags: test.flags})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Log.Level; got != test.want {
				t.Errorf("log.level is %s, want %s", got, test.want)
			}
			if got := c.Where("log.level"); got != test.where {
				t.Errorf("set by %s, want %s", got, test.where)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	c, warnings, err := Load(Options{Environ: []string{
		"LINEGATE_CONFIG=" + write(t, minimal),
		"LINEGATE_SESSION_IDLE_TIMEOUT=1m30s",
		"LINEGATE_SESSION_MAX_LINE=4KiB",
		"LINEGATE_LIMITS_CONNECTIONS=50",
		"LINEGATE_OPS_PPROF=true",
		"LINEGATE_OPS_ADDRESS=localhost:1234",
		"LINEGATE_PORT=tcp://192.0.2.1:8885", // as Kubernetes does
		"LINEGATE_LISTEN=127.0.0.1:1",
		"LINEGATEWAY=1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Session.IdleTimeout; got != 90*time.Second {
		t.Errorf("idle_timeout %s", got)
	}
	if got := c.Session.MaxLine; got != 4*KiB {
		t.Errorf("max_line %s", got)
	}
	if got := c.Limits.Connections; got != 50 {
		t.Errorf("connections %d", got)
	}
	if want := (Ops{Address: "localhost:1234", Pprof: true}); c.Ops != want {
		t.Errorf("ops %+v", c.Ops)
	}
	const ignored = ": no key has this variable; ignored (lists are set by file or flags)"
	if want := []Warning{"LINEGATE_LISTEN" + ignored, "LINEGATE_PORT" + ignored}; !slices.Equal(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
}

// Each scalar key outside lists has a variable of its own.
func TestEveryScalarHasAVariable(t *testing.T) {
	keys := map[string]string{FileVariable: "the file"}
	scalars("", reflect.ValueOf(Default()).Elem(), func(key string, _ reflect.Value, _ reflect.StructTag) {
		name := variableFor(key)
		if had, ok := keys[name]; ok {
			t.Errorf("%s is both %s and %s", name, had, key)
		}
		keys[name] = key
	})
	for _, name := range []string{"LINEGATE_STATE_DIR", "LINEGATE_ADMIN_TLS_CERT", "LINEGATE_SESSION_IDLE_TIMEOUT"} {
		if keys[name] == "" {
			t.Errorf("no key has %s", name)
		}
	}
	if name := "LINEGATE_ADMIN_ISSUERS"; keys[name] != "" {
		t.Errorf("%s sets a list", name)
	}
}

func TestFlags(t *testing.T) {
	c, _, err := Load(Options{Flags: map[string][]string{
		"listen":     {"127.0.0.1:7000"},
		"issuer":     {"http://127.0.0.1:8880"},
		"jwks-uri":   {"http://127.0.0.1:8880/jwks"},
		"audience":   {"linegate", "other"},
		"scope":      {"line:connect"},
		"token-type": {"jwt"},
		"ops":        {"127.0.0.1:7001"},
		"backend":    {"echo"},
		"log-level":  {"warn"},
		"log-format": {"text"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen = []Listener{NewListener("127.0.0.1:7000")}
	issuer := NewIssuer()
	issuer.Name, issuer.Issuer, issuer.JWKSURI = "127.0.0.1", "http://127.0.0.1:8880", "http://127.0.0.1:8880/jwks"
	issuer.Audience, issuer.RequiredScopes, issuer.TokenTypes = []string{"linegate", "other"}, []string{"line:connect"}, []string{"JWT"}
	want.Issuers = []Issuer{issuer}
	want.Ops.Address = "127.0.0.1:7001"
	want.Log = Log{Level: "warn", Format: "text"}
	want.origins = c.origins
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// Flags of a list make its one element, and are told when that is not right.
func TestFlagErrors(t *testing.T) {
	for _, test := range []struct {
		flags string // name=value, separated by spaces
		file  string
		want  string
	}{
		{"", "", "issuers: none is configured; give --issuer, --audience and --scope, or a file with issuers (--config)"},
		{"audience=linegate", "", "--issuer: is required: the issuer's URL, as its tokens have it in iss"},
		{"issuer=https://a.example", "", "--audience: is required: who the tokens are for"},
		{"issuer=https://a.example audience=", "", "--audience: is empty"},
		{"issuer=https://a.example audience=x", "", "--scope: is required: the scopes that a token must have; or set any_scope: true in a file"},
		{"issuer=http://a.example audience=x scope=y", "", "--issuer: http is for loopback only: use https, or set insecure_http: true"},
		{"issuer=https://a.example audience=x scope=y token-type=jws", "", `--token-type: want one of at+jwt, JWT, none, got "jws"`},
		{"issuer=https://a.example audience=x scope=y listen=:8885", "", "--listen: plain TCP off loopback would show tokens to the network: configure tls (--tls-cert, --tls-key), or set insecure_plaintext: true in a file"},
		{"issuer=https://a.example audience=x scope=y tls-cert=a.pem", "", "--tls-key: a TLS listener needs it: a PEM file"},
		{"issuer=https://a.example audience=x scope=y tls-cert=a.pem tls-key=b.pem", "", "--tls-cert: open a.pem: no such file or directory"},
		{"issuer=https://a.example audience=x scope=y ops=9885", "", `--ops: want host:port, got "9885"`},
		{"log-level=loud", "", `--log-level: want one of debug, info, warn, error, got "loud"`},
		{"backend=nats", "", `--backend: want one of echo, got "nats"`},
		{"audience=x", minimal, "--audience: not beside the list in linegate.yaml:1: issuers; change that instead"},
		{"tls-key=x", minimal + "listen:\n  - name: a\n", "--tls-key: not beside the list in linegate.yaml:5: listen; change that instead"},
	} {
		t.Run(test.flags, func(t *testing.T) {
			o := Options{Flags: map[string][]string{}}
			for _, flag := range strings.Fields(test.flags) {
				name, value, _ := strings.Cut(flag, "=")
				o.Flags[name] = append(o.Flags[name], value)
			}
			if test.file != "" {
				o.Path = write(t, test.file)
			}
			wantError(t, o, test.want)
		})
	}
}

func TestFlagsBesideAFileWithoutTheList(t *testing.T) {
	c, _, err := Load(Options{Path: write(t, minimal), Flags: map[string][]string{"listen": {"127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Listener{NewListener("127.0.0.1:0")}; !reflect.DeepEqual(c.Listen, want) {
		t.Errorf("listen %+v", c.Listen)
	}
}

func TestFileErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	wantError(t, Options{Path: missing}, fmt.Sprintf("--config: open %s: no such file or directory", missing))
	wantError(t, Options{Environ: []string{"LINEGATE_CONFIG=" + missing}},
		fmt.Sprintf("LINEGATE_CONFIG: open %s: no such file or directory", missing))
	wantError(t, Options{Path: write(t, strings.Repeat("#\n", maxFile))}, "--config: linegate.yaml is larger than 1MiB")
	wantError(t, Options{Path: "."}, "--config: read .: is a directory")
}

// A variable's error names the variable.
func TestEnvironmentErrors(t *testing.T) {
	for _, test := range []struct{ variable, want string }{
		{"LINEGATE_SESSION_IDLE_TIMEOUT=30", `LINEGATE_SESSION_IDLE_TIMEOUT: want a duration such as 30s, got "30"`},
		{"LINEGATE_LIMITS_CONNECTIONS=many", `LINEGATE_LIMITS_CONNECTIONS: want a whole number, got "many"`},
		{"LINEGATE_LIMITS_CONNECTIONS=-1", `LINEGATE_LIMITS_CONNECTIONS: want at least 0, got "-1"`},
		{"LINEGATE_OPS_PPROF=yes", `LINEGATE_OPS_PPROF: want true or false, got "yes"`},
		{"LINEGATE_LIMITS_SESSIONS_PER_SUBJECT=-1", `LINEGATE_LIMITS_SESSIONS_PER_SUBJECT: want at least 0, got "-1"`},
		{"LINEGATE_LIMITS_ON_EXCESS=evict", `LINEGATE_LIMITS_ON_EXCESS: want one of reject, replace, got "evict"`},
		{"LINEGATE_ADMIN_ADDRESS=0.0.0.0:9886", "LINEGATE_ADMIN_ADDRESS: off loopback it needs TLS: set admin.tls.cert and admin.tls.key"},
	} {
		wantError(t, Options{Path: write(t, minimal), Environ: []string{test.variable}}, test.want)
	}
}

// wantError loads, and wants exactly this one line.
func wantError(t *testing.T, o Options, want string) {
	t.Helper()
	c, _, err := Load(o)
	if err == nil {
		t.Fatalf("accepted, want %s", want)
	}
	if c != nil {
		t.Error("a configuration beside an error")
	}
	if got := err.Error(); got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
}
