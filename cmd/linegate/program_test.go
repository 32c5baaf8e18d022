package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/linegate/linegate/internal/config"
)

// Every wrong command line and configuration is one line on standard error.
func TestErrors(t *testing.T) {
	inDir(t, goodFile+"    leeway: 2m\n")
	for _, test := range []struct {
		args    string
		environ []string
		status  int
		stderr  string
	}{
		{"", nil, 64, "a command is needed: serve, check-config or version (linegate --help)"},
		{"server", nil, 64, "no such command; want serve, check-config or version (linegate --help)"},
		{"completion", nil, 64, "no such command; want serve, check-config or version (linegate --help)"},
		{"help server", nil, 64, "no such command; want serve, check-config or version (linegate --help)"},
		{"--verbose", nil, 64, "unknown flag: --verbose (linegate --help)"},
		{"serve now", nil, 64, "serve takes no arguments, only flags (linegate serve --help)"},
		{"check-config linegate.yaml", nil, 64, "check-config takes no arguments, only flags (linegate check-config --help)"},
		{"version 2", nil, 64, "version takes no arguments, only flags (linegate version --help)"},
		{"serve --port 1", nil, 64, "unknown flag: --port (linegate serve --help)"},
		{"serve --issuer", nil, 64, "flag needs an argument: --issuer (linegate serve --help)"},

		{"serve", nil, 78, "issuers: none is configured; give --issuer, --audience and --scope, or a file with issuers (--config)"},
		{"serve --config linegate.yaml", nil, 78, `linegate.yaml:5: issuers[0].leeway: want at most 60s, got "2m"`},
		{"check-config --config linegate.yaml", nil, 78, `linegate.yaml:5: issuers[0].leeway: want at most 60s, got "2m"`},
		{"check-config", []string{"LINEGATE_CONFIG=linegate.yaml"}, 78, `linegate.yaml:5: issuers[0].leeway: want at most 60s, got "2m"`},
		{"serve --config none.yaml", nil, 78, "--config: open none.yaml: no such file or directory"},
		{"serve" + issuerFlags, []string{"LINEGATE_DRAIN_TIMEOUT=5"}, 78, `LINEGATE_DRAIN_TIMEOUT: want a duration such as 30s, got "5"`},
		{"serve --log-level loud" + issuerFlags, nil, 78, `--log-level: want one of debug, info, warn, error, got "loud"`},
		{"serve --listen=" + issuerFlags, nil, 78, `--listen: want host:port, got ""`},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := &program{
				environ: test.environ, stdout: &stdout, stderr: &stderr,
				notify: signals{}.notify,
				open: func(*config.Config, *slog.Logger, *slog.LevelVar) (gateway, error) {
					t.Error("serves")
					return nil, os.ErrInvalid
				},
			}
			if got := p.run(t.Context(), strings.Fields(test.args)); got != test.status {
				t.Errorf("exit status %d, want %d", got, test.status)
			}
			if got, want := stderr.String(), "linegate: "+test.stderr+"\n"; got != want {
				t.Errorf("\ngot  %swant %s", got, want)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output: %s", stdout.String())
			}
		})
	}
}

// A token where none belongs is not repeated.
func TestTokensAreNotRepeated(t *testing.T) {
	const payload = "cGF5bG9hZC1vZi1hLXRva2Vu"
	token := "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJhdCtqd3QifQ." + payload + ".c2lnbmF0dXJl"
	for _, args := range [][]string{
		{token},
		{"help", token},
		{"serve", token},
		{"serve", "--" + token},
		{"serve", "-" + token},
		{"serve", "--token=" + token},
		{"check-config", "--audience", token}, // no issuer
	} {
		var stderr bytes.Buffer
		p := &program{stdout: &stderr, stderr: &stderr, notify: signals{}.notify}
		if status := p.run(t.Context(), args); status != exitUsage && status != exitConfig {
			t.Errorf("exit status %d", status)
		}
		if strings.Contains(stderr.String(), payload[:16]) {
			t.Errorf("repeated: %s", stderr.String())
		}
	}
}

// check-config prints what would be in force, and warns on standard error.
func TestCheckConfig(t *testing.T) {
	inDir(t, goodFile)
	var stdout, stderr bytes.Buffer
	p := &program{environ: []string{"LINEGATE_PORT=tcp://192.0.2.1:8885"}, stdout: &stdout, stderr: &stderr}
	status := p.run(t.Context(), strings.Fields("check-config --config linegate.yaml --ops 127.0.0.1:9000"))
	if status != exitOK {
		t.Errorf("exit status %d", status)
	}
	if got, want := stderr.String(), "linegate: warning: LINEGATE_PORT: no key has this variable; ignored (lists are set by file or flags)\n"; got != want {
		t.Errorf("\ngot  %swant %s", got, want)
	}
	for _, line := range []string{
		"    address: 127.0.0.1:8885\n",
		"  address: 127.0.0.1:9000 # --ops\n",
		"    audience: [linegate] # linegate.yaml:3\n",
		"  idle_timeout: 30s\n",
	} {
		if !strings.Contains(stdout.String(), line) {
			t.Errorf("no line %q in:\n%s", line, stdout.String())
		}
	}
	// What it printed is a configuration.
	rewrite(t, stdout.String())
	if status := p.run(t.Context(), strings.Fields("check-config --config linegate.yaml")); status != exitOK {
		t.Errorf("read back: exit status %d: %s", status, stderr.String())
	}
}

// Whoever has read enough of what check-config prints ends it, as any program before
// a pipe, without a word.
func TestStandardOutputIsGone(t *testing.T) {
	inDir(t, goodFile)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	command := exec.Command(os.Args[0], "check-config", "--config", "linegate.yaml")
	command.Env = append(os.Environ(), programVariable+"=1")
	var stderr bytes.Buffer
	command.Stdout, command.Stderr = w, &stderr
	err = command.Run()
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
		t.Errorf("ended with %v: %s", err, &stderr)
	}
}

// Each flag of the contract reaches the configuration.
func TestEveryFlagIsPassedOn(t *testing.T) {
	var stdout, stderr bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stderr}
	status := p.run(t.Context(), strings.Fields("check-config --listen 127.0.0.1:7000 --issuer https://a.example"+
		" --jwks-uri https://a.example/jwks --audience x --audience y --scope s --scope t --token-type JWT"+
		" --ops 127.0.0.1:7001 --backend echo --log-level warn --log-format text"))
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr.String())
	}
	for _, line := range []string{
		"address: 127.0.0.1:7000 # --listen",
		"issuer: https://a.example # --issuer",
		"jwks_uri: https://a.example/jwks # --jwks-uri",
		"audience: [x, y] # --audience",
		"required_scopes: [s, t] # --scope",
		"token_types: [JWT] # --token-type",
		"address: 127.0.0.1:7001 # --ops",
		"kind: echo # --backend",
		"level: warn # --log-level",
		"format: text # --log-format",
	} {
		if !strings.Contains(stdout.String(), line+"\n") {
			t.Errorf("no line %q in:\n%s", line, stdout.String())
		}
	}
	// The remaining two name files, and are met when they are missing.
	stderr.Reset()
	p.run(t.Context(), strings.Fields("check-config --tls-cert none.crt --tls-key none.key"+issuerFlags))
	if got, want := stderr.String(), "linegate: --tls-cert: open none.crt: no such file or directory\n"; got != want {
		t.Errorf("\ngot  %swant %s", got, want)
	}
}

func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"--help":              "Exit status: 0 after a clean stop",
		"help":                "check-config",
		"help serve":          "--audience name",
		"serve --help":        "--audience name",
		"check-config --help": "--config file",
		"version --help":      "Print the version",
	} {
		var stdout, stderr bytes.Buffer
		p := &program{stdout: &stdout, stderr: &stderr}
		if status := p.run(t.Context(), strings.Fields(args)); status != exitOK {
			t.Errorf("%s: exit status %d", args, status)
		}
		if !strings.Contains(stdout.String(), want) || stderr.Len() > 0 {
			t.Errorf("%s:\n%s%s", args, stdout.String(), stderr.String())
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stdout}
	if status := p.run(t.Context(), []string{"version"}); status != exitOK || !strings.HasPrefix(stdout.String(), "linegate ") {
		t.Errorf("exit status %d: %s", status, stdout.String())
	}
	build := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"}
	for _, test := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string // GO is the Go version
	}{
		{"", nil, "linegate devel GO"},
		{"", build("(devel)"), "linegate devel GO"},
		{"", build("v1.2.3"), "linegate v1.2.3 GO"},
		{"1.2.4", build("v1.2.3", revision), "linegate 1.2.4 GO revision 0123abcd"},
		{"", build("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "linegate devel GO revision 0123abcd (modified)"},
		{"", build("", revision, debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "linegate devel GO revision 0123abcd"},
	} {
		got := versionLine(test.linked, test.info)
		if want := strings.Replace(test.want, "GO", runtime.Version(), 1); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
