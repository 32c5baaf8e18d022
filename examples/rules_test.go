//go:build examples

package examples

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// counted returns a command that prints another token each time.
func counted(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "counted")
	script := "#!/bin/sh\necho x >>\"$0.runs\"\necho token.$(wc -l <\"$0.runs\" | tr -d ' ')\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// script is a gateway that says what a test tells it to.
type script struct {
	net.Listener
	t          *testing.T
	host, port string
}

func newScript(t *testing.T) *script {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(2 * patience))
	s := &script{Listener: listener, t: t}
	s.host, s.port, _ = net.SplitHostPort(listener.Addr().String())
	return s
}

// accept returns the device's next connection and the token that it opens with.
func (s *script) accept() (*peer, string) {
	s.t.Helper()
	nc, err := s.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	p := &peer{nc, s.t, bufio.NewReader(nc)}
	return p, p.auth()
}

// peer is the gateway's end of a connection.
type peer struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func (p *peer) say(lines string) {
	p.t.Helper()
	if _, err := io.WriteString(p, lines); err != nil {
		p.t.Fatal(err)
	}
}

// auth skips lines until an AUTH and returns its token.
func (p *peer) auth() string {
	p.t.Helper()
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			p.t.Fatalf("no AUTH came: %v", err)
		}
		if token, ok := strings.CutPrefix(line, "AUTH "); ok {
			return strings.TrimSuffix(token, "\n")
		}
	}
}

const ok = "OK AUTH v=1 sub=a session=S expires_in=100 reauth_in=80 idle_timeout=30 max_line=1000\n"

// start runs one of the devices against the script.
func (s *script) start(device string) (p *program, newToken func()) {
	s.t.Helper()
	if device == "python" {
		return run(s.t, nil, "python3", python("--token-command", counted(s.t), s.host+":"+s.port)[1:]...), func() {}
	}
	path, n := filepath.Join(s.t.TempDir(), "token"), 0
	newToken = func() {
		n++
		if err := os.WriteFile(path+".new", fmt.Appendf(nil, "token.%d\n", n), 0o600); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			s.t.Fatal(err)
		}
	}
	newToken()
	return run(s.t, nil, programs.device, path, s.host, s.port), newToken
}

// forDevices runs a test with each device that stays connected.
func forDevices(t *testing.T, test func(t *testing.T, device string)) {
	t.Parallel()
	for _, device := range []string{"python", "c"} {
		t.Run(device, func(t *testing.T) {
			t.Parallel()
			test(t, device)
		})
	}
}

// TestComingBack: how long a device stays away, by how it was dropped.
func TestComingBack(t *testing.T) {
	t.Parallel()
	data := "from server: " + strings.Repeat("~", 1000) + "\n"
	for _, test := range []struct {
		name        string
		says        string // then it closes
		reason      string
		least, most float64 // seconds
	}{
		{"fix", ok + "BYE line_too_long action=fix :too long\n", "the gateway said line_too_long: too long", 3600, 3900},
		{"fix at once", "BYE insufficient_scope action=fix :no\n", "the gateway said insufficient_scope: no", 3600, 3900},
		{"none", ok + "BYE replaced action=none :another\n", "the gateway said replaced: another", 3600, 3900},
		{"retry", ok + "BYE idle_timeout action=retry :超时断开连接\n", "the gateway said idle_timeout: 超时断开连接", 0, 1},
		{"retry_after", "BYE draining action=retry retry_after=7 :bye\n", "the gateway said draining: bye", 7, 8},
		{"retry_after of a year", "BYE draining retry_after=31536000 action=retry :bye\n", "the gateway said draining: bye", 86400, 86401},
		{"unknown code, action and key", ok + "BYE new action=newer a=b :text action=fix\n", "the gateway said new: text action=fix", 0, 1},
		{"no action", ok + "BYE new\n", "the gateway said new", 0, 1},
		{"no BYE", ok, "the gateway closed without a BYE", 0, 1},
		{"half a BYE", ok + "BYE new action=fix", "the gateway closed without a BYE", 0, 1},
		{"verbs and notices of later versions", ok + "NEW x action=fix\nNOTICE new action=fix\nERR new for=message action=fix\n\n", "the gateway closed without a BYE", 0, 1},
		{"data is never control", ok + "from server: BYE new action=fix :text\n", "the gateway closed without a BYE", 0, 1},
		{"longest data line", ok + data, "the gateway closed without a BYE", 0, 1},
		{"longest control line", ok + "NEW " + strings.Repeat("~", 1019) + "\n", "the gateway closed without a BYE", 0, 1},
		{"control line too long", ok + "NEW " + strings.Repeat("~", 1020) + "\n", "the gateway sent a line longer than the protocol allows", 0, 1},
		{"endless line", ok + strings.Repeat("~", 20000), "the gateway sent a line longer than the protocol allows", 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			forDevices(t, func(t *testing.T, device string) {
				s := newScript(t)
				p, _ := s.start(device)
				peer, _ := s.accept()
				// What the device has sent is read before closing, or
				// its end would be a reset.
				go io.Copy(io.Discard, peer.in)
				_, _ = io.WriteString(peer, test.says) // a device may close before the end of it
				_ = peer.Conn.(*net.TCPConn).CloseWrite()
				found := p.until(`: (.*) \(action \w+\); connecting again in ([\d.]+) s$`)
				wait, err := strconv.ParseFloat(found[2], 64)
				if err != nil || found[1] != test.reason || wait < test.least || wait > test.most {
					t.Errorf("%s; want %q, and %g to %g s", found[0], test.reason, test.least, test.most)
				}
			})
		})
	}
}

// TestReauthAtOnce: after action reauth a device comes back at once, with
// another token; the second time in a row it backs off.
func TestReauthAtOnce(t *testing.T) {
	forDevices(t, func(t *testing.T, device string) {
		s := newScript(t)
		p, newToken := s.start(device)
		peer, first := s.accept()
		newToken()
		peer.say("BYE invalid_token action=reauth :no\n")
		p.until(`invalid_token: no \(action reauth\); connecting again in 0\.0 s$`)
		peer, second := s.accept()
		if first == second {
			t.Errorf("%s twice", first)
		}
		peer.say("BYE invalid_token action=reauth retry_after=2 :no\n")
		p.until(`invalid_token: no \(action reauth\); connecting again in [23]\.\d s$`)
	})
}

// TestRenewalRefused: a renewal that fails is tried again on the same
// connection, and a NOTICE is not waited for.
func TestRenewalRefused(t *testing.T) {
	forDevices(t, func(t *testing.T, device string) {
		s := newScript(t)
		p, newToken := s.start(device)
		peer, first := s.accept()
		newToken()
		peer.say(strings.Replace(ok, "reauth_in=80", "reauth_in=1", 1))
		second := peer.auth()
		peer.say("ERR invalid_token for=auth action=reauth\n")
		p.until(`not renewed: the gateway said invalid_token.*; again in 1\.0 s$`)
		newToken()
		third := peer.auth()
		peer.say("ERR identity_mismatch for=auth action=fix\n")
		p.until(`not renewed: the gateway said identity_mismatch.*; again in 3[6-9]\d\d\.\d s$`)
		newToken()
		peer.say("NOTICE reauth expires_in=20\n")
		fourth := peer.auth()
		peer.say(ok + "BYE idle_timeout action=retry :silent\n")
		p.until(`idle_timeout`)
		if tokens := []string{first, second, third, fourth}; strings.Join(tokens, " ") != "token.1 token.2 token.3 token.4" {
			t.Errorf("renewed with %v", tokens)
		}
	})
}

// TestTerminal: what a stranger sends cannot steer it.
func TestTerminal(t *testing.T) {
	forDevices(t, func(t *testing.T, device string) {
		s := newScript(t)
		p, _ := s.start(device)
		peer, _ := s.accept()
		peer.say(ok + "from server: 水\x1b[2J\u009b2J\x00\r\n")
		peer.say("BYE a\x1b action=retry :\x07\n")
		shown := p.until(`^< from server: .*`)[0] + p.until(`^< BYE .*`)[0] + p.until(`connecting again`)[0]
		if strings.ContainsAny(shown, "\x00\x07\r\x1b\u009b") || !strings.Contains(shown, "水") {
			t.Errorf("shown: %q", shown)
		}
	})
}

// TestPingsInTime: the gateway hangs up after idle_timeout without a line.
func TestPingsInTime(t *testing.T) {
	forDevices(t, func(t *testing.T, device string) {
		s := newScript(t)
		s.start(device)
		peer, _ := s.accept()
		peer.say(strings.Replace(ok, "idle_timeout=30", "idle_timeout=6", 1))
		began := time.Now()
		for range 2 {
			for line := ""; line != "ping\n"; {
				var err error
				if line, err = peer.in.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			if waited := time.Since(began); waited < time.Second || waited >= 6*time.Second {
				t.Errorf("a ping after %v, want it after 2 s", waited)
			}
			began = time.Now()
		}
	})
}

// TestLongDataIsSkipped: the C device has no room for more than the default
// max_line; it goes on behind a line that is longer.
func TestLongDataIsSkipped(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	p, _ := s.start("c")
	peer, _ := s.accept()
	peer.say(strings.Replace(ok, "max_line=1000", "max_line=100000", 1))
	peer.say("from server: " + strings.Repeat("~", 8192) + "\n")
	if line := p.until(`^< from server: ~+$`)[0]; len(line) != len("< from server: ")+8192 {
		t.Errorf("of 8192 bytes %d are left", len(line)-len("< from server: "))
	}
	peer.say("from server: " + strings.Repeat("~", 8193) + "\n" + "from server: " + strings.Repeat("~", 50000) + "\nfrom server: next\n")
	p.until(`^device: a data line was too long for this device, and skipped$`)
	p.until(`^device: a data line was too long for this device, and skipped$`)
	p.until(`^< from server: next$`)
}

// TestSilence: a gateway that is gone without a word is noticed.
func TestSilence(t *testing.T) {
	forDevices(t, func(t *testing.T, device string) {
		s := newScript(t)
		p, _ := s.start(device)
		peer, _ := s.accept()
		peer.say(ok)
		p.until(`: the gateway was silent for 30 s \(action retry\); connecting again in `)
	})
}

// TestPythonBackoff: with the highest draw of each, until it starts anew.
func TestPythonBackoff(t *testing.T) {
	t.Parallel()
	p := run(t, []string{"PYTHONPATH=python"}, "python3", "-W", "error", "-c", `
import protocol
protocol.random.uniform = lambda least, most: most
pace, retry, reauth = protocol.Pace(), protocol.Trouble("", "retry"), protocol.Trouble("", "reauth")
waits = [pace.after(reauth)] + [pace.after(trouble) for trouble in [retry, reauth] * 5]
pace.forget()
print(*waits, pace.after(reauth), pace.after(retry))
`)
	p.until(`^0\.0 1\.0 2\.0 4\.0 8\.0 16\.0 32\.0 64\.0 128\.0 256\.0 300 0\.0 1\.0$`)
}
