package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestUsage: each wrong use is one line that names what is at fault, and 64.
func TestUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--listen 0.0.0.0:8885", `--listen "0.0.0.0:8885": not a loopback address`},
		{"--listen :8885", `--listen ":8885": not a loopback address`},
		{"--listen-tls 192.0.2.1:8886", `--listen-tls "192.0.2.1:8886": not a loopback address`},
		{"--ops [::]:9885", `--ops "[::]:9885": not a loopback address`},
		{"--admin 192.0.2.1:9886", `--admin "192.0.2.1:9886": not a loopback address`},
		{"--admin 127.0.0.1:8885", `--admin "127.0.0.1:8885": the address of --listen`},
		{"--issuer-listen example.com:8880", `--issuer-listen "example.com:8880": not a loopback address`},
		{"--issuer-listen 127.0.0.1", `--issuer-listen "127.0.0.1": not host:port`},
		{"--listen 127.0.0.1:99999", `--listen "127.0.0.1:99999": no such port`},
		{"--listen 127.0.0.1:", `--listen "127.0.0.1:": no such port`},
		{"--listen 127.0.0.1:8886", `--listen-tls "127.0.0.1:8886": the address of --listen`},
		{"--issuer-only --ops x", `--ops "x": not host:port`},
		{"--token-lifetime 0s", "--token-lifetime 0s: not in whole seconds from 1s to 24h"},
		{"--token-lifetime 1500ms", "--token-lifetime 1.5s: not in whole"},
		{"--token-lifetime 25h", "--token-lifetime 25h0m0s: not in whole"},
		{"--token-lifetime soon", `invalid argument "soon" for "--token-lifetime"`},
		{"--algorithm HS256", `--algorithm "HS256": none of ES256 `},
		{"--rotate-every 500ms --token-lifetime 1s", "--rotate-every 500ms: below 1s"},
		{"--rotate-every 9s", "--rotate-every 9s: below 1s or a 30th of --token-lifetime 5m0s"},
		{"--rotate-every -1m", "--rotate-every -1m0s: below"},
		{"--clients /nonexistent", "--clients: open /nonexistent: "},
		{"--clients testdata/twice.json", `--clients: testdata/twice.json: client "dev-device" is there twice`},
		{"--log-level trace", `--log-level "trace": none of debug info warn error`},
		{"--config x", "unknown flag: --config"},
		{"serve", `unknown command "serve" for "linegate-dev"`},
	} {
		var stdout, stderr bytes.Buffer
		p := program{stdout: &stdout, stderr: &stderr}
		status := p.Run(strings.Fields(test.args))
		text := stderr.String()
		if status != 64 || !strings.HasPrefix(text, "linegate-dev: "+test.want) ||
			strings.Count(text, "\n") != 1 || stdout.Len() > 0 {
			t.Errorf("%s: %d %q %q, want %q", test.args, status, text, &stdout, test.want)
		}
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	p := program{stdout: &stdout, stderr: &stderr, signals: make(chan os.Signal)}
	if status := p.Run([]string{"--help"}); status != 0 || stderr.Len() > 0 {
		t.Errorf("%d %s", status, &stderr)
	}
	for _, want := range []string{
		"never for production", "--issuer-only", "--listen address", "--listen-tls", "--ops", "--admin address", "--issuer-listen",
		"--token-lifetime duration", "(default 5m0s)", "--algorithm name", "--rotate-every", "--clients file", "--log-level level",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, &stdout)
		}
	}
}

// TestUnusedAddress: with the issuer alone, the gateway's addresses are free.
func TestUnusedAddress(t *testing.T) {
	if _, err := parseOptions([]string{"--issuer-only", "--issuer-listen", "127.0.0.1:8885"}, nil); err != nil {
		t.Error(err)
	}
}

// TestNoAdmin: an empty address is no address.
func TestNoAdmin(t *testing.T) {
	o, err := parseOptions([]string{"--admin="}, nil)
	if err != nil || o.admin != "" {
		t.Errorf("%q, %v", o.admin, err)
	}
}

func TestDefaults(t *testing.T) {
	o, err := parseOptions(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"--listen": "127.0.0.1:8885", "--listen-tls": "127.0.0.1:8886",
		"--ops": "127.0.0.1:9885", "--admin": "127.0.0.1:9886", "--issuer-listen": "127.0.0.1:8880",
	}
	for _, flag := range o.addresses() {
		if flag.address != want[flag.name] {
			t.Errorf("%s is %s", flag.name, flag.address)
		}
	}
}

// TestClients: what the file registers is there beside what always is.
func TestClients(t *testing.T) {
	o, err := parseOptions([]string{"--clients", "testdata/more.json"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, client := range o.clients {
		ids = append(ids, client.ID)
	}
	for _, user := range o.users {
		ids = append(ids, user.ID)
	}
	if got, want := strings.Join(ids, " "), "dev-device linegatectl app alice bob eve"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
