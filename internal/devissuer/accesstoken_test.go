package devissuer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
	"github.com/linegate/linegate/internal/mint"
)

// TestAccessToken holds a token to RFC 9068 sections 2.1 and 2.2.
func TestAccessToken(t *testing.T) {
	now := time.Unix(1_700_000_000, 999_999_999)
	server := start(t, devissuer.Config{
		Audience: "gate", TokenLifetime: 90 * time.Second, Now: func() time.Time { return now },
	})
	token := server.token()
	header, claims := decode(t, token)

	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] != server.keyIDs()[0] || len(header) != 3 {
		t.Errorf("header %v", header)
	}
	id, _ := claims["jti"].(string)
	if len(id) < 16 {
		t.Errorf("jti %q", id)
	}
	if _, other := decode(t, server.token()); other["jti"] == id {
		t.Errorf("jti %q twice", id)
	}
	want := map[string]any{
		"iss": server.url, "sub": "dev-device", "aud": "gate", "client_id": "dev-device",
		"scope": "line:connect", "iat": 1_700_000_000.0, "exp": 1_700_000_090.0, "jti": id,
	}
	if !maps.Equal(claims, want) {
		t.Errorf("claims %v, want %v", claims, want)
	}
}

// TestGatewayAccepts: the gateway's own verifier accepts what is issued, with
// every algorithm, by the key set that is published.
func TestGatewayAccepts(t *testing.T) {
	for _, algorithm := range mint.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			server := start(t, devissuer.Config{Algorithm: algorithm})
			if err := server.verify(server.token(), time.Now); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLogTellsNoSecret: neither tokens nor codes nor secrets, wrong ones
// included, whatever the level.
func TestLogTellsNoSecret(t *testing.T) {
	var log bytes.Buffer
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	server := start(t, devissuer.Config{Log: slog.New(slog.NewJSONHandler(&log, level))})

	robot := server.token()
	server.do("POST", "/token", "grant_type=client_credentials", form, basic("dev-device", "a-wrong-secret"))
	server.do("POST", "/token", "grant_type=a-wrong-secret&client_id=x&client_secret=dev-secret", form)
	alice := newPerson(t, server).opens("/authorize?"+wish().Encode()).presses("user", "alice")
	formToken := alice.finds(`name="form_token" value="([^"]*)"`)
	cookies := alice.web.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(server.url, "http://")})
	code := alice.presses("decision", "allow").back().Get("code")
	server.exchange(code, "code_verifier", verifier+"-wrong")
	granted := server.exchange(code).tokens(t)
	second := server.refresh(granted.refresh).tokens(t)
	server.refresh(granted.refresh)
	server.exchange(code)
	server.ask("/revoke", "client_id", "linegatectl", "token", second.access)
	device := newDevice(t, server)
	alice.opens(device.addressed).presses("decision", "allow", func(f url.Values, _ http.Header) { f.Set("form_token", "a-wrong-secret") })
	alice.opens(device.addressed).presses("decision", "allow")
	device.polls()

	text := log.String()
	for _, want := range []string{
		"token issued", "invalid_client", "unsupported_grant_type", "authorization granted", "used again",
		"token revoked", "form refused", "device decided",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	secrets := []string{
		"dev-secret", "a-wrong-secret", formToken, cookies[0].Value, code, verifier, device.code, device.userCode,
	}
	for _, token := range []string{robot, granted.access, granted.refresh, second.access, second.refresh} {
		for _, part := range strings.Split(token, ".")[strings.Count(token, ".")-1:] {
			secrets = append(secrets, part[:16])
		}
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%q in %s", secret, text)
		}
	}
}

// TestExpiresIn: RFC 6749 section 5.1.
func TestExpiresIn(t *testing.T) {
	server := start(t, devissuer.Config{})
	got := server.do("POST", "/token", "grant_type=client_credentials", form, basic("dev-device", "dev-secret"))
	if got.member(t, "expires_in") != 300.0 {
		t.Errorf("by default, want 300: %s", got.body)
	}
}

func decode(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}
