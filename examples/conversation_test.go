//go:build examples

package examples

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// python returns the command line that runs the Python example, where every
// warning is an error.
func python(args ...string) []string {
	return append([]string{"python3", "-W", "error", "python/linegate_client.py"}, args...)
}

// TestDevicesStay: each device authenticates, talks, lives across several
// tokens on one connection, and comes back after a restart of the gateway.
func TestDevicesStay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		command func(*site) []string
		environ []string
	}{
		{"python, token command", func(s *site) []string {
			return python("--token-command", programs.linegatectl+" token --fresh --issuer "+s.issuer, s.host+":"+s.port)
		}, nil},
		{"python, token file", func(s *site) []string {
			return python("--token-file", s.freshFile(), s.host+":"+s.port)
		}, nil},
		{"python, client credentials, TLS", func(s *site) []string {
			return python("--issuer", s.issuer, "--ca-file", s.ca, s.tls)
		}, []string{"LINEGATECTL_CLIENT_SECRET=dev-secret"}},
		{"c", func(s *site) []string {
			return []string{programs.device, s.freshFile(), s.host, s.port}
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			command := test.command(s)
			p := run(t, test.environ, command[0], command[1:]...)
			p.until(`^< OK AUTH v=1 sub=dev-device `)
			p.until(`^> Hello World!$`)
			p.until(`^< from server: Hello World!$`)
			p.renewals(3)
			p.until(`^> ping$`)
			p.until(`^< pong$`)
			p.renewals(5)

			s.restart()
			p.until(`^< BYE draining action=retry `)
			p.until(`the gateway said draining: .* \(action retry\); connecting again in \d+\.\d s$`)
			p.until(`^< OK AUTH v=1 `)
			p.until(`^< from server: Hello World!$`)

			_ = p.Process.Signal(os.Interrupt)
			if status := p.end(); command[0] == "python3" && status != 0 {
				t.Errorf("status %d after Ctrl-C", status)
			}
		})
	}
}

// TestDeviceWithOneToken: what standard input gave is good until it expires.
func TestDeviceWithOneToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := run(t, nil, programs.device, "-", s.host, s.port)
	if _, err := p.stdin.Write([]byte(s.token() + "\n")); err != nil {
		t.Fatal(err)
	}
	p.until(`^< from server: Hello World!$`)
	p.until(`^device: not renewed: there is no newer token; again in `)
	p.until(`^< BYE token_expired action=reauth `)
	p.until(`^device: the gateway said token_expired: .*; standard input had no other token$`)
	if status := p.end(); status != 1 {
		t.Errorf("status %d", status)
	}
}

// TestShell: a person types; between the lines nc is kept open and renewed.
func TestShell(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		environ func(*site) []string
	}{
		{"linegatectl", func(s *site) []string {
			return []string{"TOKEN_COMMAND=" + programs.linegatectl + " token --fresh --issuer " + s.issuer}
		}},
		{"curl", func(s *site) []string {
			return []string{"TOKEN_COMMAND=shell/token.sh", "TOKEN_URL=" + s.issuer + "/token"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			p := run(t, test.environ(s), "shell/talk.sh", s.host, s.port)
			p.until(`^OK AUTH v=1 sub=dev-device `)
			p.types("Hello World!\n")
			p.until(`^from server: Hello World!$`)
			p.renewals(3)
			p.until(`^pong$`)
			p.renewals(4)
			p.types("a last line without an end")
			p.stdin.Close()
			p.until(`^from server: a last line without an end$`)
			if status := p.end(); status != 0 {
				t.Errorf("status %d after Ctrl-D", status)
			}
		})
	}
}

func (p *program) types(text string) {
	p.t.Helper()
	if _, err := p.stdin.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// TestShellEnds: whatever ends it is told, and it leaves nothing behind.
func TestShellEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		token  string // "": a good one
		act    func(*site, *program)
		says   string
		status int
	}{
		{"drained", "", func(s *site, _ *program) { s.stop() }, `^BYE draining action=retry `, 1},
		{"terminated", "", func(_ *site, p *program) { _ = p.Process.Signal(syscall.SIGTERM) }, "", 143},
		{"wrong token", "echo a.b.c", nil, `^BYE invalid_token action=reauth `, 1},
		{"no token", "false", nil, `^talk.sh: no token$`, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tmp := t.TempDir()
			token := test.token
			if token == "" {
				token = programs.linegatectl + " token --fresh --issuer " + s.issuer
			}
			p := run(t, []string{"TMPDIR=" + tmp, "TOKEN_COMMAND=" + token}, "shell/talk.sh", s.host, s.port)
			if test.act != nil {
				p.until(`^OK AUTH v=1 `)
				test.act(s, p)
			}
			if test.says != "" {
				p.until(test.says)
			}
			if status := p.end(); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestRefusals: what can never work is one clear line, and nothing is tried.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command []string
		says    string
		status  int
	}{
		{python("gateway"), "linegate_client: address 'gateway': want HOST:PORT; see --help", 64},
		{python("--nonsense"), "linegate_client: unrecognized arguments: --nonsense; see --help", 64},
		{python("--ca-file", "/nonexistent"), "linegate_client: --ca-file /nonexistent: No such file or directory; see --help", 64},
		{python("--token-file", "a", "--issuer", "b"), "linegate_client: --token-command, --token-file and --issuer: give one of them; see --help", 64},
		{python("--scope", "a"), "linegate_client: --client-id and --scope: only with --issuer; see --help", 64},
		{python("--issuer", "https://a.test"), "linegate_client: --issuer: LINEGATECTL_CLIENT_SECRET, the client's secret, is not in the environment; see --help", 64},
		{[]string{"env", "LINEGATECTL_CLIENT_SECRET=x", "python3", "python/linegate_client.py", "--issuer", "http://a.test"}, "linegate_client: --issuer 'http://a.test': want https, or http on loopback; see --help", 64},
		{[]string{programs.device, "token", "192.0.2.1"}, "device: 192.0.2.1 is not loopback: the token would cross the network readable", 64},
		{[]string{programs.device, "-"}, "device: no token: the first line of standard input is not one", 1},
		{[]string{"shell/talk.sh", "192.0.2.1"}, "talk.sh: 192.0.2.1 is not loopback, the token would cross the network readable", 64},
		{[]string{"env", "CLIENT_ID=a b", "shell/token.sh"}, "token.sh: CLIENT_ID and CLIENT_SECRET: other characters than A-Za-z0-9._~- need form-encoding, which this script does not do", 64},
	} {
		p := run(t, nil, test.command[0], test.command[1:]...)
		p.stdin.Close()
		status := p.end()
		var said []string
		for line := range p.lines {
			said = append(said, line)
		}
		if strings.Join(said, "\n") != test.says || status != test.status {
			t.Errorf("%s: said %q, status %d; want %q, %d", strings.Join(test.command, " "), said, status, test.says, test.status)
		}
	}
}
