package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/linegate/linegate/internal/devissuer"
)

// The login ends here in any case; where it does not end at the issuer, a
// warning says so.
func TestLogout(t *testing.T) {
	for name, test := range map[string]struct {
		breaks  func(*observed)
		warning string // after "not revoked at the issuer: "
	}{
		"revoked": {func(*observed) {}, ""},
		"endpoint fails": {
			func(o *observed) { o.fail("/revoke", answerWith(503, `{}`)) },
			"the revocation endpoint answered HTTP 503",
		},
		"not offered": {
			func(o *observed) {
				o.fail("/.well-known/oauth-authorization-server", answerWith(200, `{"issuer":"`+o.url+`","token_endpoint":"`+o.url+`/token"}`))
			},
			"the issuer offers no revocation",
		},
		"offline": {
			func(o *observed) {
				hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
				o.fail("/.well-known/oauth-authorization-server", hangUp)
				o.fail("/.well-known/openid-configuration", hangUp)
			},
			"issuer ISSUER: no metadata: Get \"ISSUER/.well-known/oauth-authorization-server\": EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := observedIssuer(t, devissuer.Config{})
			environ, store := loggedIn(t, issuer)
			before, err := store.find(issuer.url, loginClient)
			if err != nil {
				t.Fatal(err)
			}
			test.breaks(issuer)
			got := runWith(t, environ, "", "logout", "--issuer", issuer.url)
			want := result{stdout: "Logged out: alice at " + issuer.url + "\n"}
			if test.warning != "" {
				want.stderr = "linegatectl: warning: the tokens are deleted here, but not revoked at the issuer: " +
					strings.ReplaceAll(test.warning, "ISSUER", issuer.url) + "\n"
			}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			issuer.wantNoSecret(t, got.stdout+got.stderr)
			if after, err := store.find(issuer.url, ""); after != nil || err != nil {
				t.Errorf("still there: %v, %v", after, err)
			}
			// Whoever has copied the refresh token has no use of it.
			issuer.fail("/.well-known/oauth-authorization-server", nil)
			oauth, err := discover(t.Context(), nil, issuer.url, loginClient)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = oauth.refresh(t.Context(), *before); (err != nil) != (test.warning == "") {
				t.Errorf("refreshed after that: %v", err)
			}
		})
	}
}

// Logging out twice is no failure.
func TestLogoutTwice(t *testing.T) {
	if got := run(t, "", "logout"); got != (result{stdout: "There is no login at http://127.0.0.1:8880.\n"}) {
		t.Errorf("%+v", got)
	}
}
