package auth_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// saving is an issuer whose key sets are saved. MaxStale is two hours.
type saving struct {
	remote
	mu   sync.Mutex
	sets []auth.Snapshot
}

// save is what the Remote calls.
func (s *saving) save(set auth.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets = append(s.sets, set)
}

// saved returns what was saved so far.
func (s *saving) saved(t *testing.T) []auth.Snapshot {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sets) == 0 {
		t.Fatal("nothing was saved")
	}
	return slices.Clone(s.sets)
}

func runSaving(t *testing.T, change func(*authtest.Issuer, *auth.RemoteConfig)) *saving {
	t.Helper()
	s := new(saving)
	s.remote = run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
		c.MaxStale = 2 * time.Hour
		c.Save = s.save
		if change != nil {
			change(iss, c)
		}
	})
	return s
}

// last returns what was saved last.
func (s *saving) last(t *testing.T) auth.Snapshot {
	t.Helper()
	sets := s.saved(t)
	return sets[len(sets)-1]
}

// restart has another Remote begin with what was saved last.
func (s *saving) restart(t *testing.T) {
	t.Helper()
	set := s.last(t)
	s.start(t, func(next *auth.Remote) {
		if err := next.Restore(set); err != nil {
			t.Fatal(err)
		}
	})
}

// Every good set is saved, with the time of its fetch: also one that is like
// the last, since that is younger.
func TestSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runSaving(t, nil)
		first := s.last(t)
		if string(first.Document) != string(s.JWKS()) || !first.FetchedAt.Equal(time.Now()) ||
			first.Issuer != s.URL || first.JWKSURI != s.JWKSURL() || first.Discovered != "" || first.InsecureHTTP {
			t.Errorf("saved %+v", first)
		}
		time.Sleep(11 * time.Minute)
		s.Fail(authtest.Garbage)
		time.Sleep(time.Hour)
		if sets := s.saved(t); len(sets) != 3 || !sets[2].FetchedAt.Equal(first.FetchedAt.Add(10*time.Minute)) {
			t.Errorf("saved %+v", sets)
		}
	})
}

// A gateway that is restarted while its issuer is away goes on with the last
// good set, for as long as it would have without the restart.
func TestRestartInOutage(t *testing.T) {
	for _, failure := range authtest.Failures() {
		t.Run(failure.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := runSaving(t, nil)
				key := s.SigningKey()
				s.Fail(failure)
				fetched := time.Now()
				time.Sleep(time.Hour)
				s.restart(t)
				s.mustLogin(t, s.Token(), auth.OK, 0)
				s.mustLogin(t, s.Token(authtest.SignedBy(s.NewKey())), auth.KeysUnavailable, 9*time.Second)
				if status := s.Status(); status.Keys != 1 || !status.LastSuccess.Equal(fetched) {
					t.Errorf("status %+v", status)
				}
				time.Sleep(time.Until(fetched.Add(2 * time.Hour)))
				s.mustLogin(t, s.Token(), auth.OK, 0)
				time.Sleep(time.Second)
				s.mustLogin(t, s.Token(), auth.KeysUnavailable, 9*time.Second)

				s.Rotate()
				s.Remove(key.ID)
				s.Fail(authtest.Healthy)
				time.Sleep(5 * time.Minute)
				s.mustLogin(t, s.Token(), auth.OK, 0)
				s.mustLogin(t, s.Token(authtest.SignedBy(key)), auth.UnknownKey, 3*time.Second)
			})
		})
	}
}

// A set that was saved is believed no longer than until the first fetch, and
// what that lacks departs.
func TestRestoredKeyDeparts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := runSaving(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) { c.RemovalGrace = time.Minute })
		s.Fail(authtest.Status)
		s.restart(t)
		session := s.identity(t)
		s.Remove(session.KeyID)
		s.Rotate()
		s.Fail(authtest.Healthy)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got, want := s.v.Standing(session).State, auth.Departed; got != want {
			t.Errorf("standing %v, want %v", got, want)
		}
	})
}

// The address that discovery found is saved too: keys are fetched from it while
// the metadata cannot be read.
func TestRestartWithoutMetadata(t *testing.T) {
	for name, metadata := range map[string]transport{"down": down, "hanging": hang} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s saving
				r, issuer := discovering(t, func(c *auth.RemoteConfig) {
					c.Save = s.save
				})
				s.remote = r
				if got := s.last(t); got.Discovered != s.JWKSURL() || got.JWKSURI != "" {
					t.Errorf("saved %+v", got)
				}
				issuer.spoil(metadata, nil)
				s.restart(t)
				s.mustLogin(t, s.Token(authtest.SignedBy(s.Rotate())), auth.OK, 6*time.Second)
			})
		})
	}
}

// Saving takes its time on a bad disk: that delays no login and no fetch. Of the
// sets that came meanwhile the last is saved, also when Run ends.
func TestSaveTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s saving
		slow := make(chan struct{})
		s.remote = run(t, func(_ *authtest.Issuer, c *auth.RemoteConfig) {
			c.Save = func(set auth.Snapshot) { s.save(set); <-slow }
		})
		for range 5 {
			time.Sleep(3 * time.Second)
			s.mustLogin(t, s.Token(authtest.SignedBy(s.Rotate())), auth.OK, 0)
		}
		if n := len(s.saved(t)); n != 1 {
			t.Errorf("%d calls at once", n)
		}
		ended := make(chan struct{})
		go func() { s.stop(); close(ended) }()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("Run returned before its set was saved")
		default:
		}
		close(slow)
		<-ended
		if sets := s.saved(t); len(sets) != 2 || string(sets[1].Document) != string(s.JWKS()) {
			t.Errorf("saved %+v", sets)
		}
	})
}

// What was saved is checked like what was fetched.
func TestRestore(t *testing.T) {
	tests := []struct {
		name   string
		saved  func(*auth.Snapshot)
		config func(*auth.RemoteConfig)
		want   string // empty: restored
	}{
		{"as it was", nil, nil, ""},
		{"the issuer is called otherwise", nil, func(c *auth.RemoteConfig) { c.Name = "renamed" }, ""},
		{"insecure_http is allowed now", nil, func(c *auth.RemoteConfig) { c.InsecureHTTP = true }, ""},
		{"just not stale", func(s *auth.Snapshot) { s.FetchedAt = time.Now().Add(-24 * time.Hour) }, nil, ""},
		{"a clock was set back a little", func(s *auth.Snapshot) { s.FetchedAt = time.Now().Add(time.Minute) }, nil, ""},
		{"in another time zone", func(s *auth.Snapshot) { s.FetchedAt = s.FetchedAt.In(time.FixedZone("", 3600)) }, nil, ""},

		{"stale", func(s *auth.Snapshot) { s.FetchedAt = time.Now().Add(-24*time.Hour - time.Second) }, nil, "fetched 24h0m1s ago, which is more than jwks.max_stale"},
		{"stale by another max_stale", func(s *auth.Snapshot) { s.FetchedAt = time.Now().Add(-time.Hour) }, func(c *auth.RemoteConfig) { c.MaxStale = 30 * time.Minute }, "fetched 1h0m0s ago, which is more than jwks.max_stale"},
		{"no time", func(s *auth.Snapshot) { s.FetchedAt = time.Time{} }, nil, "ago, which is more than jwks.max_stale"},
		{"from the future", func(s *auth.Snapshot) { s.FetchedAt = time.Now().Add(time.Hour) }, nil, "fetched 1h0m0s in the future: a clock was wrong then, or is now"},
		{"another issuer", nil, func(c *auth.RemoteConfig) { c.Issuer = "https://other.test" }, "of another issuer"},
		{"another jwks_uri", nil, func(c *auth.RemoteConfig) { c.JWKSURI = "https://issuer.test/moved" }, "of another jwks_uri"},
		{"discovered then, configured now", func(s *auth.Snapshot) { s.Discovered, s.JWKSURI = s.JWKSURI, "" }, nil, "of another jwks_uri"},
		{"over http, which is forbidden now", func(s *auth.Snapshot) { s.InsecureHTTP = true }, nil, "fetched while insecure_http was true"},
		{"cut off", func(s *auth.Snapshot) { s.Document = s.Document[:len(s.Document)/2] }, nil, "key set: "},
		{"nothing", func(s *auth.Snapshot) { s.Document = nil }, nil, "key set: "},
		{"no usable key", func(s *auth.Snapshot) { s.Document = []byte(`{"keys":[{"kty":"oct","k":"AA"}]}`) }, nil, "no usable key in the set"},
		{"too large", func(s *auth.Snapshot) { s.Document = append(s.Document, strings.Repeat(" ", 512<<10)...) }, nil, "more than 524288 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := authtest.New(t)
				s := auth.Snapshot{Issuer: iss.URL, JWKSURI: iss.JWKSURL(), FetchedAt: time.Now(), Document: iss.JWKS()}
				c := auth.RemoteConfig{Name: "a", Issuer: iss.URL, JWKSURI: iss.JWKSURL()}
				if tt.saved != nil {
					tt.saved(&s)
				}
				if tt.config != nil {
					tt.config(&c)
				}
				checkRestore(t, c, s, tt.want)
			})
		})
	}
}

// A saved address is held to what discovery is held to.
func TestRestoreDiscovered(t *testing.T) {
	for address, want := range map[string]string{
		"https://keys.test/":     "",
		"http://issuer.test/":    "jwks_uri: http:// is allowed for loopback addresses only, unless insecure_http is true",
		"http://127.0.0.1:1/":    "jwks_uri: http:// from an issuer at https:// is allowed only if insecure_http is true",
		"file:///etc/passwd":     "jwks_uri: not an absolute URL",
		"https://me@issuer.test": "jwks_uri: a URL with a user name in it",
	} {
		t.Run(address, func(t *testing.T) {
			iss := authtest.New(t)
			c := auth.RemoteConfig{Name: "a", Issuer: iss.URL}
			checkRestore(t, c, auth.Snapshot{
				Issuer: iss.URL, Discovered: address, FetchedAt: time.Now(), Document: iss.JWKS(),
			}, want)
		})
	}
}

// checkRestore expects an error that ends in want, or one of another kind, and
// keys only without.
func checkRestore(t *testing.T, c auth.RemoteConfig, s auth.Snapshot, want string) {
	t.Helper()
	r := newRemote(t, c)
	err := r.Restore(s)
	switch {
	case (err == nil) != (want == "") || (r.Current().Len() == 1) != (want == ""):
		t.Errorf("%d keys, %v", r.Current().Len(), err)
	case want != "" && (!strings.HasPrefix(err.Error(), `auth: issuer "a": saved keys: `) || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %s", err, want)
	}
}
