package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// The pages of the development issuer, as a person meets them: with the mouse,
// and without one.
func TestPages(t *testing.T) {
	issuer, gateway := startDev(t)
	s := discover(t, issuer)
	for by, press := range map[string]func(c *chrome, button string){
		"mouse":    (*chrome).clicks,
		"keyboard": (*chrome).enters,
	} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			c := openChromium(t)
			press := func(button string) {
				t.Helper()
				press(c, button)
			}
			shoot := func(page string) {
				t.Helper()
				if by == "mouse" { // once is enough
					c.shoots(page)
				}
			}

			// A login, denied at first.
			app := newApplication(t)
			address, _ := s.authorize(app.redirect, "first")
			c.opens(address)
			c.sees("linegatectl")
			shoot("sign-in")
			press("Alice")
			c.sees("linegatectl")
			c.sees("line:connect")
			shoot("consent")
			press("Deny")
			if back := app.back(); back.Get("error") != "access_denied" || back.Get("state") != "first" || back.Has("code") {
				t.Errorf("denied, the browser is sent back with %v", back)
			}
			shoot("denied")

			// She is still signed in.
			address, verifier := s.authorize(app.redirect, "second")
			c.opens(address)
			c.sees("Alice")
			press("Allow")
			back := app.back()
			if back.Get("state") != "second" || back.Get("iss") != issuer || back.Has("error") {
				t.Errorf("allowed, the browser is sent back with state %q, iss %q, error %q", back.Get("state"), back.Get("iss"), back.Get("error"))
			}
			shoot("allowed")
			granted := s.exchange(app.redirect, verifier, back.Get("code"))
			wantAccepted(t, gateway, granted.AccessToken, "alice")

			// A device, by somebody else.
			pending := s.granted(s.DeviceAuthorization, nil, "client_id=linegatectl")
			c.opens(pending.VerificationURI)
			shoot("device-code")
			c.types(pending.UserCode) // the field has the focus
			press("Continue")
			press("I am not Alice")
			press("Bob")
			c.sees(pending.UserCode)
			shoot("device-consent")
			press("Allow")
			shoot("device-allowed")
			wantAccepted(t, gateway, s.pollDevice("linegatectl", pending).AccessToken, "bob")

			pending = s.granted(s.DeviceAuthorization, nil, "client_id=linegatectl")
			c.opens(pending.VerificationURIComplete)
			c.sees(pending.UserCode)
			press("Deny")
			shoot("device-denied")
			s.refused("access_denied", s.Token, nil, "grant_type=urn:ietf:params:oauth:grant-type:device_code",
				"client_id=linegatectl", "device_code="+pending.DeviceCode)
		})
	}
}

// The control page: a click rotates the keys, and the gateway follows.
func TestControlPage(t *testing.T) {
	issuer, gateway := startDev(t)
	s := discover(t, issuer)
	token := func() string {
		t.Helper()
		return s.granted(s.Token, func(r *http.Request) { r.SetBasicAuth("dev-device", "dev-secret") }, "grant_type=client_credentials").AccessToken
	}
	kid := func(token string) string {
		t.Helper()
		header, _ := decode(t, token)
		return header["kid"].(string)
	}
	before := token()
	c := openChromium(t)
	c.opens(issuer + "/dev/")
	c.sees(kid(before))
	c.clicks("Rotate the keys")
	after := token()
	if kid(after) == kid(before) {
		t.Error("the same key signs after the rotation")
	}
	c.sees(kid(after))
	c.shoots("control")
	wantAccepted(t, gateway, after, "dev-device")
	wantAccepted(t, gateway, before, "dev-device")
}

// application is the client's redirect URI, where a browser comes back to.
type application struct {
	t        *testing.T
	redirect string
	visits   chan url.Values
}

func newApplication(t *testing.T) *application {
	t.Helper()
	a := &application{t: t, visits: make(chan url.Values, 1)}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			w.WriteHeader(http.StatusNoContent) // the browser's own wishes: an icon
			return
		}
		a.visits <- r.URL.Query()
		_, _ = fmt.Fprint(w, "<!doctype html><title>Application</title>Back at the application.")
	}))
	t.Cleanup(web.Close)
	a.redirect = web.URL + "/callback"
	return a
}

// back is what the browser, which has loaded the page, was sent back with.
func (a *application) back() url.Values {
	a.t.Helper()
	select {
	case params := <-a.visits:
		return params
	default:
		a.t.Fatal("the browser was not sent back")
		return nil
	}
}
