package app

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

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

	type end struct {
		at   time.Duration
		line string
		err  error
	}
	ends := make(chan end, len(devices))
	for _, d := range devices {
		go func() {
			line, err := d.in.ReadString('\n')
			ends <- end{time.Since(began), line, err}
		}()
	}
	var first, last time.Duration
	for i := range devices {
		e := <-ends
		if e.err != nil || !strings.HasPrefix(e.line, "BYE key_removed action=reauth ") {
			t.Errorf("the end is %q, %v", e.line, e.err)
		}
		if i == 0 {
			first = e.at
		}
		last = e.at
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
		second = withSecond(t, c)
		c.Issuers[1].JWKS.RemovalGrace = 2 * time.Second
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
		second = withSecond(t, c)
		c.Issuers[1].JWKS.RemovalGrace = time.Hour
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
