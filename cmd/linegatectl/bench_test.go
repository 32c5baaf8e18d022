package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/session"
)

// Every mode against a gateway, plain and behind TLS.
func TestBench(t *testing.T) {
	iss := authtest.New(t)
	tlsConfig, caFile := certificate(t)
	for name, to := range map[string][]string{
		"plain": {gateway(t, iss.Verifier(), session.Rules{}, nil)},
		"tls":   {"--ca-file", caFile, gateway(t, iss.Verifier(), session.Rules{}, tlsConfig)},
	} {
		tokens := write(t, "tokens", iss.Token()+"\n"+iss.Token()+"\n\n")
		for mode, want := range map[string]string{
			"ping": "  messages  50 in ", "echo": ", 1 outstanding, 36 bytes\n", "idle": "  held ",
			"login": "  logins   50 in ", "storm": "  back    4 of 4; ",
		} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				args := []string{"bench", mode, "--connections", "4", "--tokens", tokens}
				switch mode {
				case "idle":
					args = append(args, "--duration", "1ms")
				case "ping", "echo", "login":
					args = append(args, "--count", "50")
				}
				got := run(t, "", append(args, to...)...)
				if got.status != 0 || !strings.Contains(got.stdout, want) || !strings.HasSuffix(got.stdout, " 0 of 4 connections\n") {
					t.Errorf("%+v, want %q", got, want)
				}
				if shows(got.stdout+got.stderr, iss.Token()) {
					t.Error("a part of a token is shown")
				}
			})
		}
	}
}

// One token of a client's own for all sessions, and the result for a program.
func TestBenchJSON(t *testing.T) {
	url := issuer(t)
	address := script(t)
	chart := filepath.Join(t.TempDir(), "ping.svg")
	got := run(t, "", "bench", "ping", "--issuer", url, "--connections", "3", "--pipeline", "2", "--count", "60",
		"--output", "json", "--chart", chart, address)
	var doc struct {
		Mode, Protocol                                  string
		Connections, Pipeline, Messages, Logins, Failed int
		Latency                                         struct{ P99 float64 } `json:"latency_us"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || got.status != 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	if doc.Mode != "ping" || doc.Protocol != "linegate" || doc.Messages != 60 || doc.Logins != 3 || doc.Latency.P99 <= 0 {
		t.Errorf("%s", got.stdout)
	}
	if svg, err := os.ReadFile(chart); err != nil || !strings.HasPrefix(string(svg), "<svg ") {
		t.Errorf("%v, %.60s", err, svg)
	}
}

// A server without AUTH, and one whose answers are wrong.
func TestBenchOthers(t *testing.T) {
	iss := authtest.New(t)
	address := gateway(t, iss.Verifier(), session.Rules{}, nil)
	got := run(t, "", "bench", "ping", "--no-auth", "--connections", "2", "--count", "1", address)
	if got.status != 1 || !strings.HasSuffix(got.stderr, "linegatectl: 2 of 2 connections failed: 2 wrong reply\n") {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(got.stdout, "2 of 2 connections: 2 wrong reply\n") {
		t.Errorf("the report does not say so: %s", got.stdout)
	}
	other := authtest.New(t, authtest.Named("other"))
	got = run(t, "", "bench", "login", "--tokens", tokenFile(t, other), "--connections", "1", "--count", "3", address)
	if got.status != 1 || !strings.HasSuffix(got.stderr, "linegatectl: 1 of 1 connections failed: 3 bye invalid_token\n") {
		t.Errorf("%+v", got)
	}
}

// Wrong usage is one line that names what is wrong, before anything is done.
func TestBenchUsage(t *testing.T) {
	tokens := write(t, "tokens", "x.y.z\n")
	empty := write(t, "empty", "\n \n")
	for name, test := range map[string]struct {
		args   []string
		status int
		stderr string
	}{
		"no mode":       {nil, exitUsage, "accepts between 1 and 2 arg(s), received 0"},
		"unknown mode":  {[]string{"pong"}, exitUsage, `no mode "pong": want ping, echo, idle, login or storm`},
		"address":       {[]string{"ping", "--tokens", tokens, "here"}, exitUsage, `address "here": want host:port`},
		"plaintext":     {[]string{"ping", "--tokens", tokens, "--plaintext", "gw.example.com:1"}, exitUsage, "--plaintext: gw.example.com:1 is not loopback, the token would cross the network readable; --insecure-plaintext allows it"},
		"connections":   {[]string{"ping", "--tokens", tokens, "--connections", "0"}, exitUsage, "--connections: want at least 1"},
		"pipeline":      {[]string{"ping", "--tokens", tokens, "--pipeline", "0"}, exitUsage, "--pipeline: want at least 1"},
		"timeout":       {[]string{"ping", "--tokens", tokens, "--timeout", "0s"}, exitUsage, "--timeout: want more than 0"},
		"count":         {[]string{"idle", "--tokens", tokens, "--count", "5"}, exitUsage, "--count: only in the modes ping, echo and login"},
		"number":        {[]string{"ping", "--connections", "many"}, exitUsage, `invalid argument "many" for "--connections" flag: strconv.ParseInt: parsing "many": invalid syntax`},
		"size":          {[]string{"echo", "--size", "0"}, exitUsage, "--size: want 1 to 1048576, with 1 outstanding"},
		"output":        {[]string{"ping", "--output", "xml"}, exitUsage, `--output: "xml" is neither text nor json`},
		"cut-by":        {[]string{"storm", "--cut-by", "me"}, exitUsage, `--cut-by: "me" is neither bench nor server`},
		"cut-by server": {[]string{"ping", "--tokens", tokens, "--cut-by", "server"}, exitUsage, "--cut-by: only in mode storm"},
		"protocol":      {[]string{"ping", "--protocol", "smtp"}, exitUsage, `--protocol: "smtp" is none of linegate, lines, redis, resp, nats`},
		"both":          {[]string{"ping", "--protocol", "redis", "--no-auth"}, exitUsage, "--no-auth: not beside --protocol"},
		"redis":         {[]string{"ping", "--protocol", "redis"}, exitUsage, "--tokens: protocol redis wants some"},
		"source":        {[]string{"ping", "--source", "127.0.0.1"}, exitUsage, `--source: "127.0.0.1" is no prefix such as 127.0.0.0/8`},
		"strangers":     {[]string{"login", "--strangers", "1"}, exitUsage, "--strangers: only in the modes ping and echo"},
		"strangers-at":  {[]string{"ping", "--strangers-at", "127.0.0.1:1"}, exitUsage, "--strangers-at: only with --strangers"},
		"chart":         {[]string{"idle", "--chart", "x.svg"}, exitUsage, "--chart: in mode idle only with --pid"},
		"two sources":   {[]string{"ping", "--tokens", tokens, "--client-id", "x"}, exitUsage, "--client-id: not beside --tokens"},
		"no such file":  {[]string{"ping", "--tokens", "/none"}, exitFailure, "--tokens: open /none: no such file or directory"},
		"no token":      {[]string{"ping", "--tokens", empty}, exitFailure, "--tokens: " + empty + " has no token"},
		"no such pid":   {[]string{"idle", "--no-auth", "--pid", "2147483647"}, exitFailure, "open /proc/2147483647/stat: no such file or directory"},
		"too many":      {[]string{"idle", "--no-auth", "--connections", "1073741824"}, exitFailure, "1073741824 connections need 1073741888 open files, and the limit is "},
		"no such chart": {[]string{"ping", "--no-auth", "--chart", "/none/x.svg"}, exitFailure, "--chart: open /none/x.svg: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, "", append([]string{"bench"}, test.args...)...)
			if got.status != test.status || !strings.HasPrefix(got.stderr, "linegatectl: "+test.stderr) || strings.Count(got.stderr, "\n") != 1 || got.stdout != "" {
				t.Errorf("%+v, want %d and %q", got, test.status, test.stderr)
			}
		})
	}
}
