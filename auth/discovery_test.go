package auth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
		{"jwks_uri over http on loopback, from an issuer over https", "https://issuer.test", docs{openID: doc("https://issuer.test", "http://127.0.0.1:1"+authtest.JWKSPath)}, "http:// from an issuer at https://"},
		{"jwks_uri over http on loopback, from an issuer there", "http://localhost:1", docs{openID: doc("http://localhost:1", "http://localhost:1"+authtest.JWKSPath)}, ""},
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

// One discovery serves an hour of fetches, unless one fails: then the keys may
// have moved.
func TestDiscoveryIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.JWKSURI = "" })
		time.Sleep(59 * time.Minute)
		if r.Requests(oauthPath) != 1 || r.Fetches() != 12 {
			t.Fatalf("%d discoveries, %d fetches", r.Requests(oauthPath), r.Fetches())
		}
		time.Sleep(2 * time.Minute)
		if r.Requests(oauthPath) != 2 || r.Fetches() != 13 {
			t.Fatalf("after an hour: %d discoveries, %d fetches", r.Requests(oauthPath), r.Fetches())
		}
		r.Fail(authtest.NoKeys)
		time.Sleep(4*time.Minute + time.Second)
		r.Fail(authtest.Healthy)
		time.Sleep(time.Minute)
		if r.Requests(oauthPath) != 3 || r.Status().Err != nil {
			t.Errorf("after a failure: %d discoveries, status %+v", r.Requests(oauthPath), r.Status())
		}
	})
}

const oauthPath = "/.well-known/oauth-authorization-server"

// spoiled puts an issuer's metadata and keys into the test's hands: each may
// answer otherwise, or not at all.
type spoiled struct {
	*authtest.Issuer
	mu             sync.Mutex
	metadata, keys transport // nil: as the issuer does
}

func (s *spoiled) spoil(metadata, keys transport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metadata, s.keys = metadata, keys
}

func (s *spoiled) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	f := s.keys
	if r.URL.Path != authtest.JWKSPath && r.URL.Path != "/moved" {
		f = s.metadata
	}
	s.mu.Unlock()
	if f != nil {
		return f(r)
	}
	return s.Issuer.RoundTrip(r)
}

func down(*http.Request) (*http.Response, error) { return answer(500, nil, ""), nil }

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// discovering starts a Remote that finds its keys by discovery, beginning with
// healthy metadata and keys.
func discovering(t *testing.T, change func(*auth.RemoteConfig)) (remote, *spoiled) {
	t.Helper()
	s := new(spoiled)
	r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
		s.Issuer = iss
		c.JWKSURI, c.Transport = "", s
		if change != nil {
			change(c)
		}
	})
	r.mustLogin(t, r.Token(), auth.OK, 0)
	return r, s
}

// Metadata that fails, or hangs, does not keep the keys from being fetched where
// they were, not even after those failed as well.
func TestDiscoveryLost(t *testing.T) {
	for name, metadata := range map[string]transport{"down": down, "hanging": hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer // written by Run, read while it waits
				r, s := discovering(t, func(c *auth.RemoteConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				s.spoil(metadata, down)
				time.Sleep(6 * time.Minute)
				synctest.Wait()
				if err := r.Status().Err; err == nil || !strings.Contains(err.Error(), "issuer.test: status 500; discovery: ") {
					t.Errorf("both fail: %v", err)
				}
				s.spoil(metadata, nil)
				time.Sleep(25 * time.Hour)
				synctest.Wait()
				r.mustLogin(t, r.Token(), auth.OK, 0)
				if want := `msg="discovery failed, the address of the keys found before is used"`; !strings.Contains(log.String(), want) {
					t.Errorf("no %s in the log", want)
				}
			})
		})
	}
}

// An issuer that moves its keys, and goes on to serve the old ones where they
// were, is followed within the hour.
func TestDiscoveryFollowsMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := discovering(t, nil)
		old := string(r.JWKS())
		r.Rotate()
		moved := fmt.Sprintf(`{"issuer":%q,"jwks_uri":"https://issuer.test/moved"}`, r.URL)
		s.spoil(
			func(*http.Request) (*http.Response, error) { return answer(200, nil, moved), nil },
			func(request *http.Request) (*http.Response, error) {
				if request.URL.Path == "/moved" {
					return answer(200, nil, string(r.JWKS())), nil
				}
				return answer(200, nil, old), nil
			})
		r.mustLogin(t, r.Token(), auth.UnknownKey, 3*time.Second)
		time.Sleep(time.Hour + 5*time.Minute)
		r.mustLogin(t, r.Token(), auth.OK, 0)
	})
}

// The first of the two addresses may hang: half of the time is the second's.
func TestDiscoveryOfHangingMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
			c.JWKSURI = ""
			c.Transport = transport(func(request *http.Request) (*http.Response, error) {
				if request.URL.Path == oauthPath {
					return hang(request)
				}
				return iss.RoundTrip(request)
			})
		})
		r.mustLogin(t, r.Token(), auth.OK, 2500*time.Millisecond)
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
