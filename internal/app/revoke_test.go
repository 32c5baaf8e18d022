package app

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
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
