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
	provider := startProvider(t, 3)
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
