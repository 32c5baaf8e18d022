package app

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// TestConversation is the product: a real token of a real issuer over a real
// socket, and what the operator sees of it.
func TestConversation(t *testing.T) {
	forBoth(t, func(t *testing.T, secure bool) {
		r := start(t, nil)
		r.waitReady()
		d := r.login(secure)
		d.say("ping")
		d.expect("pong\n")
		d.say("Hello World!")
		d.expect("from server: Hello World!\n")
		d.say("AUTH " + r.issuer.Token())
		d.expect("OK AUTH v=1 ")

		stranger := r.dial(secure)
		stranger.say("AUTH " + r.issuer.Token(authtest.Claim("aud", "somebody else")))
		stranger.expect("BYE invalid_token action=reauth :")
		stranger.expectEnd()
		stranger.Close()

		listener := `listener="plain"`
		if secure {
			listener = `listener="tls"`
		}
		r.waitFor("counted", func() bool { return r.metric("linegate_connections_closed_total") == 1 })
		for _, want := range []struct {
			name   string
			labels []string
			value  float64
		}{
			{"linegate_connections_accepted_total", []string{listener}, 2},
			{"linegate_connections_open", nil, 1},
			{"linegate_connections_closed_total", []string{`reason="invalid_token"`}, 1},
			{"linegate_sessions_open", nil, 1},
			{"linegate_auth_attempts_total", []string{`issuer="main"`, `kind="login"`, `outcome="ok"`}, 1},
			{"linegate_auth_attempts_total", []string{`issuer="main"`, `kind="renewal"`, `outcome="ok"`}, 1},
			{"linegate_auth_attempts_total", []string{`issuer="main"`, `kind="login"`, `outcome="audience"`}, 1},
			{"linegate_auth_attempts_total", nil, 3},
			{"linegate_auth_duration_seconds_count", nil, 3},
			{"linegate_lines_received_total", []string{`kind="auth"`}, 3},
			{"linegate_lines_received_total", []string{`kind="ping"`}, 1},
			{"linegate_lines_received_total", []string{`kind="message"`}, 1},
			{"linegate_jwks_fetches_total", []string{`issuer="main"`, `result="ok"`}, 1},
			{"linegate_jwks_keys", []string{`issuer="main"`}, 1},
			{"linegate_draining", nil, 0},
			{"linegate_build_info", []string{`version="test"`}, 1},
		} {
			if got := r.metric(want.name, want.labels...); got != want.value {
				t.Errorf("%s%v = %v, want %v", want.name, want.labels, got, want.value)
			}
		}
	})
}

// TestIssuerIsDown: the gateway starts without its issuer, says so, tells
// devices to come again, and recovers by itself.
func TestIssuerIsDown(t *testing.T) {
	var down *authtest.Issuer
	r := start(t, func(c *config.Config) {
		c.Issuers[0].JWKS.Cooldown = 100 * time.Millisecond
		c.Issuers[0].JWKS.RefreshInterval = time.Second
		down = authtest.Serve(t)
		down.Fail(authtest.Status)
		c.Issuers[0].Issuer = down.URL
	})
	if status, body := r.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}
	status, body := r.get("/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"main"`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	early := r.dial(false)
	early.say("AUTH " + down.Token())
	early.expect("BYE temporarily_unavailable action=retry retry_after=")
	early.expectEnd()

	down.Fail(authtest.Healthy)
	r.waitReady()
	d := r.dial(false)
	d.say("AUTH " + down.Token())
	d.expect("OK AUTH ")
}

// TestDrain: not ready at once, sessions are told, served until their BYE, and
// nobody is left.
func TestDrain(t *testing.T) {
	r := start(t, func(c *config.Config) { c.Drain.Timeout = 2 * time.Second })
	r.waitReady()
	var devices []*device
	for i := range 20 {
		devices = append(devices, r.login(i%2 == 0))
	}
	waiting := r.dial(false)
	started := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	for _, d := range devices {
		d.expect("NOTICE draining retry_after=")
	}
	waiting.expect("BYE draining action=retry retry_after=")
	if status, body := r.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"reason": "draining"`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	ends := make(chan time.Duration, len(devices))
	for _, d := range devices {
		go func() {
			for {
				line, err := d.in.ReadString('\n')
				if err != nil || strings.HasPrefix(line, "BYE draining action=retry retry_after=") {
					ends <- time.Since(started)
					d.Close()
					return
				}
			}
		}()
	}
	var first, last time.Duration
	for i := range devices {
		at := <-ends
		if i == 0 {
			first = at
		}
		last = at
	}
	if last-first < time.Second {
		t.Errorf("all ended between %v and %v: not spread", first, last)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("the drain took %v", took)
	}
}

// TestAbortWhileChecking: an end at once waits for no issuer.
func TestAbortWhileChecking(t *testing.T) {
	var hanging *authtest.Issuer
	r := start(t, func(c *config.Config) {
		hanging = authtest.Serve(t)
		hanging.Fail(authtest.Hang)
		c.Issuers[0].Issuer = hanging.URL
	})
	d := r.dial(false)
	d.say("AUTH " + hanging.Token())
	r.waitFor("asked for its key", func() bool { return hanging.Requests("/.well-known/oauth-authorization-server") > 0 })
	started := time.Now()
	r.Abort()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if strings.Contains(r.log.String(), "the end of the drain") {
		t.Errorf("logged as the end of a drain: %s", r.log)
	}
}

// TestCertificateChangesOnDisk: a renewed certificate is taken up without a
// signal.
func TestCertificateChangesOnDisk(t *testing.T) {
	r := start(t, nil)
	r.waitReady()
	r.login(true)
	r.certs.Renew()
	before := r.metric("linegate_tls_certificate_not_after_timestamp_seconds", `listener="tls"`)
	r.waitFor("served with the new certificate", func() bool {
		nc, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{RootCAs: r.certs.Roots(), ServerName: "localhost"})
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	if after := r.metric("linegate_tls_certificate_not_after_timestamp_seconds", `listener="tls"`); after < before {
		t.Errorf("not after %v, before it was %v", after, before)
	}
}

// TestSocketsInUse: an address that cannot be had is named by its key.
func TestSocketsInUse(t *testing.T) {
	r := start(t, withAdmin)
	for key, change := range map[string]func(*config.Config){
		"admin.address":     func(c *config.Config) { c.Admin.Address = r.AdminAddr().String() },
		"listen[0].address": func(c *config.Config) { c.Listen[0].Address = r.Addr("plain").String() },
		"ops.address":       func(c *config.Config) { c.Ops.Address = r.OpsAddr().String() },
	} {
		cfg := config.Default()
		cfg.Listen[0].Address, cfg.Ops.Address = "127.0.0.1:0", "127.0.0.1:0"
		cfg.Issuers = r.cfg.Issuers
		change(cfg)
		if _, err := New(cfg, Options{Log: r.App.log}); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: error %v", key, err)
		}
	}
}
