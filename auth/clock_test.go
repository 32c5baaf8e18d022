package auth_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// The wall clock is asked about the times in tokens and nothing else. Set by an
// hour, it refuses those that by it are over or not yet valid, until it is right
// again; keys are fetched as before, and sessions stand.
func TestClockIsSet(t *testing.T) {
	tests := []struct {
		name    string
		by      time.Duration
		day     auth.Outcome // of a token for a day
		minutes auth.Outcome // of one for half an hour
		unknown auth.Outcome // of one by an unknown key
		fetches int          // that the last one causes
	}{
		{"an hour ahead", time.Hour, auth.OK, auth.Expired, auth.UnknownKey, 1},
		{"an hour behind", -time.Hour, auth.NotYetValid, auth.NotYetValid, auth.NotYetValid, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := depart(t, nil)
				var by atomic.Int64
				c := d.Config()
				c.Keys = d.Remote
				var err error
				d.v, err = auth.NewVerifier(auth.Config{
					Issuers: []auth.IssuerConfig{c},
					Now:     func() time.Time { return time.Now().Add(time.Duration(by.Load())) },
				})
				if err != nil {
					t.Fatal(err)
				}
				day, minutes := d.Token(authtest.ExpiresIn(24*time.Hour)), d.Token(authtest.ExpiresIn(30*time.Minute))
				unknown := d.Token(authtest.SignedBy(d.NewKey()), authtest.ExpiresIn(24*time.Hour))
				time.Sleep(time.Minute)

				by.Store(int64(tt.by))
				d.mustLogin(t, day, tt.day, 0)
				d.mustLogin(t, minutes, tt.minutes, 0)
				before := d.Fetches()
				d.mustLogin(t, unknown, tt.unknown, 0)
				if n := d.Fetches() - before; n != tt.fetches {
					t.Errorf("%d fetches for an unknown key, want %d", n, tt.fetches)
				}
				d.expect(t, stands, 0)
				before = d.Fetches()
				time.Sleep(11 * time.Minute)
				if n := d.Fetches() - before; n != 2 {
					t.Errorf("%d fetches in 11 minutes", n)
				}
				by.Store(0)
				d.mustLogin(t, day, auth.OK, 0)
				d.mustLogin(t, minutes, auth.OK, 0)
				d.expect(t, stands, 0)
			})
		})
	}
}

// The age of a set is measured by the monotonic clock, which nobody sets: the
// time of its fetch has that reading, also when it was restored.
func TestAgesAreMonotonic(t *testing.T) {
	iss := authtest.New(t)
	c := auth.RemoteConfig{Name: iss.Name, Issuer: iss.URL, Transport: iss}
	fetched, restored := newRemote(t, c), newRemote(t, c)
	startRemote(t, fetched)
	if _, err := fetched.WaitForKey(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := restored.Restore(auth.Snapshot{Issuer: iss.URL, FetchedAt: time.Now().Round(0), Document: iss.JWKS()}); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*auth.Remote{"fetched": fetched, "restored": restored} {
		if at := r.Status().LastSuccess.String(); !strings.Contains(at, " m=") {
			t.Errorf("%s at %s: no monotonic reading", name, at)
		}
	}
}

// A Retry-After with a date counts from the answer's own Date.
func TestRetryAfterDate(t *testing.T) {
	for name, tt := range map[string]struct {
		ahead time.Duration // the issuer's clock
		dated bool          // has it in the answer
	}{
		"our clocks agree":               {0, true},
		"the issuer's is an hour ahead":  {time.Hour, true},
		"the issuer's is an hour behind": {-time.Hour, true},
		"our clocks agree, and no Date":  {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var busy atomic.Bool
				var asked atomic.Int64
				run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
					c.Transport = transport(func(r *http.Request) (*http.Response, error) {
						asked.Add(1)
						if !busy.Load() {
							return iss.RoundTrip(r)
						}
						date := time.Now().Add(tt.ahead).UTC()
						header := http.Header{"Retry-After": {date.Add(time.Minute).Format(http.TimeFormat)}}
						if tt.dated {
							header.Set("Date", date.Format(http.TimeFormat))
						}
						return answer(http.StatusServiceUnavailable, header, ""), nil
					})
				})
				busy.Store(true)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				before := asked.Load()
				time.Sleep(time.Minute - time.Second)
				synctest.Wait()
				if n := asked.Load() - before; n != 0 {
					t.Errorf("asked %d times within the minute", n)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if n := asked.Load() - before; n != 1 {
					t.Errorf("asked %d times after the minute", n)
				}
			})
		})
	}
}
