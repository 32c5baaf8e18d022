package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/session"
)

// A script's use: what is piped in is sent, all of it is answered, and that is
// the end.
func TestConnectScript(t *testing.T) {
	iss := authtest.New(t)
	address := gateway(t, iss.Verifier(), session.Rules{}, nil)
	token := iss.Token()
	got := run(t, "ping\nHello World!\nno line end", "connect", "--token-file", write(t, "token", token), address)
	if shows(got.stdout+got.stderr, token) {
		t.Error("a part of the token is shown")
	}
	lines := strings.Split(got.stdout, "\n")
	// The lines sent may be ahead of the answers.
	want := map[string]int{
		"> AUTH <token>": 1, "> ping": 2, "< pong": 2,
		"> Hello World!": 1, "< from server: Hello World!": 1,
		"> no line end": 1, "< from server: no line end": 1, "": 1,
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "< OK AUTH v=1 sub=device-1 ") {
			continue
		}
		if want[line]--; want[line] < 0 {
			t.Errorf("unexpected: %q", line)
		}
	}
	for line, n := range want {
		if n > 0 {
			t.Errorf("%d missing: %q", n, line)
		}
	}
	if got.status != 0 || got.stderr != "" {
		t.Errorf("status %d, %s", got.status, got.stderr)
	}
}

// A person's use.
func TestConnectConversation(t *testing.T) {
	iss := authtest.New(t)
	address := gateway(t, iss.Verifier(), session.Rules{MaxLine: 16}, nil)
	r := start(t, "connect", "--token-file", "-", address)
	r.types(iss.Token())
	r.shows("> AUTH <token>", "< OK AUTH v=1 sub=device-1 ")
	r.types("ping")
	r.shows("> ping", "< pong")
	r.types("Hi!\x1b[2J\xff\r")
	r.shows(`> Hi!\x1b[2J\xff\x0d`, `< from server: Hi!\x1b[2J\xff`)
	r.types("AUTH " + iss.Token())
	r.tells("linegatectl: not sent: a line that begins with AUTH is never one")
	r.types("seventeen bytes..")
	r.tells("linegatectl: not sent: it has 17 bytes, the gateway takes 16")
	r.types("and on")
	r.shows("> and on", "< from server: and on")
	r.cancel()
	r.ends(0)
}

// The end of standard input ends the session, unless --stay is given.
func TestConnectStay(t *testing.T) {
	iss := authtest.New(t)
	address := gateway(t, iss.Verifier(), session.Rules{IdleTimeout: 3 * time.Second}, nil)
	r := start(t, "connect", "--stay", "--token-file", tokenFile(t, iss), address)
	r.shows("> AUTH <token>", "< OK AUTH")
	r.stdin.Close()
	r.shows("> ping", "< pong") // a third of the idle time-out later
	r.cancel()
	r.ends(0)
}

// The token comes by client credentials, and is renewed in band by a fresh one.
func TestConnectRenews(t *testing.T) {
	tokens := make(chan string, 2)
	address := listen(t, nil, func(nc net.Conn) {
		answers := []string{okLine + "\nNOTICE reauth expires_in=30\n", okLine + "\n"}
		for lines := bufio.NewScanner(nc); lines.Scan() && len(answers) > 0; answers = answers[1:] {
			tokens <- lines.Text()
			_, _ = io.WriteString(nc, answers[0])
		}
	})
	r := start(t, "connect", "--issuer", issuer(t), address)
	r.shows("> AUTH <token>", "< OK AUTH", "< NOTICE reauth", "> AUTH <token>", "< OK AUTH")
	if first, second := <-tokens, <-tokens; first == second || !strings.HasPrefix(first, "AUTH ") {
		t.Error("the same token again")
	}
	r.cancel()
	r.ends(0)
}

// A line that no gateway takes ends the session, in order: what was typed before
// is sent.
func TestConnectEndlessLine(t *testing.T) {
	got := run(t, "before\n"+strings.Repeat("x", 2<<20), "connect", "--token-file", tokenFile(t, authtest.New(t)), script(t))
	if got.status != 1 || !strings.Contains(got.stdout, "> before\n") || got.stderr != "linegatectl: standard input: a line has more than 1048576 bytes\n" {
		t.Errorf("%+v", got)
	}
}

// It comes back as the BYE's action says, and tells why and when.
func TestConnectComesBack(t *testing.T) {
	iss := authtest.New(t)
	address := script(t,
		"BYE invalid_token action=reauth :the token was refused\n",
		okLine+"\nBYE idle_timeout action=retry :超时断开连接\n",
	)
	r := start(t, "connect", "--token-file", tokenFile(t, iss), address)
	r.shows("> AUTH <token>", "< BYE invalid_token action=reauth :the token was refused")
	r.tells("linegatectl: the gateway said invalid_token: the token was refused; connecting again with --token-file's token at once (action reauth)")
	r.shows("> AUTH <token>", "< OK AUTH", "< BYE idle_timeout action=retry :超时断开连接")
	r.tells("linegatectl: the gateway said idle_timeout: 超时断开连接; connecting again in ")
	r.shows("> AUTH <token>", "< OK AUTH")
	r.types("there again")
	r.shows("> there again", "< from server: there again")
	r.cancel()
	r.ends(0)
}

// With nothing more to come from standard input, a failure is final, and one
// clear line.
func TestConnectFails(t *testing.T) {
	iss := authtest.New(t)
	other := authtest.New(t, authtest.Named("other"))
	address := gateway(t, iss.Verifier(), session.Rules{}, nil)
	tlsConfig, caFile := certificate(t)
	secured := gateway(t, iss.Verifier(), session.Rules{}, tlsConfig)
	good := tokenFile(t, iss)
	down := script(t, "BYE temporarily_unavailable action=retry retry_after=9 :no keys yet\n")
	for name, test := range map[string]struct {
		args   []string
		stderr string
	}{
		"token refused": {
			[]string{"--token-file", tokenFile(t, other), address},
			"linegatectl: the gateway said invalid_token: the token was refused",
		},
		"scope missing": {
			[]string{"--token-file", tokenFile(t, iss, authtest.Claim("scope", "x")), address},
			"linegatectl: the gateway said insufficient_scope: the token lacks a required scope\n",
		},
		"gateway not ready": {
			[]string{"--token-file", good, down},
			"linegatectl: the gateway said temporarily_unavailable: no keys yet\n",
		},
		"nobody there": {
			[]string{"--token-file", good, "127.0.0.1:1"},
			"linegatectl: dial tcp 127.0.0.1:1: connect: connection refused\n",
		},
		"TLS port, plain": {
			[]string{"--token-file", good, secured},
			"linegatectl: connection ended without a BYE: ",
		},
		"certificate not trusted": {
			[]string{"--token-file", good, "--tls", secured},
			"linegatectl: TLS with " + secured + ": tls: failed to verify certificate: x509: ",
		},
		"certificate of another": {
			[]string{"--token-file", good, "--ca-file", caFile, "--server-name", "other.test", secured},
			"linegatectl: TLS with " + secured + ": tls: failed to verify certificate: x509: certificate is valid for gateway.test, not other.test\n",
		},
		"no issuer": {
			[]string{"--issuer", "http://127.0.0.1:1", address},
			`linegatectl: no token: issuer http://127.0.0.1:1: no metadata: Get "http://127.0.0.1:1/.well-known/oauth-authorization-server": dial tcp 127.0.0.1:1: connect: connection refused` + "\n",
		},
		"no token file": {
			[]string{"--token-file", "missing.jwt", address},
			"linegatectl: no token: token file: open missing.jwt: no such file or directory\n",
		},
		"no token on standard input": {
			[]string{"--token-file", "-", address},
			"linegatectl: --token-file -: the first line of standard input has no token\n",
		},
		"no CA file": {
			[]string{"--ca-file", "missing.pem", address},
			"linegatectl: --ca-file: open missing.pem: no such file or directory\n",
		},
		"a CA file that is none": {
			[]string{"--ca-file", good, address},
			"linegatectl: --ca-file: " + good + " has no PEM certificate\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, "", append([]string{"connect"}, test.args...)...)
			for _, file := range test.args { // the token files among them
				if token, err := os.ReadFile(file); err == nil && shows(got.stdout+got.stderr, strings.TrimSpace(string(token))) {
					t.Error("a part of the token is shown")
				}
			}
			last := got.stderr[strings.LastIndex(strings.TrimSuffix(got.stderr, "\n"), "\n")+1:]
			if got.status != 1 || !strings.HasPrefix(last, test.stderr) {
				t.Errorf("status %d\n got %s\nwant %s", got.status, got.stderr, test.stderr)
			}
		})
	}
}

func TestConnectTLS(t *testing.T) {
	iss := authtest.New(t)
	config, caFile := certificate(t)
	address := gateway(t, iss.Verifier(), session.Rules{}, config)
	for name, args := range map[string][]string{
		"address in the certificate": {"--ca-file", caFile},
		"another name":               {"--ca-file", caFile, "--server-name", "gateway.test"},
	} {
		t.Run(name, func(t *testing.T) {
			args = append([]string{"connect", "--token-file", tokenFile(t, iss), address}, args...)
			got := run(t, "Hello World!\n", args...)
			if got.status != 0 || !strings.Contains(got.stdout, "\n< from server: Hello World!\n") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A gateway that asks for certificates, and a token that is bound to one (RFC
// 8705).
func TestConnectClientCertificate(t *testing.T) {
	certs, stranger := certtest.New(t), certtest.New(t)
	o := operate(t, func(c *config.Config) {
		secure := config.NewListener("127.0.0.1:0")
		secure.Name = "tls"
		secure.TLS = &config.TLS{Cert: certs.Cert, Key: certs.Key, ClientCA: certs.CA, ClientAuth: "require"}
		c.Listen = append(c.Listen, secure)
	})
	pair, err := tls.LoadX509KeyPair(certs.Cert, certs.Key)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(pair.Certificate[0])
	bound := tokenFile(t, o.issuer, authtest.Claim("cnf", map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(hash[:])}))
	const wants = "linegatectl: the gateway wants a client certificate"
	for name, test := range map[string]struct {
		args   []string
		stderr string // empty: it gets in
	}{
		"its own":              {[]string{"--client-cert", certs.Cert, "--client-key", certs.Key}, ""},
		"none":                 {nil, wants + " (TLS alert: certificate required): give --client-cert and --client-key\n"},
		"by another authority": {[]string{"--client-cert", stranger.Cert, "--client-key", stranger.Key}, wants + " by another authority than that of --client-cert (TLS alert: unknown certificate authority)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, "hello\n", append([]string{"connect", "--token-file", bound, "--ca-file", certs.CA, o.secured}, test.args...)...)
			if got.stderr != test.stderr || (test.stderr == "") != strings.Contains(got.stdout, "\n< from server: hello\n") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The alerts of a server about client certificates, and others.
func TestCertificateWanted(t *testing.T) {
	given := certFlags{"device.pem", "device.key"}
	for alert, want := range map[string][2]string{ // without a certificate, and with one
		"certificate required":          {"it wants a client certificate (TLS alert: certificate required): give --client-cert and --client-key", "it wants a client certificate by another authority than that of --client-cert (TLS alert: certificate required)"},
		"unknown certificate authority": {"", "it wants a client certificate by another authority than that of --client-cert (TLS alert: unknown certificate authority)"},
		"expired certificate":           {"", ""},
	} {
		err := fmt.Errorf("client: TLS with gw.test:1: %w", &net.OpError{Op: "remote error", Err: errors.New("tls: " + alert)})
		if without, with := (&certFlags{}).wanted("it", err), given.wanted("it", err); without != want[0] || with != want[1] {
			t.Errorf("%s: %q, %q", alert, without, with)
		}
	}
}

// Wrong usage: status 64, one line that names the flag, nothing tried.
func TestUsage(t *testing.T) {
	for line, want := range map[string]string{
		"":                                 "a command is missing; linegatectl --help lists them",
		"conect":                           `unknown command "conect"; linegatectl --help lists them`,
		"connect a b":                      "accepts at most 1 arg(s), received 2",
		"connect gw.example.com":           `address "gw.example.com": want host:port`,
		"connect --nonsense":               "unknown flag: --nonsense",
		"connect --plaintext --tls":        "--plaintext: not beside --tls, --ca-file, --server-name or --client-cert",
		"connect --insecure-plaintext":     "--insecure-plaintext: only with --plaintext",
		"connect --plaintext 192.0.2.1:99": "--plaintext: 192.0.2.1:99 is not loopback, the token would cross the network readable; --insecure-plaintext allows it",
		"connect --client-cert x":          "--client-cert and --client-key: want both or none",
		"connect --client-key x":           "--client-cert and --client-key: want both or none",
		"connect --token-file x --scope y": "--scope: not beside --token-file",
		"connect --token-file x --client-credentials": "--client-credentials: not beside --token-file",
		"login --device --no-browser":                 "--no-browser: not beside --device, which opens none",
		"login alice":                                 `unknown command "alice" for "linegatectl login"`,
		"login --issuer http://login.test":            `issuer: "http://login.test": http is for loopback only, the secret would be sent readable`,
		"logout alice":                                `unknown command "alice" for "linegatectl logout"`,
		"token extra":                                 `unknown command "extra" for "linegatectl token"`,
		"token --issuer ftp://x":                      "no login stored for the issuer and no client secret: log in (linegatectl login), or give --client-secret-file or LINEGATECTL_CLIENT_SECRET",
		"token --client-auth digest":                  `--client-auth: "digest" is neither basic nor post`,
		"token --client-id mine":                      "no login stored for the issuer and no client secret: log in (linegatectl login), or give --client-secret-file or LINEGATECTL_CLIENT_SECRET",
	} {
		got := run(t, "", strings.Fields(line)...)
		if got.status != 64 || got.stderr != "linegatectl: "+want+"\n" || got.stdout != "" {
			t.Errorf("%s: status %d\n got %swant linegatectl: %s", line, got.status, got.stderr, want)
		}
	}
	secret := []string{"LINEGATECTL_CLIENT_SECRET=hush"}
	got := runWith(t, secret, "", "token", "--issuer", "http://login.example.com")
	if want := `"http://login.example.com": http is for loopback only, the secret would be sent readable`; got.status != 64 || got.stderr != "linegatectl: "+want+"\n" {
		t.Errorf("%+v", got)
	}
}
