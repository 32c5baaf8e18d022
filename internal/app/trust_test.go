package app

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
	"github.com/linegate/linegate/internal/mint"
)

// TestRevoke: by each target, the sessions that are meant end within 2 s and
// the others live on; the old token is refused at once, at a login and at a
// renewal, and a newer one of the same subject is good.
func TestRevoke(t *testing.T) {
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		c.Issuers[0].JWKS.Cooldown = 100 * time.Millisecond
	})
	r.waitReady()
	first, second := r.issuer.SigningKey(), r.issuer.Publish()
	// Issued after whatever is revoked here, by a clock that runs ahead.
	later := func() authtest.Change { return authtest.Claim("iat", time.Now().Add(20*time.Second).Unix()) }
	same := func() authtest.Change { return authtest.Claim("jti", "another") }
	bySecond := func() authtest.Change { return authtest.SignedBy(second) }
	claim := func(name, value string) func() authtest.Change {
		return func() authtest.Change { return authtest.Claim(name, value) }
	}
	for _, test := range []struct {
		target string
		body   string                 // SESSION is the victim's
		other  func() authtest.Change // makes a token that is not meant
		newer  func() authtest.Change // makes the same device's next one
	}{
		{"session", `{"session":"SESSION"}`, same, same},
		{"token id", `{"issuer":"main","token_id":"token"}`, same, same},
		{"subject", `{"issuer":"main","subject":"subject"}`, claim("sub", "other"), later},
		{"client", `{"issuer":"main","client_id":"client"}`, claim("client_id", "other"), later},
		{"key, by its id", `{"issuer":"main","key_id":"` + first.ID + `"}`, bySecond, bySecond},
		{"key, by its thumbprint", `{"issuer":"main","key_id":"` + thumbprint(t, first) + `"}`, bySecond, bySecond},
		{"issuer", `{"issuer":"main","all":true}`, later, later},
	} {
		t.Run(test.target, func(t *testing.T) {
			// The operator is not meant, but where all of the key's or
			// the issuer's are.
			operator := func() string { return r.operator(bySecond(), later()) }
			mint := func(changes ...authtest.Change) string {
				return r.issuer.Token(append([]authtest.Change{
					authtest.Sub("subject"), authtest.Claim("client_id", "client"), authtest.Claim("jti", "token"),
				}, changes...)...)
			}
			token := mint()
			victim, other, renewing := r.loginWith(token), r.loginWith(mint(test.other())), r.loginWith(mint(test.newer()))
			refusals := r.metric("linegate_auth_attempts_total", `outcome="revoked"`)

			began := time.Now()
			body := strings.Replace(test.body, "SESSION", victim.session, 1)
			status, text := r.adminAs(http.DefaultTransport, "http://", operator(), "POST", "/v1/revocations", body)
			if status != http.StatusCreated || !strings.Contains(text, `"sessions_ended":1}`) {
				t.Fatalf("%d %s", status, text)
			}
			r.refused(token)
			victim.expect("BYE token_revoked action=reauth ")
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			victim.expectEnd()
			renewing.say("AUTH " + token)
			renewing.expect("ERR invalid_token for=auth action=reauth\n")
			renewing.lives()
			other.lives()
			r.loginWith(mint(test.newer())).lives()
			if got := r.metric("linegate_auth_attempts_total", `outcome="revoked"`); got != refusals+2 {
				t.Errorf("%v refusals as revoked, want 2", got-refusals)
			}

			// Taken back, the token is as good as it was.
			var made struct{ ID string }
			if err := json.Unmarshal([]byte(text), &made); err != nil {
				t.Fatal(err)
			}
			if status, text := r.adminAs(http.DefaultTransport, "http://", operator(), "DELETE", "/v1/revocations/"+made.ID, ""); status != http.StatusNoContent {
				t.Fatalf("%d %s", status, text)
			}
			r.loginWith(token).lives()
			for _, d := range []*device{other, renewing} {
				d.Close()
			}
			r.kickAll()
		})
	}
}

// kickAll ends every session that is left.
func (r *running) kickAll() {
	for _, s := range r.sessions.Sessions() {
		r.admin("DELETE", "/v1/sessions/"+s.ID(), "")
	}
	r.waitFor("empty", func() bool { return r.metric("linegate_connections_open") == 0 })
}

// thumbprint is a key's by RFC 7638.
func thumbprint(t *testing.T, key *mint.Key) string {
	t.Helper()
	jwk := key.JWK(nil)
	doc, err := json.Marshal(map[string]any{"crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"]})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(doc)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// TestOperatorIsRevoked: operators' tokens are subject to what they do.
func TestOperatorIsRevoked(t *testing.T) {
	r := start(t, withAdmin)
	r.waitReady()
	r.revoke(`{"issuer":"main","subject":"alice"}`)
	if status, text := r.admin("GET", "/v1/sessions", ""); status != http.StatusUnauthorized {
		t.Errorf("%d %s", status, text)
	}
	if !strings.Contains(r.log.String(), `"msg":"admin request refused","outcome":"revoked"`) {
		t.Error("the log does not say why")
	}
}

// TestRevocationSurvivesARestart with state_dir, and one that was taken back
// does not come again.
func TestRevocationSurvivesARestart(t *testing.T) {
	issuer, dir := authtest.Serve(t), t.TempDir()
	keep := func(c *config.Config) {
		withAdmin(c)
		c.Issuers[0].Issuer = issuer.URL
		c.StateDir = dir
	}
	before := start(t, keep)
	before.issuer = issuer
	before.waitReady()
	alice, bob := issuer.Token(authtest.Sub("a")), issuer.Token(authtest.Sub("b"))
	session := issuer.Token(authtest.Sub("c"))
	before.revoke(`{"issuer":"main","subject":"a"}`)
	id, _ := before.revoke(`{"issuer":"main","subject":"b"}`)
	before.revoke(`{"session":"` + before.loginWith(session).session + `"}`)
	if status, _ := before.admin("DELETE", "/v1/revocations/"+id, ""); status != http.StatusNoContent {
		t.Fatal(status)
	}
	_, list := before.admin("GET", "/v1/revocations", "")
	if err := before.stop(); err != nil {
		t.Fatal(err)
	}

	after := start(t, keep)
	after.issuer = issuer
	after.waitReady()
	after.refused(alice)
	after.refused(session)
	after.loginWith(bob)
	if _, again := after.admin("GET", "/v1/revocations", ""); again != list || strings.Count(list, `"id"`) != 2 {
		t.Errorf("was %s\nis  %s", list, again)
	}
}

// TestStateDirIsTaken: two gateways would forget each other's revocations.
func TestStateDirIsTaken(t *testing.T) {
	dir := t.TempDir()
	r := start(t, func(c *config.Config) { c.StateDir = dir })
	next := *r.cfg
	next.Ops.Address = "127.0.0.1:0"
	if _, err := New(&next, Options{Log: r.App.log}); err == nil || !strings.HasPrefix(err.Error(), "state_dir: ") {
		t.Errorf("error %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again, err := New(&next, Options{Log: r.App.log})
	if err != nil {
		t.Fatal(err)
	}
	again.closeSockets()
	again.closeState()
}

// TestRestartWithoutIssuer: with state_dir the last good keys let devices in
// although nobody can be asked for others.
func TestRestartWithoutIssuer(t *testing.T) {
	issuer, dir := authtest.Serve(t), t.TempDir()
	keep := func(c *config.Config) {
		c.Issuers[0].Issuer = issuer.URL
		c.Issuers[0].JWKS.RefreshInterval, c.Issuers[0].JWKS.Cooldown = time.Second, 100*time.Millisecond
		c.StateDir = dir
	}
	before := start(t, keep)
	before.waitReady()
	if err := before.stop(); err != nil {
		t.Fatal(err)
	}
	issuer.Fail(authtest.Refused)
	after := start(t, keep)
	after.issuer = issuer
	after.login(true)
	after.waitReady()
	after.waitFor("asked again, in vain", func() bool {
		return after.metric("linegate_jwks_fetches_total", `issuer="main"`) > 1
	})
	after.login(false)

	// What is damaged is left out, and that is said.
	if err := after.stop(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "keys-") {
			if err := os.WriteFile(dir+"/"+entry.Name(), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	damaged := start(t, keep)
	d := damaged.dial(false)
	d.say("AUTH " + issuer.Token())
	d.expect("BYE temporarily_unavailable ")
	if !strings.Contains(damaged.log.String(), `"msg":"stored keys not used","issuer":"main"`) {
		t.Error("the log does not say why")
	}
}

// quick makes removals come and go in a test's time.
func quick(c *config.Config) {
	c.Issuers[0].JWKS.Cooldown = 100 * time.Millisecond
	c.Issuers[0].JWKS.RefreshInterval = 200 * time.Millisecond
	c.Issuers[0].JWKS.RemovalGrace = 3 * time.Second
}

// expectNotice wants to be asked for a new token within a quarter of a grace, with
// the whole seconds that are left of it.
func (d *device) expectNotice(grace time.Duration) {
	d.t.Helper()
	line := d.expect("NOTICE reauth expires_in=")
	left, err := strconv.Atoi(wordOf(line, "expires_in="))
	most, least := int(grace/time.Second), int(grace*3/4/time.Second)-1
	if err != nil || left > most || left < least {
		d.t.Errorf("%q, with a grace of %v", line, grace)
	}
}

// TestKeyRemoved: a key that left its set lets nobody in. Its sessions are asked
// to renew, and end one by one when the grace is over and another fetch has
// confirmed it. Whoever has renewed, or has another key, is not concerned.
func TestKeyRemoved(t *testing.T) {
	r := start(t, quick)
	r.waitReady()
	old := r.issuer.SigningKey()
	var devices []*device
	for range 20 {
		devices = append(devices, r.loginWith(r.issuer.Token()))
	}
	saved := r.loginWith(r.issuer.Token())
	r.issuer.Rotate()
	other := r.loginWith(r.issuer.Token())

	fetches, began := r.issuer.Fetches(), time.Now()
	r.issuer.Remove(old.ID)
	for _, d := range append(devices, saved) {
		d.expectNotice(3 * time.Second)
	}
	stranger := r.dial(false)
	stranger.say("AUTH " + r.issuer.Token(authtest.SignedBy(old)))
	stranger.expect("BYE invalid_token ")
	devices[0].lives()
	saved.say("AUTH " + r.issuer.Token())
	saved.expect("OK AUTH ")

	ends := make(chan time.Duration, len(devices))
	for _, d := range devices {
		go func() {
			d.expect("BYE key_removed action=reauth ")
			ends <- time.Since(began)
		}()
	}
	first := <-ends
	last := first
	for range devices[1:] {
		last = <-ends
	}
	if first < 2900*time.Millisecond || last-first < 50*time.Millisecond || last > 10*time.Second {
		t.Errorf("ended from %v to %v", first, last)
	}
	if n := r.issuer.Fetches() - fetches; n < 2 {
		t.Errorf("after %d fetches", n)
	}
	saved.lives()
	other.lives()
	if !strings.Contains(r.log.String(), `"msg":"keys removed","issuer":"main"`) {
		t.Error("it is not in the log")
	}
}

// TestOneWrongDocument: a set that lacks a key once ends nobody's session.
func TestOneWrongDocument(t *testing.T) {
	r := start(t, quick)
	r.waitReady()
	key := r.issuer.SigningKey()
	d := r.loginWith(r.issuer.Token())
	r.issuer.Publish() // an empty set would be no set at all
	r.issuer.Remove(key.ID)
	d.expectNotice(3 * time.Second)
	r.issuer.PublishJWK(key.JWK(nil))
	r.waitFor("mended", func() bool { return strings.Contains(r.log.String(), `"msg":"keys came back"`) })
	// So many intervals are longer than grace and spread together.
	mended := r.issuer.Fetches()
	r.waitFor("fetched on", func() bool { return r.issuer.Fetches() >= mended+24 })
	d.lives()
	r.loginWith(r.issuer.Token())
}

// TestIssuerRemoved: sessions of an issuer that a reload takes out have their
// grace, then they end; others do not notice.
func TestIssuerRemoved(t *testing.T) {
	var second *authtest.Issuer
	r := start(t, func(c *config.Config) {
		second = authtest.Serve(t, authtest.Named("second"))
		extra := c.Issuers[0]
		extra.Name, extra.Issuer = "second", second.URL
		extra.JWKS.RemovalGrace = 2 * time.Second
		c.Issuers = append(c.Issuers, extra)
	})
	r.waitReady()
	stays, leaves := r.loginWith(r.issuer.Token()), r.loginWith(second.Token())
	next := *r.cfg
	next.Issuers = slices.Clone(next.Issuers[:1])
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	leaves.expectNotice(2 * time.Second)
	leaves.lives()
	record := `"msg":"issuer removed","issuer":"second","iss":"` + second.URL + `","sessions":1,"removal_grace":"2s"}`
	if log := r.log.String(); strings.Count(log, "issuer removed") != 1 || !strings.Contains(log, record) {
		t.Errorf("no %s in %s", record, log)
	}
	leaves.expect("BYE key_removed action=reauth ")
	leaves.expectEnd()
	stays.lives()
}

// TestIssuerRemovedAndKicked: who does not want to wait for the grace finds the
// sessions by their issuer's iss, and they do not come back.
func TestIssuerRemovedAndKicked(t *testing.T) {
	var second *authtest.Issuer
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		second = authtest.Serve(t, authtest.Named("second"))
		extra := c.Issuers[0]
		extra.Name, extra.Issuer = "second", second.URL
		extra.JWKS.RemovalGrace = time.Hour
		c.Issuers = append(c.Issuers, extra)
	})
	r.waitReady()
	token := second.Token()
	stays, leaves := r.loginWith(r.issuer.Token()), r.loginWith(token)
	next := *r.cfg
	next.Issuers = slices.Clone(next.Issuers[:1])
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	leaves.expectNotice(time.Hour)
	_, list := r.admin("GET", "/v1/sessions?issuer="+url.QueryEscape(second.URL), "")
	if strings.Count(list, `"session":`) != 1 || !strings.Contains(list, `"session":"`+leaves.session+`"`) {
		t.Errorf("listed %s", list)
	}
	if status, text := r.admin("DELETE", "/v1/sessions/"+leaves.session, ""); status != http.StatusNoContent {
		t.Errorf("%d %s", status, text)
	}
	leaves.expect("BYE token_revoked ")
	leaves.expectEnd()
	r.refused(token)
	stays.lives()
}
