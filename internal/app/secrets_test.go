package app

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/config"
)

// TestNoTokenInAnyOutput looks for every token that was ever sent, good, bad
// and mistyped, in everything that the gateway puts out at debug level, and
// in what it stores: no 16 bytes in a row of a payload or signature may stand
// there, and no message.
func TestNoTokenInAnyOutput(t *testing.T) {
	state := t.TempDir()
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		c.Issuers[0].JWKS.Cooldown = 100 * time.Millisecond
		c.StateDir = state
	})
	r.waitReady()
	const secret = "the-message-that-nobody-may-log"
	good := r.issuer.Token()
	tokens := map[string]string{
		"good":                good,
		"expired":             r.issuer.Token(authtest.ExpiresIn(-time.Hour)),
		"forged":              r.issuer.Token(authtest.ForgedBy(forger)),
		"unsigned":            r.issuer.Unsigned(),
		"of another issuer":   authtest.New(t, authtest.Named("other")).Token(),
		"with an unknown kid": r.issuer.Token(authtest.Header("kid", "nobody-knows-this")),
		"without scope":       r.issuer.Token(authtest.Claim("scope", "other")),
		"with a strange typ":  r.issuer.Token(authtest.Header("typ", "JWT")),
		"with a bound key":    r.issuer.Token(authtest.Claim("cnf", map[string]any{"x5t#S256": "abc"})),
		"with broken JSON":    r.issuer.Token(authtest.RawClaims(`{"iss":"` + r.issuer.URL + `","sub":`)),
		"mistyped":            good + "=",
		"in two words":        good[:len(good)-30] + " " + good[len(good)-30:],
		"in four parts":       good + "." + strings.Split(good, ".")[2],
		"with a long subject": r.issuer.Token(authtest.Sub(strings.Repeat("s", 300))),
	}
	for name, token := range tokens {
		for _, secure := range []bool{false, true} {
			first := r.dial(secure)
			first.say("AUTH " + token)
			said := first.expect("")
			if name == "good" {
				first.say(secret)
				first.expect("from server: ")
			} else if !strings.HasPrefix(said, "BYE ") {
				t.Errorf("%s: %s", name, said)
			}
			checkSilent(t, name+" (reply)", said, token)
			first.Close()

			renewing := r.login(secure)
			renewing.say("AUTH " + token)
			said = renewing.expect("")
			checkSilent(t, name+" (reply in a session)", said, token)
			renewing.Close()
		}
		inPath, inBody := url.PathEscape(token), fmt.Sprintf(`{"issuer":"main","token_id":%q}`, token)
		for where, said := range map[string]string{
			"admin":             r.asked(token, "GET", "/v1/sessions", ""),
			"admin, address":    r.asked(r.operator(), "GET", "/v1/sessions?access_token="+url.QueryEscape(token), ""),
			"admin, session":    r.asked(r.operator(), "DELETE", "/v1/sessions/"+inPath, ""),
			"admin, revocation": r.asked(r.operator(), "DELETE", "/v1/revocations/"+inPath, ""),
			"admin, token_id":   r.asked(r.operator(), "POST", "/v1/revocations", inBody),
		} {
			checkSilent(t, name+" ("+where+")", said, token)
		}
	}
	tokens["of a session that was revoked"] = r.issuer.Token()
	r.revoke(`{"session":"` + r.loginWith(tokens["of a session that was revoked"]).session + `"}`)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	stored := contents(t, state)
	if !strings.Contains(stored, `"session":`) || !strings.Contains(stored, r.issuer.URL) {
		t.Fatalf("neither revocation nor keys are stored: %s", stored)
	}
	log := r.log.String()
	if !strings.Contains(log, "login refused") || !strings.Contains(log, "renewal refused") ||
		!strings.Contains(log, "admin request refused") || !strings.Contains(log, "admin act") {
		t.Fatal("the log does not tell of refusals")
	}
	for name, token := range tokens {
		checkSilent(t, name+" (log)", log, token)
		checkSilent(t, name+" (state_dir)", stored, token)
	}
	if strings.Contains(log+stored, secret) {
		t.Error("the log, or state_dir, holds a message")
	}
}

// contents returns what the files in a directory hold.
func contents(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

// asked returns what the admin API answers.
func (r *running) asked(token, method, path, body string) string {
	r.t.Helper()
	_, text := r.adminAs(http.DefaultTransport, "http://", token, method, path, body)
	return text
}

// TestNoTokenInMetrics is the same for what is scraped.
func TestNoTokenInMetrics(t *testing.T) {
	r := start(t, nil)
	r.waitReady()
	good, bad := r.issuer.Token(), r.issuer.Token(authtest.ForgedBy(forger))
	for _, token := range []string{good, bad} {
		d := r.dial(false)
		d.say("AUTH " + token)
		d.expect("")
	}
	_, metrics := r.get("/metrics")
	_, readiness := r.get("/readyz")
	for _, token := range []string{good, bad} {
		checkSilent(t, "metrics", metrics+readiness, token)
	}
}

// checkSilent fails when output holds 16 bytes in a row of the payload or the
// signature.
func checkSilent(t testing.TB, where, output, token string) {
	t.Helper()
	_, secret, _ := strings.Cut(token, ".") // the header is no secret
	for _, part := range strings.FieldsFunc(secret, func(c rune) bool { return c == '.' || c == ' ' || c == '=' }) {
		for i := 0; i+16 <= len(part); i++ {
			if strings.Contains(output, part[i:i+16]) {
				t.Errorf("%s: holds %q of a token", where, part[i:i+16])
				break
			}
		}
	}
}
