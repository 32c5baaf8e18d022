package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/auth/authtest"
)

// series returns every series of reg about key sets as `name{label="value"}`, with its value.
func series(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "linegate_jwks_") {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := strings.TrimPrefix(family.GetName(), "linegate_jwks_") + "{" + strings.Join(labels, ",") + "}"
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

// Every series is there from the start, and goes only with its issuer.
func TestMetricsSeries(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := auth.NewMetrics(reg, []string{"a", "b"})
	of := func(issuer string) []string {
		names := []string{"keys", "last_success_timestamp_seconds", "unknown_key_total"}
		for i, name := range names {
			names[i] = name + `{issuer="` + issuer + `"}`
		}
		for _, result := range []string{"ok", "status", "timeout", "network", "invalid", "empty", "too_large"} {
			names = append(names, `fetches_total{issuer="`+issuer+`",result="`+result+`"}`)
		}
		return names
	}
	check := func(issuers ...string) {
		t.Helper()
		all := series(t, reg)
		for _, issuer := range issuers {
			for _, name := range of(issuer) {
				if value, found := all[name]; !found || value != 0 {
					t.Errorf("%s: %v, %v", name, value, found)
				}
			}
		}
		if len(all) != 10*len(issuers) {
			t.Errorf("%d series for %d issuers", len(all), len(issuers))
		}
	}
	check("a", "b")
	m.SetIssuers([]string{"b", "c"})
	check("b", "c")
}

// A Remote that still runs does not bring back the series of an issuer that was
// removed.
func TestMetricsOfRemovedIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		var m *auth.Metrics
		r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
			m = auth.NewMetrics(reg, []string{iss.Name})
			c.Metrics = m
		})
		m.SetIssuers(nil)
		r.mustLogin(t, r.Token(authtest.SignedBy(r.NewKey())), auth.UnknownKey, 3*time.Second) // a fetch
		r.Fail(authtest.Status)
		time.Sleep(6 * time.Minute) // failed ones
		synctest.Wait()
		if all := series(t, reg); r.Fetches() < 3 || len(all) != 0 {
			t.Errorf("after %d fetches: %v", r.Fetches(), all)
		}
	})
}

// A fetch that Run's end interrupts is no failure of the issuer.
func TestMetricsOfInterruptedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := authtest.New(t)
		iss.Fail(authtest.Hang)
		reg := prometheus.NewRegistry()
		var log bytes.Buffer // written by Run, read after it
		r, err := auth.NewRemote(auth.RemoteConfig{
			Name: iss.Name, Issuer: iss.URL, JWKSURI: iss.JWKSURL(), Transport: iss,
			Metrics: auth.NewMetrics(reg, []string{iss.Name}),
			Log:     slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		synctest.Wait()
		cancel()
		<-ended
		for name, value := range series(t, reg) {
			if value != 0 {
				t.Errorf("%s is %v", name, value)
			}
		}
		if iss.Fetches() != 1 || r.Status().Err != nil || log.Len() != 0 {
			t.Errorf("%d fetches, status %+v, log %s", iss.Fetches(), r.Status(), log.String())
		}
	})
}

// Of a set with many keys that cannot be used, the log names the first 20.
func TestRemoteLogsFewKeysLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer // written by Run, read after it waits again
		r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
			for range 21 {
				iss.PublishJWK(map[string]any{"kty": "new"})
			}
			c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		r.mustLogin(t, r.Token(), auth.OK, 0)
		if n := strings.Count(log.String(), `msg="key left out"`); n != 20 || !strings.Contains(log.String(), "skipped=21") {
			t.Errorf("%d records in\n%s", n, log.String())
		}
	})
}

// What is counted of the keys; each result that a fetch can have is in
// TestIssuerFaults.
func TestMetricsOfFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		r := run(t, func(iss *authtest.Issuer, c *auth.RemoteConfig) {
			c.Metrics = auth.NewMetrics(reg, []string{iss.Name})
		})
		start := time.Now().Unix()
		r.mustLogin(t, r.Token(authtest.SignedBy(r.NewKey())), auth.UnknownKey, 3*time.Second)
		r.Fail(authtest.Status)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		all := series(t, reg)
		for name, value := range map[string]float64{
			`fetches_total{issuer="test",result="ok"}`:      2,
			`fetches_total{issuer="test",result="status"}`:  1,
			`keys{issuer="test"}`:                           1,
			`unknown_key_total{issuer="test"}`:              1,
			`last_success_timestamp_seconds{issuer="test"}`: float64(start + 3),
		} {
			if all[name] != value {
				t.Errorf("%s is %v, want %v", name, all[name], value)
			}
		}
	})
}
