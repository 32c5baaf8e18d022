package interop

import (
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

func TestProviderClientCredentials(t *testing.T) {
	provider := startProvider(t, 300)
	gateway := startGateway(t, provider.issuer)

	granted := provider.granted(provider.Token, robot,
		"grant_type=client_credentials", "scope=line:connect", "resource=https://gateway.example.com")
	header, claims := decode(t, granted.AccessToken)
	for name, want := range map[string]any{"aud": "linegate", "scope": "line:connect", "client_id": "robot", "iss": provider.issuer} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if header["typ"] != "at+jwt" {
		t.Errorf("header typ is %v, want at+jwt", header["typ"])
	}
	wantAccepted(t, gateway, granted.AccessToken, "robot")

	without := provider.granted(provider.Token, robot, "grant_type=client_credentials")
	d := dial(t, gateway)
	d.says("AUTH " + without.AccessToken)
	d.hears("BYE insufficient_scope action=fix ")
}

// The gateway learns a new key from the first token that names it, without a word
// to the sessions of the old one, and lets nobody in by a key that is gone.
func TestProviderRotation(t *testing.T) {
	provider := startProvider(t, 300)
	gateway := startGateway(t, provider.issuer)
	token := func() string {
		t.Helper()
		return provider.granted(provider.Token, robot, "grant_type=client_credentials", "scope=line:connect").AccessToken
	}

	first := token()
	old := wantAccepted(t, gateway, first, "robot")

	provider.control("rotate")
	second := token()
	wantAccepted(t, gateway, second, "robot")
	wantAccepted(t, gateway, first, "robot")
	old.says("ping")
	old.hears("pong")

	provider.control("rotate")
	provider.control("retire")
	wantAccepted(t, gateway, token(), "robot")
	d := dial(t, gateway)
	d.says("AUTH " + second)
	d.hears("BYE invalid_token action=reauth ")
}

// linegatectl discovers the provider, and sends a secret whose characters need
// the encoding of RFC 6749 section 2.3.1.
func TestProviderTokenCommand(t *testing.T) {
	provider := startProvider(t, 300)
	gateway := startGateway(t, provider.issuer)
	for _, method := range []string{"basic", "post"} {
		t.Run(method, func(t *testing.T) {
			command := exec.Command("linegatectl", "token", "--issuer", provider.issuer,
				"--client-id", "robot", "--scope", "line:connect", "--client-auth", method)
			command.Env = append(command.Environ(), "LINEGATECTL_CLIENT_SECRET=not+so%secret: a&b=c/d")
			token, err := command.Output()
			if err != nil {
				t.Fatal(err)
			}
			wantAccepted(t, gateway, strings.TrimSpace(string(token)), "robot")
		})
	}
}

// One session over several lives of the provider's tokens.
func TestProviderRenewal(t *testing.T) {
	provider := startProvider(t, 6)
	gateway := startGateway(t, provider.issuer)
	command := exec.Command("linegatectl", "connect", "--issuer", provider.issuer,
		"--client-id", "robot", "--scope", "line:connect", gateway)
	command.Env = append(command.Environ(), "LINEGATECTL_CLIENT_SECRET=not+so%secret: a&b=c/d")
	connect := startCommand(t, command)

	session := connect.line(`^< OK AUTH v=1 .*session=(\w+) `)[1]
	for range 3 {
		connect.types("still here")
		connect.line(`^< from server: still here$`)
		if again := connect.line(`^< OK AUTH v=1 .*session=(\w+) `)[1]; again != session {
			t.Fatalf("session %s became %s", session, again)
		}
	}
	connect.stdin.Close()
	if status := connect.status(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	connect.never(`BYE|ERR`)
}

// The eight steps of a login, by hand: the provider's pages, PKCE, and the
// refresh token that is rotated.
func TestProviderAuthorizationCode(t *testing.T) {
	provider := startProvider(t, 300)
	gateway := startGateway(t, provider.issuer)
	const redirect = "http://127.0.0.1:49152/callback"
	address, verifier := provider.authorize(redirect, "of this test")

	alice := newPerson(t)
	alice.opens(address)
	alice.presses("Sign-in", "login=alice", "password=any")
	alice.sees("line:connect")
	alice.presses("Continue")
	back := alice.redirected()
	if back.Get("state") != "of this test" || back.Get("iss") != provider.issuer {
		t.Errorf("redirected with state %q and iss %q", back.Get("state"), back.Get("iss"))
	}

	granted := provider.exchange(redirect, verifier, back.Get("code"))
	wantAccepted(t, gateway, granted.AccessToken, "alice")
	wantRefresh(t, provider, gateway, "alice", granted)
}

func TestProviderDeviceFlow(t *testing.T) {
	provider := startProvider(t, 300)
	gateway := startGateway(t, provider.issuer)
	pending := provider.granted(provider.DeviceAuthorization, nil, "client_id=linegatectl", "scope=line:connect")

	bob := newPerson(t)
	bob.opens(pending.VerificationURI)
	bob.presses("Continue", "user_code="+pending.UserCode)
	bob.sees(pending.UserCode)
	bob.presses("Continue")
	bob.presses("Sign-in", "login=bob", "password=any")
	bob.presses("Continue")
	bob.sees("successful")

	granted := provider.pollDevice("linegatectl", pending)
	wantAccepted(t, gateway, granted.AccessToken, "bob")
	wantRefresh(t, provider, gateway, "bob", granted)
}

// wantRefresh spends the refresh token: the new access token opens a session,
// and spending the old one again ends the family (RFC 9700 section 4.14).
func wantRefresh(t *testing.T, s *server, gateway, subject string, granted answer) {
	t.Helper()
	refresh := func(a answer) []string {
		return []string{"grant_type=refresh_token", "client_id=linegatectl", "refresh_token=" + a.RefreshToken}
	}
	renewed := s.granted(s.Token, nil, refresh(granted)...)
	if renewed.RefreshToken == granted.RefreshToken {
		t.Error("the refresh token was not rotated")
	}
	wantAccepted(t, gateway, renewed.AccessToken, subject)
	s.refused("invalid_grant", s.Token, nil, refresh(granted)...)
	s.refused("invalid_grant", s.Token, nil, refresh(renewed)...)
}

// decode reads a token without checking it.
func decode(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token of %d parts, want 3: not a JWS", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal("part of a token: not base64url")
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal("part of a token: not a JSON object")
		}
	}
	return header, claims
}
