package auth_test

import (
	"context"
	"encoding/base64"
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
	"github.com/linegate/linegate/internal/mint"
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

// A login with a known key does not notice that the issuer is away.
func TestRemoteKnownKeyNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		token := r.Token()
		r.Fail(authtest.Hang)
		time.Sleep(5*time.Minute + time.Second) // a refresh hangs now
		if r.Fetches() != 2 {
			t.Fatalf("%d fetches", r.Fetches())
		}
		go r.login(t, r.Token(authtest.SignedBy(r.NewKey()))) // and another login waits for it
		synctest.Wait()
		r.mustLogin(t, token, auth.OK, 0)
	})
}

// A careful issuer publishes first and signs later; a careless one does both at
// once. Neither makes a valid login fail, and tokens of the old key stay good
// while it is published.
func TestRemoteRotation(t *testing.T) {
	for name, rotate := range map[string]func(r remote){
		"publish, sign later": func(r remote) {
			key := r.Publish()
			time.Sleep(5 * time.Minute)
			r.Sign(key)
		},
		"publish and sign at once": func(r remote) { r.Rotate() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, nil)
				var inFlight []string
				for range 20 {
					for range 5 {
						inFlight = append(inFlight, r.Token())
						time.Sleep(time.Second)
					}
					rotate(r)
					for _, token := range append(inFlight, r.Token()) {
						r.mustLogin(t, token, auth.OK, 3*time.Second)
					}
					inFlight = inFlight[max(0, len(inFlight)-10):]
				}
			})
		})
	}
}

// Logins go on from all sides while keys come and go: old tokens as long as
// their key is published, new ones from the moment it signs.
func TestRemoteRotationUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		const rounds = 10
		var devices sync.WaitGroup
		for i := range 20 {
			devices.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				for range rounds * 10 {
					r.mustLogin(t, r.Token(), auth.OK, 3*time.Second)
					time.Sleep(time.Second)
				}
			})
		}
		for range rounds {
			time.Sleep(10 * time.Second)
			old := r.SigningKey()
			r.Rotate()
			time.Sleep(4 * time.Second) // those that wait for the new key still hold tokens of the old
			r.Remove(old.ID)
		}
		devices.Wait()
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

// Ten thousand logins with random kids cost one fetch a cool-down, and a
// genuinely new key gets in with the next of these.
func TestRemoteFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const logins, spread = 10_000, 30 * time.Second
		r := run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.Waiting = auth.NewWaitLimit(logins) })
		signature := r.Token() // of another header, which nobody gets to check
		token := func(i int) string {
			header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"k%d"}`, i)
			_, rest, _ := strings.Cut(signature, ".")
			return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
		}
		time.Sleep(time.Minute)
		before, start := r.Fetches(), time.Now()
		var wait sync.WaitGroup
		for i := range logins {
			raw := token(i)
			wait.Go(func() {
				time.Sleep(time.Duration(i) * spread / logins)
				r.mustLogin(t, raw, auth.UnknownKey, 3*time.Second)
			})
		}
		time.Sleep(10*time.Second + time.Millisecond)
		r.mustLogin(t, r.Token(authtest.SignedBy(r.Rotate())), auth.OK, 3*time.Second)
		wait.Wait()
		allowed := int(time.Since(start)/(3*time.Second)) + 1
		if n := r.Fetches() - before; n > allowed {
			t.Errorf("%d fetches in %v, allowed %d", n, time.Since(start), allowed)
		}
	})
}

// A fetch that was under way when the login came may bring its key, but cannot
// tell that it is unknown. Here one begins every 5 min and takes 2 s.
func TestRemoteLoginDuringFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(iss *authtest.Issuer, _ *auth.RemoteConfig) { iss.Fail(authtest.Slow) })
		time.Sleep(2*time.Second + 5*time.Minute + time.Second)
		published, unknown := r.Rotate(), r.NewKey()
		var both sync.WaitGroup
		both.Go(func() {
			outcome, took, _ := r.login(t, r.Token(authtest.SignedBy(published)))
			if outcome != auth.OK || took != time.Second {
				t.Errorf("published meanwhile: %v after %v", outcome, took)
			}
		})
		both.Go(func() {
			outcome, took, _ := r.login(t, r.Token(authtest.SignedBy(unknown)))
			// 1 s until this fetch ends, 1 s more of cool-down, 2 s for the next.
			if outcome != auth.UnknownKey || took != 4*time.Second {
				t.Errorf("unknown: %v after %v", outcome, took)
			}
		})
		both.Wait()
		if r.Fetches() != 3 {
			t.Errorf("%d fetches", r.Fetches())
		}
	})
}

// A login that came during a fetch is told to come again when that ends, if the
// next cannot come before the login's deadline.
func TestRemoteLoginDuringLastFetchInTime(t *testing.T) {
	t.Run("long cool-down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
				iss.Fail(authtest.Slow)
				c.Cooldown = time.Minute
			})
			time.Sleep(2*time.Second + 5*time.Minute + time.Second) // 1 s into a fetch of 2 s
			outcome, took, retry := r.login(t, r.Token(authtest.SignedBy(r.NewKey())))
			if outcome != auth.KeysUnavailable || took != time.Second || retry < 58*time.Second {
				t.Errorf("%v after %v, retry after %v", outcome, took, retry)
			}
		})
	})
	t.Run("Retry-After", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var busy atomic.Bool
			r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
				c.Transport = transport(func(request *http.Request) (*http.Response, error) {
					if !busy.Load() {
						return iss.RoundTrip(request)
					}
					time.Sleep(time.Second)
					return answer(http.StatusServiceUnavailable, http.Header{"Retry-After": {"60"}}, ""), nil
				})
			})
			busy.Store(true)
			time.Sleep(5*time.Minute + 500*time.Millisecond)
			outcome, took, retry := r.login(t, r.Token(authtest.SignedBy(r.NewKey())))
			if outcome != auth.KeysUnavailable || took != 500*time.Millisecond || retry < time.Minute {
				t.Errorf("%v after %v, retry after %v", outcome, took, retry)
			}
		})
	})
}

// A refresh that is due sooner than the cool-down allows is waited for.
func TestRemoteRefreshBeforeCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
			iss.CacheControl("max-age=60")
			c.Cooldown = 2 * time.Minute
		})
		time.Sleep(58 * time.Second)
		r.mustLogin(t, r.Token(authtest.SignedBy(r.Rotate())), auth.OK, 2*time.Second)
	})
}

// transport is an issuer as a function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, header http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// What could not pass whatever the key does not wait and causes no fetch.
func TestRemoteRefusesBeforeWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		time.Sleep(time.Minute)
		by := authtest.SignedBy(r.NewKey())
		for token, want := range map[string]auth.Outcome{
			r.Token(by, header("alg", "none")): auth.Algorithm,
			r.Token(by, header("typ", "JWT")):  auth.Type,
			r.Token(by, claim("exp", 1)):       auth.Expired,
			r.Token(by, claim("aud", "x")):     auth.Audience,
			r.Token(by, claim("sub", nil)):     auth.Claims,
			unsigned(r.Token(by)):              auth.Signature,
			r.Token(header("kid", nil)) + "AA": auth.Signature, // no kid: nothing to wait for
		} {
			r.mustLogin(t, token, want, 0)
		}
		if r.Fetches() != 1 {
			t.Errorf("%d fetches", r.Fetches())
		}
	})
}

// A bad signature asks nobody, or forgeries would. So a key that an issuer puts
// under the id of another, or under none, is found by the next refresh.
func TestRemoteBadSignature(t *testing.T) {
	for name, kid := range map[string]any{"under a known id": "k", "without an id": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var published atomic.Pointer[mint.Key]
				var asked atomic.Int64
				key, next := newKey(t, "ES256", "k"), newKey(t, "ES256", "k")
				published.Store(key)
				r := run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) {
					c.Transport = transport(func(*http.Request) (*http.Response, error) {
						asked.Add(1)
						jwk := published.Load().JWK(one("kid", kid))
						return answer(200, nil, object(t, map[string]any{"keys": jwks(jwk)})), nil
					})
				})
				by := func(key *mint.Key) string { return r.Token(authtest.SignedBy(key), header("kid", kid)) }
				r.mustLogin(t, by(key), auth.OK, 0)
				time.Sleep(time.Minute)
				published.Store(next)
				for range 100 {
					r.mustLogin(t, by(next), auth.Signature, 0)
				}
				if n := asked.Load(); n != 1 {
					t.Errorf("asked %d times", n)
				}
				time.Sleep(4*time.Minute + time.Second)
				r.mustLogin(t, by(next), auth.OK, 0)
				r.mustLogin(t, by(key), auth.Signature, 0)
			})
		})
	}
}

// unsigned is a token with an empty signature.
func unsigned(token string) string { return token[:strings.LastIndex(token, ".")+1] }

// Only a token whose signature was checked is told that it lacks a scope.
func TestRemoteScopeAfterSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		time.Sleep(time.Minute)
		other := claim("scope", "other")
		r.mustLogin(t, r.Token(authtest.SignedBy(r.NewKey()), other), auth.UnknownKey, 3*time.Second)
		r.mustLogin(t, r.Token(authtest.SignedBy(r.Rotate()), other), auth.Scope, 3*time.Second)
	})
}

// The token's time goes on while it waits.
func TestRemoteTokenExpiresWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		r.mustLogin(t, r.Token(authtest.SignedBy(r.Rotate()), authtest.ExpiresIn(2*time.Second)), auth.Expired, 3*time.Second)
	})
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

// Beyond the limit a login is told to come again at once.
func TestRemoteWaitLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const turns = 2 * time.Millisecond // they go on one after another
		limit := auth.NewWaitLimit(2)
		r := run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.Waiting = limit })
		by := authtest.SignedBy(r.NewKey())
		for range 2 {
			go r.mustLogin(t, r.Token(by), auth.UnknownKey, 3*time.Second+turns)
		}
		synctest.Wait()
		outcome, took, retry := r.login(t, r.Token(by))
		if outcome != auth.KeysUnavailable || took != 0 || retry < 3*time.Second || retry > 6*time.Second {
			t.Errorf("%v after %v, retry after %v", outcome, took, retry)
		}
		limit.Set(3)
		r.mustLogin(t, r.Token(by), auth.UnknownKey, 3*time.Second+turns)
		r.mustLogin(t, r.Token(), auth.OK, 0)
		time.Sleep(3 * time.Second)
	})
}

// Those who waited go on in the order of their coming, 1 ms apart, and all of
// them within half a cool-down; one who has no time left goes on at once.
func TestRemoteTurns(t *testing.T) {
	for logins, step := range map[int]time.Duration{
		100:    time.Millisecond,
		15_000: 100 * time.Microsecond,
	} {
		t.Run(fmt.Sprint(logins, " logins"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.Waiting = auth.NewWaitLimit(logins) })
				kid := r.Rotate().ID
				fetched := time.Now().Add(3 * time.Second)
				var all sync.WaitGroup
				wait := func(lasting time.Duration, turn time.Duration) {
					ctx, cancel := context.WithTimeout(t.Context(), lasting)
					defer cancel()
					_, err := r.WaitForKey(ctx, kid)
					if got := time.Since(fetched); err != nil || got != turn {
						t.Errorf("it goes on %v after the fetch, %v; want %v", got, err, turn)
					}
				}
				for i := range logins - 1 {
					all.Go(func() { wait(9*time.Second, time.Duration(i)*step) })
					synctest.Wait()
				}
				all.Go(func() { wait(3*time.Second+5*time.Millisecond, 5*time.Millisecond) })
				all.Wait()
			})
		})
	}
}

// A login that goes away leaves nothing behind and causes no fetch.
func TestRemoteLoginGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := r.v.Verify(ctx, r.Token(authtest.SignedBy(r.NewKey())), auth.Proof{})
			done <- err
		}()
		time.Sleep(time.Second)
		cancel()
		if refusal, ok := errors.AsType[*auth.Error](<-done); !ok || refusal.Outcome != auth.KeysUnavailable {
			t.Errorf("got %v", refusal)
		}
		time.Sleep(time.Minute)
		if r.Fetches() != 1 {
			t.Errorf("%d fetches", r.Fetches())
		}
	})
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
