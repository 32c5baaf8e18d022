package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// remote is an issuer, a Remote that fetches its keys without a network, and a
// verifier on top. The times are the defaults: refresh 5 min, cool-down 3 s,
// stale after 24 h, time-out 5 s.
type remote struct {
	*authtest.Issuer
	*auth.Remote
	v      *auth.Verifier
	config auth.RemoteConfig
	stop   func()
}

// run starts a Remote that ends with the test; prepare may spoil the issuer
// before the first fetch. It returns when that is over, or hangs.
func run(t *testing.T, prepare func(*authtest.Issuer, *auth.RemoteConfig)) remote {
	t.Helper()
	iss := authtest.New(t)
	c := auth.RemoteConfig{Name: iss.Name, Issuer: iss.URL, JWKSURI: iss.JWKSURL(), Transport: iss}
	if prepare != nil {
		prepare(iss, &c)
	}
	r := remote{Issuer: iss, v: newVerifier(t, iss.Config()), config: c}
	r.start(t, func(*auth.Remote) {})
	return r
}

// start starts another Remote, by r.config, in the place of the one that runs.
// before is called before it runs.
func (r *remote) start(t *testing.T, before func(next *auth.Remote)) {
	t.Helper()
	next := newRemote(t, r.config)
	before(next)
	c := r.Config()
	c.Keys = next
	if err := r.v.SetIssuers([]auth.IssuerConfig{c}); err != nil {
		t.Fatal(err)
	}
	if r.stop != nil {
		r.stop()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { next.Run(ctx) })
	r.Remote, r.stop = next, func() { cancel(); done.Wait() }
	t.Cleanup(r.stop)
	synctest.Wait()
}

func newRemote(t *testing.T, c auth.RemoteConfig) *auth.Remote {
	t.Helper()
	r, err := auth.NewRemote(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// login verifies a token as a session does, with 9 s to wait, and returns how
// it ended and how long it took.
func (r remote) login(t *testing.T, token string) (outcome auth.Outcome, took, retryAfter time.Duration) {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	defer cancel()
	_, err := r.v.Verify(ctx, token, auth.Proof{})
	if refusal, ok := errors.AsType[*auth.Error](err); ok {
		return refusal.Outcome, time.Since(begin), refusal.RetryAfter
	}
	return auth.OK, time.Since(begin), 0
}

func (r remote) mustLogin(t *testing.T, token string, want auth.Outcome, within time.Duration) {
	t.Helper()
	if got, took, _ := r.login(t, token); got != want || took > within {
		t.Errorf("login: %v after %v, want %v within %v", got, took, want, within)
	}
}

func TestRemoteFetchesAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		r.mustLogin(t, r.Token(), auth.OK, 0)
		if s := r.Status(); s.Keys != 1 || !s.LastSuccess.Equal(time.Now()) || s.Err != nil {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRemoteRemovedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		old := r.SigningKey()
		token := r.Token()
		r.Rotate()
		r.Remove(old.ID)
		r.mustLogin(t, token, auth.OK, 0) // not yet noticed
		time.Sleep(5*time.Minute + time.Second)
		r.mustLogin(t, token, auth.UnknownKey, 3*time.Second)
	})
}

// transport is an issuer as a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, header http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// Cache-Control shortens the refresh, within bounds.
func TestRemoteCacheControl(t *testing.T) {
	tests := []struct {
		cacheControl string
		refresh      time.Duration
	}{
		{"", 5 * time.Minute},
		{"public, max-age=120", 2 * time.Minute},
		{"MAX-AGE=120", 2 * time.Minute},
		{`max-age="120"`, 2 * time.Minute},
		{"max-age=3600", 5 * time.Minute},
		{"max-age=5", 30 * time.Second},
		{"max-age=0, must-revalidate", 30 * time.Second},
		{"max-age=99999999999999999999999", 5 * time.Minute},
		{"max-age=-1", 5 * time.Minute},
		{"max-age", 5 * time.Minute},
		{"no-cache", 5 * time.Minute}, // Keycloak; it must not be hammered
		{"no-store, max-age=60", 5 * time.Minute},
		{"s-maxage=60", 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.cacheControl, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, func(iss *authtest.Issuer, _ *auth.RemoteConfig) { iss.CacheControl(tt.cacheControl) })
				time.Sleep(tt.refresh - time.Nanosecond)
				synctest.Wait()
				if r.Fetches() != 1 {
					t.Errorf("%d fetches before %v", r.Fetches(), tt.refresh)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if r.Fetches() != 2 {
					t.Errorf("%d fetches at %v", r.Fetches(), tt.refresh)
				}
			})
		})
	}
}

// When Run ends, those who wait are sent away, and nobody waits any more.
func TestRemoteStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		iss.Fail(authtest.Hang)
		r, err := auth.NewRemote(auth.RemoteConfig{Name: iss.Name, Issuer: iss.URL, Transport: iss})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		waited := make(chan error, 1)
		go func() {
			_, err := r.WaitForKey(t.Context(), "x")
			waited <- err
		}()
		time.Sleep(time.Second)
		cancel()
		<-ended
		for _, err := range []error{<-waited, second(r.WaitForKey(t.Context(), "x"))} {
			if refusal, ok := errors.AsType[*auth.Error](err); !ok || refusal.Outcome != auth.KeysUnavailable {
				t.Errorf("got %v", err)
			}
		}
	})
}

func second(_ *auth.KeySet, err error) error { return err }

func TestNewRemoteRefuses(t *testing.T) {
	type config = auth.RemoteConfig
	tests := []struct {
		name   string
		change func(*config)
		want   string
	}{
		{"no name", func(c *config) { c.Name = "" }, `auth: issuer "": name: missing`},
		{"issuer is no URL", func(c *config) { c.Issuer = "login" }, `auth: issuer "a": issuer: not an absolute URL`},
		{"issuer over http", func(c *config) { c.Issuer = "http://login.test" }, `auth: issuer "a": issuer: http:// is allowed for loopback addresses only, unless insecure_http is true`},
		{"keys over http", func(c *config) { c.JWKSURI = "http://login.test/keys" }, `auth: issuer "a": jwks_uri: http:// is allowed for loopback addresses only, unless insecure_http is true`},
		{"keys in a file", func(c *config) { c.JWKSURI = "file://localhost/etc/passwd" }, `auth: issuer "a": jwks_uri: scheme "file" is not https`},
		{"password in the URL", func(c *config) { c.JWKSURI = "https://me:pw@login.test/" }, `auth: issuer "a": jwks_uri: a URL with a user name in it`},
		{"fragment", func(c *config) { c.JWKSURI = "https://login.test/#x" }, `auth: issuer "a": jwks_uri: a URL with a fragment`},
		{"cool-down", func(c *config) { c.Cooldown = -1 }, `auth: issuer "a": jwks.cooldown: must not be negative`},
		{"time-out", func(c *config) { c.Timeout = -1 }, `auth: issuer "a": jwks.timeout: must not be negative`},
		{"refresh", func(c *config) { c.RefreshInterval = time.Second }, `auth: issuer "a": jwks.refresh_interval: must not be shorter than jwks.cooldown`},
		{"stale", func(c *config) { c.MaxStale = time.Minute }, `auth: issuer "a": jwks.max_stale: must be longer than jwks.refresh_interval`},
		{"no CA file", func(c *config) { c.CAFile = "/nonexistent" }, `auth: issuer "a": jwks.ca_file: open /nonexistent: no such file or directory`},
		{"CA file without certificates", func(c *config) { c.CAFile = "remote_test.go" }, `auth: issuer "a": jwks.ca_file: remote_test.go: no certificate in it`},

		{"defaults are fine", func(*config) {}, ""},
		{"http on loopback", func(c *config) { c.Issuer = "http://127.0.0.1:8880" }, ""},
		{"http on loopback by name", func(c *config) { c.Issuer = "http://localhost:8880" }, ""},
		{"http on loopback by name in capitals", func(c *config) { c.Issuer = "http://LOCALHOST:8880" }, ""},
		{"http on loopback, IPv6", func(c *config) { c.Issuer = "http://[::1]:8880" }, ""},
		{"http on purpose", func(c *config) { c.Issuer, c.InsecureHTTP = "http://login.test", true }, ""},
		{"any issuer when the keys' address is given", func(c *config) { c.Issuer, c.JWKSURI = "login", "https://login.test" }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config{Name: "a", Issuer: "https://login.test"}
			tt.change(&c)
			_, err := auth.NewRemote(c)
			if got := strings.TrimPrefix(fmt.Sprint(err), "<nil>"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
