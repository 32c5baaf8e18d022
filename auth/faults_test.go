package auth_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// What becomes of logins when something is wrong with an issuer. The times are
// the defaults': 3 s from a fetch to one for an unknown key, 5 s for a fetch, 9 s
// that a login can wait.
//
// A login with a known key has no column: no fault that comes later delays or
// refuses it, until max_stale (TestRemoteKeepsLastGoodSet), not even over a
// restart if the sets are kept (TestRestartInOutage). Nor does a fault end a
// session (TestStandingInOutage).
func TestIssuerFaults(t *testing.T) {
	const s = time.Second
	fail := func(f authtest.Failure) func(*spoiled) { return func(issuer *spoiled) { issuer.Fail(f) } }
	keys := func(f transport) func(*spoiled) { return func(issuer *spoiled) { issuer.spoil(nil, f) } }
	metadata := func(f transport) func(*spoiled) { return func(issuer *spoiled) { issuer.spoil(f, nil) } }
	unavailable := func(after time.Duration, result string) verdict {
		return verdict{auth.KeysUnavailable, after, result}
	}
	found := verdict{auth.UnknownKey, 0, "ok"} // where the keys were before
	tests := []struct {
		name   string
		begin  func(*spoiled)
		start  verdict       // on any key, when it was so from the start
		later  verdict       // on an unknown key, when it came later
		within time.Duration // of its end, a new key gets in
	}{
		{"down: connections are refused", fail(authtest.Refused), unavailable(3*s, "network"), unavailable(0, "network"), 3 * s},
		{"slow: each answer takes 2 s", fail(authtest.Slow), verdict{auth.OK, 4 * s, "ok"}, verdict{auth.UnknownKey, 2 * s, "ok"}, 3 * s},
		{"hanging for ever", fail(authtest.Hang), unavailable(9*s, "timeout"), unavailable(5*s, "timeout"), 3 * s},
		{"429 with Retry-After: 60", fail(authtest.TooMany), unavailable(0, "status"), unavailable(0, "status"), 63 * s},
		{"500", keys(down), unavailable(3*s, "status"), unavailable(0, "status"), 3 * s},
		{"503", fail(authtest.Status), unavailable(3*s, "status"), unavailable(0, "status"), 3 * s},
		{"HTML with 200", fail(authtest.Garbage), unavailable(3*s, "invalid"), unavailable(0, "invalid"), 3 * s},
		{"an empty set", fail(authtest.NoKeys), unavailable(3*s, "empty"), unavailable(0, "empty"), 3 * s},
		{"a set without a usable key", fail(authtest.Unusable), unavailable(3*s, "empty"), unavailable(0, "empty"), 3 * s},
		{"a body of more than 512 KiB", fail(authtest.Oversize), unavailable(3*s, "too_large"), unavailable(0, "too_large"), 3 * s},
		{"a body that ends too soon", fail(authtest.Truncated), unavailable(3*s, "network"), unavailable(0, "network"), 3 * s},
		{"a redirect to a good set", fail(authtest.Redirect), unavailable(3*s, "status"), unavailable(0, "status"), 3 * s},
		{"a certificate by an unknown authority", keys(untrusted), unavailable(3*s, "network"), unavailable(0, "network"), 3 * s},
		{"discovery hanging", metadata(hang), unavailable(9*s, "timeout"), found, 5 * s},
		{"discovery naming another issuer", metadata(foreign), unavailable(3*s, "invalid"), found, 3 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name+", at start", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := runFaulty(t, tt.begin)
				f.expect(t, f.Token(), tt.start)
				f.recover(t, tt.within)
				f.checkLog(t, tt.start.result)
			})
		})
		t.Run(tt.name+", later", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := runFaulty(t, func(*spoiled) {})
				time.Sleep(time.Minute)
				tt.begin(f.spoiled)
				stop := f.loginAllTheTime(t)
				f.expect(t, f.Token(authtest.SignedBy(f.NewKey())), tt.later)
				stop()
				f.recover(t, tt.within)
				f.checkLog(t, tt.later.result)
			})
		})
	}
}

// verdict is how a login ends, after how long, and what the fetches are counted
// as.
type verdict struct {
	outcome auth.Outcome
	after   time.Duration
	result  string
}

// faulty is an issuer that goes wrong, and what the gateway says of it. Where
// its keys are is discovered.
type faulty struct {
	remote
	spoiled *spoiled
	metrics *prometheus.Registry
	log     bytes.Buffer // written by Run, read while that waits
}

func runFaulty(t *testing.T, begin func(*spoiled)) *faulty {
	t.Helper()
	f := &faulty{spoiled: new(spoiled), metrics: prometheus.NewRegistry()}
	f.remote = run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
		f.spoiled.Issuer = iss
		c.JWKSURI, c.Transport = "", f.spoiled
		c.Metrics = auth.NewMetrics(f.metrics, []string{iss.Name})
		c.Log = slog.New(slog.NewTextHandler(&f.log, nil))
		begin(f.spoiled)
	})
	return f
}

// untrusted is what a TLS client says of a server whose certificate it cannot
// verify; TestRemoteOverSockets has a real one.
func untrusted(*http.Request) (*http.Response, error) {
	return nil, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
}

// foreign is the metadata of another issuer.
func foreign(*http.Request) (*http.Response, error) {
	return answer(200, nil, `{"issuer":"https://other.test","jwks_uri":"https://other.test/keys"}`), nil
}

// loginAllTheTime logs in with a known key until it is told to stop.
func (f *faulty) loginAllTheTime(t *testing.T) (stop func()) {
	token, ctx := f.Token(), make(chan struct{})
	var logins sync.WaitGroup
	logins.Go(func() {
		for {
			f.mustLogin(t, token, auth.OK, 0)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx:
				return
			}
		}
	})
	return func() { close(ctx); logins.Wait() }
}

// expect makes one login, and looks at the status and the metrics after it.
func (f *faulty) expect(t *testing.T, token string, want verdict) {
	t.Helper()
	before := f.Status()
	if outcome, after, _ := f.login(t, token); outcome != want.outcome || after != want.after {
		t.Errorf("login: %v after %v, want %v after %v", outcome, after, want.outcome, want.after)
	}
	synctest.Wait()
	status := f.Status()
	if failing := want.result != "ok"; failing != (status.Err != nil) || failing && (status.Keys != before.Keys || status.LastSuccess != before.LastSuccess) {
		t.Errorf("status %+v, and before %+v", status, before)
	}
	all := series(t, f.metrics)
	if all[`keys{issuer="test"}`] != float64(status.Keys) {
		t.Errorf("%v keys in the metric, %d in the status", all[`keys{issuer="test"}`], status.Keys)
	}
	for name, value := range all {
		result, isFetch := strings.CutPrefix(name, `fetches_total{issuer="test",result=`)
		if result = strings.Trim(result, `"}`); isFetch && result != "ok" && (value > 0) != (result == want.result) {
			t.Errorf("%v fetches counted as %s", value, result)
		}
	}
}

// recover ends the fault: a device with a key that is published now gets in
// within the time given, if it comes again when it is told to.
func (f *faulty) recover(t *testing.T, within time.Duration) {
	t.Helper()
	f.Fail(authtest.Healthy)
	f.spoiled.spoil(nil, nil)
	token, begin := f.Token(authtest.SignedBy(f.Rotate())), time.Now()
	for {
		outcome, _, retryAfter := f.login(t, token)
		if took := time.Since(begin); outcome == auth.OK || took > within {
			if outcome != auth.OK || took > within {
				t.Errorf("a new key: %v after %v, want it to get in within %v", outcome, took, within)
			}
			return
		}
		time.Sleep(retryAfter)
	}
}

// checkLog expects a record of the failed fetch, with the result that the metric
// has, and none of a good one.
func (f *faulty) checkLog(t *testing.T, result string) {
	t.Helper()
	f.stop()
	record := `level=WARN msg="fetching keys failed" issuer=test host=issuer.test result=`
	if result != "ok" {
		record += result + " "
	}
	if logged := strings.Contains(f.log.String(), record); logged != (result != "ok") {
		t.Errorf("logged: %t, in\n%s", logged, &f.log)
	}
}
