package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A person's login, from linegatectl login to linegatectl logout, at both
// servers and by both ways, with tokens that live 3 s: one session outlives
// several, with nobody at the keyboard.
func TestLogin(t *testing.T) {
	servers := map[string]struct {
		start   func(*testing.T) (issuer, gateway string)
		browser func(alice *person)              // signs in and allows
		device  func(alice *person, code string) // types the code, signs in and allows
	}{
		"oidc-provider": {
			func(t *testing.T) (issuer, gateway string) {
				issuer = startProvider(t, 8).issuer
				return issuer, startGateway(t, issuer)
			},
			func(alice *person) {
				alice.presses("Sign-in", "login=alice", "password=any")
				alice.presses("Continue")
			},
			func(alice *person, code string) {
				alice.presses("Continue", "user_code="+code)
				alice.sees(code)
				alice.presses("Continue")
				alice.presses("Sign-in", "login=alice", "password=any")
				alice.presses("Continue")
			},
		},
		"linegate-dev": {
			func(t *testing.T) (issuer, gateway string) { return startDev(t, "--token-lifetime", "8s") },
			func(alice *person) {
				alice.presses("Alice")
				alice.presses("Allow")
			},
			func(alice *person, code string) {
				alice.presses("Continue", "user_code="+code)
				alice.presses("Alice")
				alice.sees(code)
				alice.presses("Allow")
			},
		},
	}
	for name, server := range servers {
		for _, way := range []string{"browser", "device"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				issuer, gateway := server.start(t)
				home := newHome(t, issuer)
				alice := newPerson(t)
				if way == "browser" {
					login := home.start("login", "--no-browser")
					alice.opens(login.line(`^  (http\S+)$`)[1])
					server.browser(alice)
					alice.opens(alice.at.String()) // linegatectl listens there
					alice.sees("Logged in")
					login.line(`^Logged in as alice at `)
				} else {
					login := home.start("login", "--device")
					address := login.line(`^  (http\S+)$`)[1]
					code := login.line(`^  (\S+)$`)[1]
					alice.opens(address)
					server.device(alice, code)
					login.line(`^Logged in as alice at `)
				}

				wantAccepted(t, gateway, home.token(), "alice")
				connect := home.start("connect", gateway)
				session := connect.line(`^< OK AUTH v=1 sub=alice session=(\w+) `)[1]
				for range 3 {
					if again := connect.line(`^< OK AUTH v=1 sub=alice session=(\w+) `)[1]; again != session {
						t.Fatalf("session %s became %s", session, again)
					}
					connect.types("still here")
					connect.line(`^< from server: still here$`)
				}
				connect.stdin.Close()
				if status := connect.status(); status != 0 {
					t.Errorf("connect: exit status %d", status)
				}
				connect.never(`BYE|ERR`)

				s := discover(t, issuer)
				refresh := home.refreshToken()
				home.start("logout").line(`^Logged out: alice at `)
				s.refused("invalid_grant", s.Token, nil, "grant_type=refresh_token", "client_id=linegatectl", "refresh_token="+refresh)
			})
		}
	}
}

// A person who says no at the provider.
func TestProviderDenied(t *testing.T) {
	home := newHome(t, startProvider(t, 300).issuer)
	alice := newPerson(t)
	login := home.start("login", "--no-browser")
	alice.opens(login.line(`^  (http\S+)$`)[1])
	alice.presses("Sign-in", "login=alice", "password=any")
	alice.follows("[ Cancel ]")
	alice.opens(alice.at.String())
	alice.sees("Denied")
	login.line(`^linegatectl: .*access_denied`)
	if status := login.status(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
}

// linegatectl's own pages, at the end of a login and of a refused one.
func TestLoginInChromium(t *testing.T) {
	issuer, gateway := startDev(t)
	home := newHome(t, issuer)
	c := openChromium(t)

	denied := home.start("login", "--no-browser")
	c.opens(denied.line(`^  (http\S+)$`)[1])
	c.clicks("Alice")
	c.clicks("Deny")
	c.sees("Denied")
	c.shoots("linegatectl-denied")
	if status := denied.status(); status != 1 {
		t.Errorf("denied login: exit status %d", status)
	}

	login := home.start("login", "--no-browser")
	c.opens(login.line(`^  (http\S+)$`)[1])
	c.clicks("Allow")
	c.sees("Logged in")
	c.shoots("linegatectl-logged-in")
	login.line(`^Logged in as alice at `)
	if status := login.status(); status != 0 {
		t.Errorf("login: exit status %d", status)
	}
	wantAccepted(t, gateway, home.token(), "alice")
}

// home is where linegatectl keeps one person's login at one issuer.
type home struct {
	t             *testing.T
	issuer, store string
}

func newHome(t *testing.T, issuer string) *home {
	t.Helper()
	return &home{t, issuer, filepath.Join(t.TempDir(), "tokens.json")}
}

func (h *home) command(verb string, args ...string) *exec.Cmd {
	return exec.Command("linegatectl", append([]string{verb, "--issuer", h.issuer, "--token-store", h.store}, args...)...)
}

func (h *home) start(verb string, args ...string) *process {
	h.t.Helper()
	return startCommand(h.t, h.command(verb, args...))
}

// token is what scripts get.
func (h *home) token() string {
	h.t.Helper()
	token, err := h.command("token").Output()
	if err != nil {
		h.t.Fatalf("linegatectl token: %v", err)
	}
	return strings.TrimSpace(string(token))
}

func (h *home) refreshToken() string {
	h.t.Helper()
	text, err := os.ReadFile(h.store)
	if err != nil {
		h.t.Fatal(err)
	}
	var stored struct {
		Logins []struct {
			RefreshToken string `json:"refresh_token"`
		} `json:"logins"`
	}
	if err := json.Unmarshal(text, &stored); err != nil || len(stored.Logins) != 1 || stored.Logins[0].RefreshToken == "" {
		h.t.Fatalf("%s has no refresh token", h.store)
	}
	return stored.Logins[0].RefreshToken
}
