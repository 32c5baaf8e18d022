package app

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
	"github.com/linegate/linegate/internal/certtest"
	"github.com/linegate/linegate/internal/config"
)

// withAdmin has the issuer grant access to the admin API.
func withAdmin(c *config.Config) {
	c.Admin.Address = "127.0.0.1:0"
	c.Admin.Issuers = []string{"main"}
}

// operator is a token for the admin API.
func (r *running) operator(changes ...authtest.Change) string {
	return r.issuer.Token(append([]authtest.Change{
		authtest.Claim("scope", "linegate:admin"), authtest.Sub("alice"), authtest.Claim("client_id", "linegatectl"),
	}, changes...)...)
}

// admin sends a request of an operator, and returns the answer's status and
// body.
func (r *running) admin(method, path, body string) (status int, text string) {
	r.t.Helper()
	return r.adminAs(http.DefaultTransport, "http://", r.operator(), method, path, body)
}

func (r *running) adminAs(transport http.RoundTripper, scheme, token, method, path, body string) (status int, text string) {
	r.t.Helper()
	request, err := http.NewRequest(method, scheme+r.AdminAddr().String()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Close = true
	response, err := transport.RoundTrip(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// revoke wants a revocation to be made, and returns its id and how many
// sessions it ended.
func (r *running) revoke(body string) (id string, ended int) {
	r.t.Helper()
	status, text := r.admin("POST", "/v1/revocations", body)
	var answer struct {
		ID    string `json:"id"`
		Ended *int   `json:"sessions_ended"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusCreated || answer.Ended == nil {
		r.t.Fatalf("%s: %d %s", body, status, text)
	}
	return answer.ID, *answer.Ended
}

// loginWith opens a session with a token.
func (r *running) loginWith(token string) *device {
	r.t.Helper()
	d := r.dial(false)
	d.say("AUTH " + token)
	d.session = wordOf(d.expect("OK AUTH v=1 "), "session=")
	return d
}

// refused tries to open one.
func (r *running) refused(token string) {
	r.t.Helper()
	d := r.dial(false)
	d.say("AUTH " + token)
	d.expect("BYE invalid_token action=reauth ")
	d.expectEnd()
	d.Close()
}

// wordOf returns the value of key=value in a line.
func wordOf(line, key string) string {
	for _, word := range strings.Fields(line) {
		if value, found := strings.CutPrefix(word, key); found {
			return value
		}
	}
	return ""
}

// lives wants a session to be served.
func (d *device) lives() {
	d.t.Helper()
	d.say("ping")
	d.expect("pong\n")
}

// TestKick: the operator sees who is there and ends one of them, whose token
// stays good.
func TestKick(t *testing.T) {
	r := start(t, withAdmin)
	r.waitReady()
	token := r.issuer.Token(authtest.Sub("device-7"), authtest.Claim("jti", "t-7"), authtest.Claim("client_id", "sensors"))
	kicked, other := r.loginWith(token), r.loginWith(r.issuer.Token())

	status, text := r.admin("GET", "/v1/sessions?subject=device-7", "")
	var list struct {
		Items []map[string]any `json:"items"`
		Next  any              `json:"next"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != http.StatusOK || len(list.Items) != 1 || list.Next != nil {
		t.Fatalf("%d %s", status, text)
	}
	item := list.Items[0]
	for name, want := range map[string]string{
		"session": kicked.session, "issuer": "main", "subject": "device-7", "client_id": "sensors",
		"scopes": "[line:connect]", "key_id": r.issuer.SigningKey().ID, "token_id": "t-7", "remote": kicked.LocalAddr().String(),
	} {
		if got := fmt.Sprint(item[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	opened, _ := time.Parse(time.RFC3339, fmt.Sprint(item["opened_at"]))
	expires, _ := time.Parse(time.RFC3339, fmt.Sprint(item["expires_at"]))
	if since := time.Since(opened); since < 0 || since > time.Minute {
		t.Errorf("opened %v ago", since)
	}
	if left := time.Until(expires); left > authtest.Lifetime || left < authtest.Lifetime-time.Minute {
		t.Errorf("expires in %v", left)
	}

	if status, text := r.admin("DELETE", "/v1/sessions/"+kicked.session, ""); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	kicked.expect("BYE token_revoked action=reauth ")
	kicked.expectEnd()
	other.lives()
	r.loginWith(token).lives()
}

// TestAudit: every act is on the record, whoever sets log.level, and no token
// is.
func TestAudit(t *testing.T) {
	r := start(t, withAdmin)
	r.waitReady()
	next := *r.cfg
	next.Log.Level = "error"
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	d := r.loginWith(r.issuer.Token())
	token := r.operator()
	do := func(method, path, body string) {
		r.adminAs(http.DefaultTransport, "http://", token, method, path, body)
	}
	for range 3 { // in one second, and all are written
		do("DELETE", "/v1/sessions/nobody", "")
	}
	do("DELETE", "/v1/sessions/"+d.session, "")
	id, _ := r.revoke(`{"issuer":"main","subject":"mallory","reason":"left"}`)
	do("DELETE", "/v1/revocations/"+id, "")

	who := `"issuer":"main","subject":"alice","client_id":"linegatectl","remote":"127.0.0.1:`
	var acts []string
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, `"level":"AUDIT","msg":"admin act"`) && strings.Contains(line, who) {
			_, act, _ := strings.Cut(line, `"act":`)
			act, _, _ = strings.Cut(act, `},"issuer":"main","subject":"alice"`)
			acts = append(acts, act)
		}
	}
	nobody := `"end session","result":"not found","target":{"session":"nobody"`
	if !slices.Equal(acts[:4], []string{
		nobody, nobody, nobody,
		`"end session","result":"done","target":{"session":"` + d.session + `","issuer":"main","subject":"device-1"`,
	}) {
		t.Errorf("acts %q", acts)
	}
	if !strings.HasPrefix(acts[4], `"revoke","result":"done","target":{"id":"`+id+`","issuer":"main","subject":"mallory"`) ||
		!strings.HasPrefix(acts[5], `"take back","result":"done","target":{"id":"`+id+`"`) {
		t.Errorf("acts %q", acts)
	}
	if !strings.Contains(r.log.String(), `"reason":"left","sessions_ended":0}`) {
		t.Error("the reason is not on the record")
	}
	for _, part := range strings.Split(token, ".")[1:] {
		if strings.Contains(r.log.String(), part[:16]) {
			t.Error("a part of the token is in the log")
		}
	}
}

// TestAdminOverTLS: with client_ca, both the certificate and the token count,
// and a token that is bound to the certificate works with no other.
func TestAdminOverTLS(t *testing.T) {
	var clients *certtest.Authority
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		clients = certtest.New(t)
		c.Admin.TLS = config.AdminTLS{Cert: c.Listen[1].TLS.Cert, Key: c.Listen[1].TLS.Key, ClientCA: clients.CA}
	})
	r.waitReady()
	own, others, strange := clients.Issue("alice"), clients.Issue("bob"), certtest.New(t).Issue("mallory")
	with := func(certificates ...tls.Certificate) http.RoundTripper {
		return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.certs.Roots(), Certificates: certificates}}
	}
	digest := sha256.Sum256(own.Certificate[0])
	bound := r.operator(authtest.Claim("cnf", map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(digest[:])}))
	for _, test := range []struct {
		name   string
		client http.RoundTripper
		token  string
		status int
	}{
		{"a certificate and a token", with(own), r.operator(), 200},
		{"a certificate and a device's token", with(own), r.issuer.Token(), 403},
		{"a certificate and a token bound to it", with(own), bound, 200},
		{"a certificate and a token bound to another", with(others), bound, 401},
	} {
		if status, text := r.adminAs(test.client, "https://", test.token, "GET", "/v1/sessions", ""); status != test.status {
			t.Errorf("%s: %d %s", test.name, status, text)
		}
	}
	if !strings.Contains(r.log.String(), `"outcome":"binding"`) {
		t.Error("the log does not say why")
	}
	for name, client := range map[string]http.RoundTripper{"no certificate": with(), "another authority's": with(strange)} {
		request, _ := http.NewRequest("GET", "https://"+r.AdminAddr().String()+"/v1/sessions", nil)
		request.Header.Set("Authorization", "Bearer "+r.operator())
		if response, err := client.RoundTrip(request); err == nil {
			response.Body.Close()
			t.Errorf("%s: %s", name, response.Status)
		}
	}
	if status, text := r.adminAs(http.DefaultTransport, "http://", r.operator(), "GET", "/v1/sessions", ""); status != http.StatusBadRequest {
		t.Errorf("in clear: %d %s", status, text)
	}
}

// TestAdminReload: who may use it changes at once, and with certificates; where
// it listens does not.
func TestAdminReload(t *testing.T) {
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		c.Admin.TLS = config.AdminTLS{Cert: c.Listen[1].TLS.Cert, Key: c.Listen[1].TLS.Key}
	})
	r.waitReady()
	status := func(token string) int {
		client := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.certs.Roots()}}
		status, _ := r.adminAs(client, "https://", token, "GET", "/v1/sessions", "")
		return status
	}
	own, others := r.operator(), r.operator(authtest.Claim("scope", "ops"), authtest.Claim("aud", "operators"))
	for _, step := range []struct {
		name        string
		change      func(*config.Config)
		own, others int
	}{
		{"as it began", func(*config.Config) {}, 200, 401},
		{"another audience and scope", func(c *config.Config) {
			c.Admin.Audience, c.Admin.Scopes = []string{"operators"}, []string{"ops"}
		}, 401, 200},
		{"another scope", func(c *config.Config) { c.Admin.Scopes = []string{"ops"} }, 403, 401},
		{"nobody", func(c *config.Config) { c.Admin.Issuers = nil }, 401, 401},
		{"another address, and a new certificate", func(c *config.Config) {
			c.Admin.Address = "127.0.0.1:1"
			r.certs.Renew()
		}, 200, 401},
		{"off, and in clear, which needs a restart", func(c *config.Config) { c.Admin.Address, c.Admin.TLS = "", config.AdminTLS{} }, 200, 401},
	} {
		next := *r.cfg
		step.change(&next)
		if err := r.Reload(&next); err != nil {
			t.Fatal(err)
		}
		if got := [...]int{status(own), status(others)}; got != [...]int{step.own, step.others} {
			t.Errorf("%s: %v", step.name, got)
		}
	}
	for _, key := range []string{"admin.address", "admin.tls"} {
		if !strings.Contains(r.log.String(), `"msg":"a changed key needs a restart","key":"`+key+`"`) {
			t.Errorf("%s is not named in the log", key)
		}
	}
	next := *r.cfg
	next.Admin.TLS.Key = "/nowhere.key"
	if err := r.Reload(&next); err == nil || !strings.HasPrefix(err.Error(), "admin.tls: open /nowhere.key: ") {
		t.Errorf("error %v", err)
	}
}

// TestAdminDuringTheDrain: as long as sessions are served, and logins even, they
// can be ended. The API ends with the last of them.
func TestAdminDuringTheDrain(t *testing.T) {
	r := start(t, func(c *config.Config) {
		withAdmin(c)
		c.Drain.Delay = time.Hour // until Abort
	})
	r.waitReady()
	d := r.loginWith(r.issuer.Token())
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	r.waitFor("draining", func() bool { return r.metric("linegate_draining") == 1 })
	if status, text := r.admin("DELETE", "/v1/sessions/"+d.session, ""); status != http.StatusNoContent {
		t.Fatalf("status %d: %s", status, text)
	}
	d.expect("BYE token_revoked ")
	d.expectEnd()
	r.Abort()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if nc, err := net.Dial("tcp", r.AdminAddr().String()); err == nil {
		nc.Close()
		t.Error("open to operators after the end")
	}
}

// TestAdminIsOff unless it is asked for.
func TestAdminIsOff(t *testing.T) {
	r := start(t, nil)
	if addr := r.AdminAddr(); addr != nil {
		t.Errorf("listens on %v", addr)
	}
}
