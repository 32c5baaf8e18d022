package app

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

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
