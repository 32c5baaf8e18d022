package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linegate/linegate/client"
)

// The file is read again each time, so whatever renews the token just replaces
// it.
func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{
		"a.b.c":                  "a.b.c",
		"a.b.c\n":                "a.b.c",
		" a.b.d\t\r\nrest\n":     "a.b.d",
		"":                       "",
		"\na.b.c\n":              "",
		"secret token":           "",
		"{\"secret\":\"x.y.z\"}": "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := client.TokenFile(path).Token(t.Context(), false)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := client.TokenFile(path+".gone").Token(t.Context(), true); err == nil || !strings.Contains(err.Error(), "token.gone") {
		t.Errorf("no file: %v", err)
	}
}

func TestFixedTokenIsNotPrinted(t *testing.T) {
	token := client.FixedToken("secret.secret.secret")
	for _, format := range []string{"%v", "%s", "%#v", "%+v"} {
		if got := fmt.Sprintf(format, token); got != "<token>" {
			t.Errorf("%s: %s", format, got)
		}
	}
	cfg := client.Config{Tokens: token}
	if got := fmt.Sprintf("%+v", cfg); strings.Contains(got, "secret") {
		t.Error("printed within a Config")
	}
	credentials := source(t, client.CredentialsConfig{TokenURL: "https://login.example.com", ClientID: "x", ClientSecret: "secret"})
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, credentials); strings.Contains(got, "secret") {
			t.Errorf("%s: %s", format, got)
		}
	}
}
