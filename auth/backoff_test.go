package auth_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

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

// When the last good set is too old, that is shown, and the issuer is asked as often
// as where there never was one, however long it has been failing, and whatever rest it
// asked for while the set was good.
func TestRemoteAtMaxStale(t *testing.T) {
	for name, tt := range map[string]struct {
		retryAfter string // the last of them a minute before that
		within     time.Duration
	}{
		"ten cool-downs":                {"", 30 * time.Second},
		"5 min, where it asks for more": {"3600", 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const maxStale = 24*time.Hour + time.Minute
				reg := prometheus.NewRegistry()
				var away atomic.Bool
				r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
					c.RefreshInterval, c.MaxStale = time.Hour, maxStale
					c.Metrics = auth.NewMetrics(reg, []string{iss.Name})
					c.Transport = transport(func(request *http.Request) (*http.Response, error) {
						if away.Load() {
							return answer(http.StatusServiceUnavailable, http.Header{"Retry-After": {tt.retryAfter}}, ""), nil
						}
						return iss.RoundTrip(request)
					})
				})
				keys := `keys{issuer="` + r.config.Name + `"}`
				away.Store(true)
				time.Sleep(maxStale - time.Second)
				r.mustLogin(t, r.Token(), auth.OK, 0)
				if n := series(t, reg)[keys]; n != 1 {
					t.Errorf("%v keys", n)
				}
				time.Sleep(2 * time.Second)
				if n := series(t, reg)[keys]; n != 0 {
					t.Errorf("%v keys, and all are too old", n)
				}
				away.Store(false)
				time.Sleep(tt.within)
				r.mustLogin(t, r.Token(), auth.OK, 0)
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
