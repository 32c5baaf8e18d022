package devissuer_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/internal/devissuer"
)

// device is one that waits for a person.
type device struct {
	server             *testServer
	code, userCode     string
	address, addressed string // to open, without and with the user code
}

func newDevice(t *testing.T, server *testServer) device {
	t.Helper()
	got := server.ask("/device_authorization", "client_id", "linegatectl")
	if got.member(t, "expires_in") != 600.0 || got.member(t, "interval") != 5.0 { // RFC 8628 section 3.2
		t.Errorf("%d %s", got.status, got.body)
	}
	text := func(name string) string { s, _ := got.member(t, name).(string); return s }
	return device{server, text("device_code"), text("user_code"), text("verification_uri"), text("verification_uri_complete")}
}

func (d device) polls(pairs ...string) answer {
	return d.server.ask("/token", append([]string{
		"grant_type", devissuer.GrantDevice, "client_id", "linegatectl", "device_code", d.code,
	}, pairs...)...)
}

// TestDevice is the whole flow of RFC 8628: the code is typed, as people do.
func TestDevice(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	device := newDevice(t, server)
	if !regexp.MustCompile(`^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$`).MatchString(device.userCode) { // section 6.1
		t.Errorf("user code %q", device.userCode)
	}
	if device.address != server.url+"/device" || device.addressed != server.url+"/device?user_code="+device.userCode {
		t.Errorf("addresses %s %s", device.address, device.addressed)
	}
	device.polls().refused(t, "nobody has decided", "authorization_pending")

	alice := newPerson(t, server).opens(device.address)
	alice.sees(200, `<label for="user_code">`, "autofocus", `method="get" action="/device"`)
	typed := " " + strings.ToLower(strings.ReplaceAll(device.userCode, "-", ""))
	alice.opens("/device?user_code="+url.QueryEscape(typed)).sees(200, "<h1>Sign in</h1>")
	alice.presses("user", "alice")
	alice.sees(200, device.userCode, "linegatectl", "<b>Alice</b>", "line:connect")
	alice.presses("decision", "allow").sees(200, "Access allowed")

	clock.Advance(5 * time.Second)
	granted := device.polls().tokens(t)
	if err := server.verify(granted.access, clock.Now); err != nil {
		t.Error(err)
	}
	if _, claims := decode(t, granted.access); claims["sub"] != "alice" {
		t.Errorf("claims %v", claims)
	}
	server.refresh(granted.refresh).tokens(t)

	clock.Advance(5 * time.Second)
	device.polls().refused(t, "the code was used", "invalid_grant")
	alice.opens(device.addressed).sees(400, "No device waits")
}

// TestDeviceDenied: RFC 8628 section 3.5.
func TestDeviceDenied(t *testing.T) {
	server := start(t, devissuer.Config{})
	device := newDevice(t, server)
	bob := newPerson(t, server).opens(device.addressed).presses("user", "bob")
	page, here := bob.page, bob.at
	bob.presses("decision", "deny").sees(200, "Access denied")
	device.polls().refused(t, "denied", "access_denied")

	bob.page, bob.at = page, here // he goes back
	bob.presses("decision", "allow").sees(400, "No device waits")
}

// TestDeviceSlowDown: RFC 8628 section 3.5; each poll that is too fast adds 5 s
// to the interval.
func TestDeviceSlowDown(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	device := newDevice(t, server)
	for i, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "authorization_pending"},
		{5 * time.Second, "authorization_pending"},
		{4500 * time.Millisecond, "authorization_pending"}, // networks jitter
		{4 * time.Second, "slow_down"},
		{5 * time.Second, "slow_down"},                          // 10 s now
		{10 * time.Second, "slow_down"},                         // 15 s now
		{20 * time.Second, "authorization_pending"},             // 20 s
		{20*time.Second - time.Second, "authorization_pending"}, // and so it stays
	} {
		clock.Advance(step.after)
		if got := device.polls().member(t, "error"); got != step.want {
			t.Errorf("poll %d, after %v: %v, want %s", i, step.after, got, step.want)
		}
	}
}

// TestDeviceExpires: RFC 8628 section 3.5.
func TestDeviceExpires(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	device := newDevice(t, server)
	alice := newPerson(t, server).opens(device.addressed).presses("user", "alice")
	clock.Advance(10*time.Minute - 1)
	device.polls().refused(t, "in time", "authorization_pending")
	clock.Advance(1)
	device.polls().refused(t, "after ten minutes", "expired_token")
	alice.presses("decision", "allow").sees(400, "No device waits")
	clock.Advance(10 * time.Minute)
	device.polls().refused(t, "long after", "invalid_grant")
}

// TestDeviceRefused lists requests of devices that are not in order.
func TestDeviceRefused(t *testing.T) {
	server := start(t, devissuer.Config{Clients: append(devissuer.DefaultClients(), another())})
	for _, test := range []struct {
		name, rfc string
		pairs     []string
		want      string
	}{
		{"unknown client", "8628 3.1", []string{"client_id", "nobody"}, "invalid_client"},
		{"no client", "8628 3.1", nil, "invalid_client"},
		{"client without this grant", "6749 5.2", []string{"client_id", "dev-device", "client_secret", "dev-secret"}, "unauthorized_client"},
		{"scope of others", "6749 5.2", []string{"client_id", "linegatectl", "scope", "line:other"}, "invalid_scope"},
	} {
		server.ask("/device_authorization", test.pairs...).refused(t, test.rfc+" "+test.name, test.want)
	}
	server.do("POST", "/device_authorization", "{}").refused(t, "8628 3.1 no form", "invalid_request")

	device := newDevice(t, server)
	for _, test := range []struct {
		name, rfc string
		pairs     []string
		want      string
	}{
		{"no code", "8628 3.4", []string{"device_code", ""}, "invalid_request"},
		{"wrong code", "8628 3.5", []string{"device_code", "x"}, "invalid_grant"},
		{"the user code", "8628 3.5", []string{"device_code", device.userCode}, "invalid_grant"},
		{"another client", "8628 3.5", []string{"client_id", "another"}, "invalid_grant"},
	} {
		device.polls(test.pairs...).refused(t, test.rfc+" "+test.name, test.want)
	}
	device.polls().refused(t, "none of these counts as a poll", "authorization_pending")
}

// TestUserCodesCannotBeGuessed: RFC 8628 section 5.1.
func TestUserCodesCannotBeGuessed(t *testing.T) {
	clock := &clock{now: time.Unix(1_700_000_000, 0)}
	server := start(t, devissuer.Config{Now: clock.Now})
	device := newDevice(t, server)
	eve := newPerson(t, server).opens(device.addressed)
	if strings.Contains(eve.page, "linegatectl") {
		t.Error("a code is told from a wrong one without signing in")
	}
	eve.presses("user", "bob")
	for range 20 {
		eve.opens("/device?user_code=BCDF-GHJK").sees(400, "No device waits", `aria-invalid="true"`)
	}
	eve.opens(device.addressed).sees(429, "too many wrong codes")
	newPerson(t, server).opens(device.addressed).presses("user", "bob").sees(429, "too many wrong codes")
	clock.Advance(time.Minute)
	eve.opens(device.addressed).sees(200, device.userCode)
}

// TestDeviceForms: the decision is guarded as any other, see TestForms.
func TestDeviceForms(t *testing.T) {
	server := start(t, devissuer.Config{})
	device := newDevice(t, server)
	alice := newPerson(t, server).opens(device.addressed).presses("user", "alice")
	page, here := alice.page, alice.at
	alice.page = strings.ReplaceAll(page, `name="form_token" value="`, `name="form_token" value="x`)
	alice.presses("decision", "allow").sees(403, "not from here")
	alice.page, alice.at = page, here
	alice.presses("decision", "maybe").sees(400, "no decision")
	got := server.do("POST", "/device?user_code="+device.userCode, "decision=allow", form, header("Sec-Fetch-Site", "cross-site"))
	if got.status != 403 {
		t.Errorf("from another site: %d", got.status)
	}
	device.polls().refused(t, "after all that", "authorization_pending")
}
