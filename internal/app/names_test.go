package app

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// refusal returns the one record of a client's refusal.
func (r *running) refusal(msg, remote string) map[string]any {
	r.t.Helper()
	var found []map[string]any
	r.waitFor(`logged as "`+msg+`"`, func() bool {
		found = nil
		for line := range strings.Lines(r.log.String()) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == msg && record["remote"] == remote {
				found = append(found, record)
			}
		}
		return len(found) > 0
	})
	if len(found) > 1 {
		r.t.Errorf("%d records: %v", len(found), found)
	}
	return found[0]
}

// TestRefusedByName: the log tells whose token was refused where the signature
// is good, which issuer is not configured, and what is wrong with an AUTH line.
func TestRefusedByName(t *testing.T) {
	r := start(t, withAdmin)
	r.waitReady()
	stranger := authtest.New(t, authtest.Named("other"))
	r.revoke(`{"issuer":"main","token_id":"stolen"}`)
	mallory := []authtest.Change{authtest.Sub("mal\nlory"), authtest.Claim("client_id", strings.Repeat("c", 100))}
	token := func(changes ...authtest.Change) string { return r.issuer.Token(append(changes, mallory...)...) }
	named := func(more map[string]any) map[string]any {
		want := map[string]any{
			"issuer": "main", "kid": r.issuer.SigningKey().ID,
			"subject": "mal%0Alory", "client_id": strings.Repeat("c", 61) + "…", "token_id": "t-1",
		}
		maps.Copy(want, more)
		return want
	}
	for _, test := range []struct {
		name, line string
		want       map[string]any // attributes of the record, and no other names
	}{
		{"scope", "AUTH " + token(authtest.Claim("jti", "t-1"), authtest.Claim("scope", "x")), named(map[string]any{
			"outcome": "scope", "claim": "scope",
		})},
		{"revoked", "AUTH " + token(authtest.Claim("jti", "stolen")), named(map[string]any{
			"outcome": "revoked", "claim": "", "token_id": "stolen",
		})},
		{"forged", "AUTH " + token(authtest.ForgedBy(forger)), map[string]any{
			"outcome": "signature", "issuer": "main", "kid": r.issuer.SigningKey().ID,
		}},
		{"issuer", "AUTH " + stranger.Token(), map[string]any{
			"outcome": "issuer", "issuer": "", "iss": stranger.URL, "error": "not a configured issuer",
		}},
		{"a long issuer", "AUTH " + r.issuer.Token(authtest.Claim("iss", "https://a b/"+strings.Repeat("i", 100))), map[string]any{
			"outcome": "issuer", "issuer": "", "iss": "https://a%20b/" + strings.Repeat("i", 47) + "…",
		}},
		{"malformed", "AUTH foo bar", map[string]any{
			"outcome": "format", "issuer": "", "error": "white space in or behind the token",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := r.dial(false)
			d.say(test.line)
			d.expect("BYE ")
			got := r.refusal("login refused", d.LocalAddr().String())
			for key, want := range test.want {
				if got[key] != want {
					t.Errorf("%s: %v, want %v", key, got[key], want)
				}
			}
			for _, name := range []string{"iss", "subject", "client_id", "token_id"} {
				if got[name] != test.want[name] {
					t.Errorf("%s: %v, want %v", name, got[name], test.want[name])
				}
			}

			renewing := r.login(false)
			renewing.say(test.line)
			renewing.expect("ERR ")
			for key, want := range test.want {
				if got := r.refusal("renewal refused", renewing.LocalAddr().String()); got[key] != want {
					t.Errorf("renewal: %s: %v, want %v", key, got[key], want)
				}
			}
		})
	}

	renewing := r.login(false)
	renewing.say("AUTH " + token(authtest.Claim("jti", "t-1")))
	renewing.expect("ERR identity_mismatch ")
	got := r.refusal("renewal refused", renewing.LocalAddr().String())
	for key, want := range named(map[string]any{"outcome": "mismatch"}) {
		if got[key] != want {
			t.Errorf("mismatch: %s: %v, want %v", key, got[key], want)
		}
	}
}

// TestIssuerRenamed: sessions that were opened before a reload gave their issuer
// another name are listed, found and revoked by that.
func TestIssuerRenamed(t *testing.T) {
	r := start(t, withAdmin)
	r.waitReady()
	d := r.loginWith(r.issuer.Token())
	listed := func(issuer string) bool {
		t.Helper()
		status, text := r.admin("GET", "/v1/sessions?issuer="+issuer, "")
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		found := strings.Contains(text, `"session":"`+d.session+`","issuer":"`+issuer+`"`)
		if !found && !strings.Contains(text, `"items":[]`) {
			t.Errorf("%s: %s", issuer, text)
		}
		return found
	}
	rename := func(name string) {
		t.Helper()
		next := *r.cfg
		next.Issuers = slices.Clone(next.Issuers)
		next.Issuers[0].Name = name
		next.Admin.Issuers = []string{name}
		if err := r.Reload(&next); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.log.String(), "issuer removed") {
			t.Error("logged as removed")
		}
	}
	if !listed("main") || listed("new") {
		t.Error("before")
	}
	rename("new")
	if listed("main") || !listed("new") {
		t.Error("renamed")
	}
	if _, ended := r.revoke(`{"issuer":"new","subject":"` + authtest.Subject + `"}`); ended != 1 {
		t.Errorf("%d sessions ended", ended)
	}
	if status, text := r.admin("GET", "/v1/revocations", ""); status != http.StatusOK || !strings.Contains(text, `"issuer":"new","subject"`) {
		t.Errorf("%d %s", status, text)
	}
}

// TestAdminIssuers: a configured issuer that does not grant the admin API is told
// apart from one that is not configured.
func TestAdminIssuers(t *testing.T) {
	var second *authtest.Issuer
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		second = withSecond(t, c)
	})
	r.waitReady()
	stranger := authtest.New(t, authtest.Named("other"))
	for token, want := range map[string]string{
		second.Token():   `"issuer":"second","kid":"` + second.SigningKey().ID + `","claim":"iss","error":"not one of admin.issuers"`,
		stranger.Token(): `"issuer":"","kid":"` + stranger.SigningKey().ID + `","claim":"iss","iss":"` + stranger.URL + `","error":"not a configured issuer"`,
		r.issuer.Token(authtest.Claim("jti", "t-1")): `"issuer":"main","kid":"` + r.issuer.SigningKey().ID +
			`","claim":"scope","subject":"device-1","client_id":"device-client","token_id":"t-1"`,
	} {
		if status, _ := r.adminAs(http.DefaultTransport, "http://", token, "GET", "/v1/sessions", ""); status != 401 && status != 403 {
			t.Errorf("status %d", status)
		}
		r.waitFor("logged: "+want, func() bool { return strings.Contains(r.log.String(), want) })
	}
}

// TestOperatorsClock: the admin API judges by the clock that devices are judged
// by.
func TestOperatorsClock(t *testing.T) {
	later := time.Now().Add(100 * 24 * time.Hour)
	r := startWith(t, withAdmin, func(o *Options) { o.Now = func() time.Time { return later } })
	r.waitReady()
	times := func(at time.Time) []authtest.Change {
		return []authtest.Change{authtest.Claim("iat", at.Unix()), authtest.Claim("exp", at.Add(time.Hour).Unix())}
	}
	for _, reload := range []bool{false, true} {
		if reload {
			next := *r.cfg
			if err := r.Reload(&next); err != nil {
				t.Fatal(err)
			}
		}
		for want, at := range map[int]time.Time{http.StatusOK: later, http.StatusUnauthorized: time.Now()} {
			if status, text := r.adminAs(http.DefaultTransport, "http://", r.operator(times(at)...), "GET", "/v1/sessions", ""); status != want {
				t.Errorf("reloaded %t: %d %s, want %d", reload, status, text, want)
			}
		}
	}
}
