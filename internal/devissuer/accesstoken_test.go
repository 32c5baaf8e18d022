package devissuer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
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

// TestLogTellsNoSecret: neither tokens nor secrets, wrong ones included.
func TestLogTellsNoSecret(t *testing.T) {
	var log bytes.Buffer
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	server := start(t, devissuer.Config{Log: slog.New(slog.NewJSONHandler(&log, level))})
	parts := strings.Split(server.token(), ".")
	server.do("POST", "/token", "grant_type=client_credentials", form, basic("dev-device", "a-wrong-secret"))
	server.do("POST", "/token", "grant_type=a-wrong-secret&client_id=x&client_secret=dev-secret", form)

	text := log.String()
	for _, want := range []string{"token issued", "invalid_client", "unsupported_grant_type"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	for _, secret := range []string{"dev-secret", "a-wrong-secret", parts[1][:16], parts[2][:16]} {
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
