package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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

// Start-up does not need the issuer, and no login has to hurry it on when that
// is back.
func TestRemoteRecoversByItself(t *testing.T) {
	for _, failure := range authtest.Failures() {
		t.Run(failure.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, func(iss *authtest.Issuer, _ *auth.RemoteConfig) { iss.Fail(failure) })
				time.Sleep(10 * time.Minute)
				if r.Current() != nil {
					t.Fatalf("%d keys", r.Current().Len())
				}
				r.Fail(authtest.Healthy)
				time.Sleep(65 * time.Second) // at most ten cool-downs, or what Retry-After said
				r.mustLogin(t, r.Token(), auth.OK, 0)
			})
		})
	}
}

// No failure takes the last good set away before it is stale.
func TestRemoteKeepsLastGoodSet(t *testing.T) {
	for _, failure := range authtest.Failures() {
		t.Run(failure.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.MaxStale = 3 * time.Hour })
				known, unknown := r.SigningKey(), r.NewKey()
				r.Fail(failure)
				time.Sleep(3*time.Hour - time.Minute)
				r.mustLogin(t, r.Token(authtest.SignedBy(known)), auth.OK, 0)
				r.mustLogin(t, r.Token(authtest.SignedBy(unknown)), auth.KeysUnavailable, 9*time.Second)
				if n := r.Fetches(); n < 3*12 || n > 3*24+10 {
					t.Errorf("%d fetches in three hours of failing", n)
				}
				time.Sleep(2 * time.Minute)
				r.mustLogin(t, r.Token(authtest.SignedBy(known)), auth.KeysUnavailable, 9*time.Second)
				r.Fail(authtest.Healthy)
				time.Sleep(5 * time.Minute)
				r.mustLogin(t, r.Token(authtest.SignedBy(known)), auth.OK, 0)
			})
		})
	}
}

// Failing fetches come ever slower, from the cool-down to the refresh interval.
func TestRemoteBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		r.Fail(authtest.Status)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for i, longest := range []time.Duration{6, 12, 24, 48, 96, 192, 300, 300} {
			begin, before := time.Now(), r.Fetches()
			for r.Fetches() == before {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			gap, longest := time.Since(begin), longest*time.Second
			if gap > longest+time.Second || gap < longest/2-time.Second {
				t.Errorf("failure %d: next fetch after %v, want %v to %v", i+1, gap, longest/2, longest)
			}
		}
	})
}

// An issuer that asks for rest with Retry-After: 60 gets it, even from logins
// with unknown keys.
func TestRemoteRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		r.Fail(authtest.TooMany)
		time.Sleep(5*time.Minute + time.Second)
		before := r.Fetches()
		outcome, took, retry := r.login(t, r.Token(authtest.SignedBy(r.NewKey())))
		if outcome != auth.KeysUnavailable || took != 0 || retry < 59*time.Second || retry > 63*time.Second {
			t.Errorf("%v after %v, retry after %v", outcome, took, retry)
		}
		time.Sleep(58 * time.Second)
		if n := r.Fetches() - before; n != 0 {
			t.Errorf("%d fetches within the minute", n)
		}
		time.Sleep(2 * time.Second)
		if n := r.Fetches() - before; n != 1 {
			t.Errorf("%d fetches after the minute", n)
		}
	})
}

// How long a Retry-After is believed, with keys and without.
func TestRemoteLongRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		withKeys bool
		refresh  time.Duration
		rest     time.Duration
	}{
		"with keys: the refresh interval":                  {true, time.Hour, time.Hour},
		"without: 5 min":                                   {false, time.Hour, 5 * time.Minute},
		"without: the refresh interval when it is shorter": {false, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fetches atomic.Int64
				run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
					c.RefreshInterval = tt.refresh
					c.Transport = transport(func(request *http.Request) (*http.Response, error) {
						if fetches.Add(1) == 1 && tt.withKeys {
							return iss.RoundTrip(request)
						}
						return answer(http.StatusServiceUnavailable, http.Header{"Retry-After": {"31536000"}}, ""), nil
					})
				})
				if tt.withKeys {
					time.Sleep(tt.refresh)
					synctest.Wait()
				}
				before := fetches.Load()
				time.Sleep(tt.rest - time.Second)
				if n := fetches.Load() - before; n != 0 {
					t.Errorf("%d fetches within %v", n, tt.rest)
				}
				time.Sleep(2 * time.Second)
				if n := fetches.Load() - before; n != 1 {
					t.Errorf("%d fetches after %v", n, tt.rest)
				}
			})
		})
	}
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
