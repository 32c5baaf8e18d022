package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		name    string
		places  places
		control string
		want    string
	}{
		{
			"default ports",
			places{
				issuer: "http://127.0.0.1:8880", gateway: "127.0.0.1:8885",
				gatewayTLS: "127.0.0.1:8886", ops: "127.0.0.1:9885", admin: "127.0.0.1:9886", ca: "/tmp/linegate-dev-1/ca.pem",
			},
			goRunControl,
			`linegate-dev: for development only, never for production.

  gateway   127.0.0.1:8885
  with TLS  127.0.0.1:8886, CA certificate /tmp/linegate-dev-1/ca.pem
  metrics   http://127.0.0.1:9885/metrics
  admin API http://127.0.0.1:9886/v1/
  issuer    http://127.0.0.1:8880, client dev-device, secret dev-secret
            which the gateway calls dev
  control   http://127.0.0.1:8880/dev/ (keys, token lifetime, outages)

Talk to the gateway: paste this, then type ping or anything else.
  { printf 'AUTH %s\n' "$(go run ./cmd/linegatectl token)"; cat; } | nc 127.0.0.1 8885
Over TLS:
  go run ./cmd/linegatectl connect --ca-file /tmp/linegate-dev-1/ca.pem 127.0.0.1:8886
Sign in as alice or bob:
  go run ./cmd/linegatectl login
See who is connected; kick and revoke work likewise, or log in with --admin:
  go run ./cmd/linegatectl token --client-credentials --scope linegate:admin | go run ./cmd/linegatectl sessions --admin-token-file -
Rotate the signing key:
  curl -X POST http://127.0.0.1:8880/dev/rotate

Ctrl-C ends it.
`,
		},
		{
			"other ports, IPv6, a built binary, a directory with a space",
			places{
				issuer: "http://[::1]:1", gateway: "[::1]:2", gatewayTLS: "[::1]:3", ops: "[::1]:4", admin: "[::1]:5", ca: "/tmp/a b/ca.pem",
			},
			"./bin/linegatectl",
			`linegate-dev: for development only, never for production.

  gateway   [::1]:2
  with TLS  [::1]:3, CA certificate /tmp/a b/ca.pem
  metrics   http://[::1]:4/metrics
  admin API http://[::1]:5/v1/
  issuer    http://[::1]:1, client dev-device, secret dev-secret
            which the gateway calls dev
  control   http://[::1]:1/dev/ (keys, token lifetime, outages)

Talk to the gateway: paste this, then type ping or anything else.
  { printf 'AUTH %s\n' "$(./bin/linegatectl token --issuer 'http://[::1]:1')"; cat; } | nc ::1 2
Over TLS:
  ./bin/linegatectl connect --issuer 'http://[::1]:1' --ca-file '/tmp/a b/ca.pem' '[::1]:3'
Sign in as alice or bob:
  ./bin/linegatectl login --issuer 'http://[::1]:1'
See who is connected; kick and revoke work likewise, or log in with --admin:
  ./bin/linegatectl token --issuer 'http://[::1]:1' --client-credentials --scope linegate:admin | ./bin/linegatectl sessions --admin-url 'http://[::1]:5' --admin-token-file -
Rotate the signing key:
  curl -X POST 'http://[::1]:1/dev/rotate'

Ctrl-C ends it.
`,
		},
		{
			"issuer only",
			places{issuer: "http://127.0.0.1:8880"},
			goRunControl,
			`linegate-dev: for development only, never for production.

  issuer    http://127.0.0.1:8880, client dev-device, secret dev-secret
  control   http://127.0.0.1:8880/dev/ (keys, token lifetime, outages)

Get a token:
  curl -u dev-device:dev-secret -d grant_type=client_credentials http://127.0.0.1:8880/token
Sign in as alice or bob:
  go run ./cmd/linegatectl login
Rotate the signing key:
  curl -X POST http://127.0.0.1:8880/dev/rotate

Ctrl-C ends it.
`,
		},
	} {
		var got strings.Builder
		test.places.print(&got, test.control)
		if got.String() != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, &got, test.want)
		}
	}
}

func TestControlCommand(t *testing.T) {
	root := t.TempDir()
	bin := filepath.Join(root, "a bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(bin, "linegate-dev")
	if got := controlBeside(self, root); got != "go run ./cmd/linegatectl" {
		t.Errorf("alone: %s", got)
	}
	if err := os.WriteFile(filepath.Join(bin, "linegatectl"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for directory, want := range map[string]string{
		root:            "'./a bin/linegatectl'",
		bin:             "./linegatectl",
		"/nonexistent/": "'" + bin + "/linegatectl'",
	} {
		if got := controlBeside(self, directory); got != want {
			t.Errorf("from %s: %s, want %s", directory, got, want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"/tmp/x-1/ca.pem": "/tmp/x-1/ca.pem",
		"":                "''",
		"it's":            `'it'\''s'`,
		"a$b":             "'a$b'",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("%q: %s", word, got)
		}
	}
}
