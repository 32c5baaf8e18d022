package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// Where the keys are found, by what an issuer answers at the two well-known
// addresses.
func TestDiscovery(t *testing.T) {
	const (
		oauth  = "/.well-known/oauth-authorization-server"
		openID = "/.well-known/openid-configuration"
		keys   = "https://issuer.test" + authtest.JWKSPath
	)
	type docs map[string]map[string]any
	doc := func(issuer, jwksURI any) map[string]any {
		return map[string]any{"issuer": issuer, "jwks_uri": jwksURI, "token_endpoint": "https://issuer.test/token"}
	}
	tests := []struct {
		name   string
		issuer string
		docs   docs
		want   string // empty: found
	}{
		{"RFC 8414", "https://issuer.test", docs{oauth: doc("https://issuer.test", keys)}, ""},
		{"RFC 8414, before the path", "https://issuer.test/a/b", docs{oauth + "/a/b": doc("https://issuer.test/a/b", keys)}, ""},
		{"RFC 8414, the last slash left out", "https://issuer.test/", docs{oauth: doc("https://issuer.test/", keys)}, ""},
		{"RFC 8414 after a path with a slash", "https://issuer.test/a/", docs{oauth + "/a": doc("https://issuer.test/a/", keys)}, ""},
		{"OpenID Connect", "https://issuer.test", docs{openID: doc("https://issuer.test", keys)}, ""},
		{"OpenID Connect, behind the path", "https://issuer.test/a/b", docs{"/a/b" + openID: doc("https://issuer.test/a/b", keys)}, ""},
		{"OpenID Connect, one slash only", "https://issuer.test/a/", docs{"/a" + openID: doc("https://issuer.test/a/", keys)}, ""},
		{"RFC 8414 names another issuer, OpenID Connect does not", "https://issuer.test", docs{oauth: doc("https://evil.test", keys), openID: doc("https://issuer.test", keys)}, ""},
		{"RFC 8414 without keys, OpenID Connect with", "https://issuer.test", docs{oauth: doc("https://issuer.test", nil), openID: doc("https://issuer.test", keys)}, ""},

		{"nothing", "https://issuer.test", nil, "openid-configuration: status 404"},
		{"both behind the wrong path", "https://issuer.test/a", docs{oauth: doc("https://issuer.test/a", keys), openID: doc("https://issuer.test/a", keys)}, "openid-configuration: status 404"},
		{"another issuer", "https://issuer.test", docs{openID: doc("https://evil.test", keys)}, "names another issuer"},
		{"a slash more", "https://issuer.test", docs{openID: doc("https://issuer.test/", keys)}, "names another issuer"},
		{"no issuer", "https://issuer.test", docs{openID: doc(nil, keys)}, "names another issuer"},
		{"no jwks_uri", "https://issuer.test", docs{openID: {"issuer": "https://issuer.test"}}, "no jwks_uri"},
		{"jwks_uri is a list", "https://issuer.test", docs{openID: doc("https://issuer.test", []string{keys})}, "no jwks_uri"},
		{"jwks_uri over http", "https://issuer.test", docs{openID: doc("https://issuer.test", "http://issuer.test/keys")}, "http:// is allowed for loopback"},
		{"jwks_uri is relative", "https://issuer.test", docs{openID: doc("https://issuer.test", "/keys")}, "not an absolute URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
					c.JWKSURI, c.Issuer, iss.URL = "", tt.issuer, tt.issuer
					iss.Discovery(func(path string) (map[string]any, bool) {
						doc, found := tt.docs[path]
						return doc, found
					})
				})
				if tt.want == "" {
					r.mustLogin(t, r.Token(), auth.OK, 0)
					return
				}
				if err := r.Status().Err; err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				if r.Fetches() != 0 {
					t.Error("keys were fetched")
				}
			})
		})
	}
}

// One discovery serves many fetches, until one fails: then the keys may have
// moved.
func TestDiscoveryIsRemembered(t *testing.T) {
	const path = "/.well-known/oauth-authorization-server"
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.JWKSURI = "" })
		time.Sleep(20*time.Minute + time.Second)
		if r.Requests(path) != 1 || r.Fetches() != 5 {
			t.Fatalf("%d discoveries, %d fetches", r.Requests(path), r.Fetches())
		}
		r.Fail(authtest.NoKeys)
		time.Sleep(5 * time.Minute)
		r.Fail(authtest.Healthy)
		time.Sleep(time.Minute)
		if r.Requests(path) != 2 || r.Status().Err != nil {
			t.Errorf("%d discoveries, status %+v", r.Requests(path), r.Status())
		}
	})
}

// Over real sockets: discovery, keys, and a wait for a new one, on plain HTTP
// for loopback and on TLS with a CA of one's own.
func TestRemoteOverSockets(t *testing.T) {
	plain := authtest.Serve(t, authtest.At("https://issuer.test/tenant/"))
	secure := authtest.New(t)
	server := httptest.NewTLSServer(secure)
	t.Cleanup(server.Close)
	secure.URL = server.URL
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		iss    *authtest.Issuer
		caFile string
	}{
		"HTTP":  {plain, ""},
		"HTTPS": {secure, caFile},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := auth.NewRemote(auth.RemoteConfig{
				Name: tt.iss.Name, Issuer: tt.iss.URL, CAFile: tt.caFile, Cooldown: 10 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			startRemote(t, r)
			c := tt.iss.Config()
			c.Keys = r
			v := newVerifier(t, c)
			for _, token := range []string{
				tt.iss.Token(), // waits for the first fetch
				tt.iss.Token(authtest.SignedBy(tt.iss.Rotate())),
			} {
				if got := outcomeOf(t, v, token); got != "ok" {
					t.Errorf("got %q", got)
				}
			}
		})
	}

	t.Run("HTTPS with an unknown CA", func(t *testing.T) {
		r, err := auth.NewRemote(auth.RemoteConfig{Name: secure.Name, Issuer: secure.URL})
		if err != nil {
			t.Fatal(err)
		}
		startRemote(t, r)
		if _, err := r.WaitForKey(t.Context(), ""); err == nil {
			t.Fatal("keys from a stranger")
		}
		if _, ok := errors.AsType[*tls.CertificateVerificationError](r.Status().Err); !ok {
			t.Errorf("got %v", r.Status().Err)
		}
	})
}

// startRemote runs r until the test ends.
func startRemote(t *testing.T, r *auth.Remote) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
}
