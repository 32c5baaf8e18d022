package devissuer_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

func registrations(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clients.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRegistrations: what the file has is there beside the defaults.
func TestRegistrations(t *testing.T) {
	clients, users, err := devissuer.ReadRegistrations(registrations(t, `{
		"clients": [{
			"client_id": "app", "client_name": "An app", "client_secret": "s",
			"grant_types": ["authorization_code", "refresh_token"],
			"redirect_uris": ["http://127.0.0.1/callback"], "scope": "line:connect linegate:admin"
		}],
		"users": [{"sub": "eve", "name": "Eve"}]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	want := append(devissuer.DefaultClients(), devissuer.Client{
		ID: "app", Name: "An app", Secret: "s",
		Grants:    []string{devissuer.GrantCode, devissuer.GrantRefresh},
		Scopes:    []string{"line:connect", "linegate:admin"},
		Redirects: []string{"http://127.0.0.1/callback"},
	})
	if !reflect.DeepEqual(clients, want) {
		t.Errorf("%+v, want %+v", clients, want)
	}
	if want := append(devissuer.DefaultUsers(), devissuer.User{ID: "eve", Name: "Eve"}); !reflect.DeepEqual(users, want) {
		t.Errorf("%+v, want %+v", users, want)
	}
	if _, err := devissuer.New(devissuer.Config{Issuer: "http://127.0.0.1", Clients: clients, Users: users}); err != nil {
		t.Error(err)
	}
}

// TestBadRegistrations: one line that names the file, and what is at fault.
func TestBadRegistrations(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "line 1: EOF"},
		{"no JSON", "{\n\n  clients: []}", "line 3: invalid character"},
		{"cut off", "{\"clients\": [", "line 1: unexpected EOF"},
		{"another type", "{\n\"clients\": [\n{\"client_id\": 7}]}", "line 3: json: cannot unmarshal number"},
		{"unknown member", "{\"clients\": [{\"id\": \"x\"}]}", `unknown field "id"`},
		{"more than an object", "{}\n{}", "line 2: something follows"},
		{"client without scope", `{"clients": [{"client_id": "x", "client_secret": "very-secret"}]}`, `client "x": no Scopes`},
		{"client that is there", `{"clients": [{"client_id": "linegatectl"}]}`, `client "linegatectl"`},
		{"user that is there", `{"users": [{"sub": "bob"}]}`, `user "bob" is there twice`},
		{"too long", strings.Repeat(" ", 1<<20+1), "longer than 1 MiB"},
	} {
		path := registrations(t, test.text)
		_, _, err := devissuer.ReadRegistrations(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), test.want) ||
			strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if _, _, err := devissuer.ReadRegistrations("/nonexistent/file"); err == nil || !strings.Contains(err.Error(), "/nonexistent/file") {
		t.Errorf("no file: %v", err)
	}
}
