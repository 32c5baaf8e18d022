package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
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
