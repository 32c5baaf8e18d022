package admin

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linegate/linegate/auth/authtest"
)

// The answers of RFC 6750 section 3, over real HTTP, and what the log says.
func TestBearer(t *testing.T) {
	const challenge = `Bearer realm="linegate"`
	s := serve(t)
	good := s.token()
	foreigner := authtest.New(t, authtest.Named("other"))
	for _, test := range []struct {
		name          string
		path          string
		authorization []string
		status        int
		challenge     string // WWW-Authenticate
		code          string // error of the body; empty: no body
		outcome       string // in the log; empty: none
	}{
		{"a good token", "", []string{"Bearer " + good}, 200, "", "", ""},
		{"in another case", "", []string{"bEARER " + good}, 200, "", "", ""},
		{"behind several spaces", "", []string{"Bearer   " + good}, 200, "", "", ""},

		{"nothing", "", nil, 401, challenge, "", "format"},
		{"an empty header", "", []string{""}, 401, challenge, "", "format"},
		{"another scheme", "", []string{"Basic YWxpY2U6c2VjcmV0"}, 401, challenge, "", "format"},
		{"a token without a scheme", "", []string{good}, 401, challenge, "", "format"},
		{"nothing, and no such path", "/v1/secrets", nil, 401, challenge, "", "format"},

		{"a scheme without a token", "", []string{"Bearer"}, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},
		{"two tokens", "", []string{"Bearer " + good + " " + good}, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},
		{"two headers", "", []string{"Bearer " + good, "Bearer " + good}, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},
		{"a list", "", []string{"Bearer " + good + ", Basic eDp5"}, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},
		{"bytes that no token has", "", []string{"Bearer " + good[:9] + "\x80"}, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},
		{"padding alone", "", []string{"Bearer =="}, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},
		{"a token in the address", "/v1/sessions?access_token=" + good, nil, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},
		{"a token in both", "/v1/sessions?access_token=" + good, []string{"Bearer " + good}, 400, challenge + `, error="invalid_request"`, "invalid_request", "format"},

		{"no JWT", "", []string{"Bearer abc+/~=="}, 401, challenge + `, error="invalid_token"`, "invalid_token", "format"},
		{"expired", "", []string{"Bearer " + s.token(authtest.ExpiresIn(-time.Second))}, 401, challenge + `, error="invalid_token"`, "invalid_token", "expired"},
		{"for somebody else", "", []string{"Bearer " + s.token(authtest.Claim("aud", "other"))}, 401, challenge + `, error="invalid_token"`, "invalid_token", "audience"},
		{"forged", "", []string{"Bearer " + s.token(authtest.ForgedBy(s.issuer.NewKey()))}, 401, challenge + `, error="invalid_token"`, "invalid_token", "signature"},
		{"of an issuer that grants nothing here", "", []string{"Bearer " + foreigner.Token()}, 401, challenge + `, error="invalid_token"`, "invalid_token", "issuer"},
		{
			"bound to a certificate, in clear", "",
			[]string{"Bearer " + s.token(authtest.Claim("cnf", map[string]string{"x5t#S256": strings.Repeat("A", 43)}))},
			401, challenge + `, error="invalid_token"`, "invalid_token", "binding",
		},

		{
			"a device's", "",
			[]string{"Bearer " + s.issuer.Token()},
			403,
			challenge + `, error="insufficient_scope", scope="linegate:admin linegate:write"`, "insufficient_scope", "scope",
		},
		{
			"with one scope of two", "",
			[]string{"Bearer " + s.token(authtest.Claim("scope", "linegate:admin"))},
			403,
			challenge + `, error="insufficient_scope", scope="linegate:admin linegate:write"`, "insufficient_scope", "scope",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := cmp.Or(test.path, "/v1/sessions")
			s.log.Take()
			got := s.send("GET", path, "", http.Header{"Authorization": test.authorization})
			if got.StatusCode != test.status || got.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s, WWW-Authenticate: %s", got.Status, got.Header.Get("WWW-Authenticate"))
			}
			if code := ""; test.status != http.StatusOK {
				if got.text != "" {
					code, _ = got.problem()
				}
				if code != test.code {
					t.Errorf("error %q in %s", code, got.text)
				}
			}
			checkRefusal(t, s.log.Take(), test.outcome)
		})
	}
}

// A token in the body counts for nothing (RFC 6750 section 2.2 is not offered).
func TestTokenInForm(t *testing.T) {
	s := serve(t)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	got := s.send("POST", "/v1/revocations", "access_token="+s.token(), form)
	if got.StatusCode != http.StatusUnauthorized || got.Header.Get("WWW-Authenticate") != `Bearer realm="linegate"` || got.text != "" {
		t.Errorf("%s %v %s", got.Status, got.Header, got.text)
	}
	checkRefusal(t, s.log.Take(), "format")
}

// checkRefusal reads the record of a refusal, which has its outcome and no part
// of a token.
func checkRefusal(t *testing.T, logged, outcome string) {
	t.Helper()
	if outcome == "" {
		if logged != "" {
			t.Errorf("logged %s", logged)
		}
		return
	}
	for _, want := range []string{`"msg":"admin request refused"`, `"outcome":"` + outcome + `"`, `"remote":"127.0.0.1:`} {
		if !strings.Contains(logged, want) {
			t.Errorf("no %s in %q", want, logged)
		}
	}
	if strings.Count(logged, "\n") != 1 || strings.Contains(logged, "eyJ") {
		t.Errorf("logged %s", logged)
	}
}

// Without keys a token is neither good nor bad: come again.
func TestKeysUnavailable(t *testing.T) {
	s := serve(t)
	token := s.token()
	s.issuer.Remove(s.issuer.SigningKey().ID)
	got := s.send("GET", "/v1/sessions", "", http.Header{"Authorization": {"Bearer " + token}})
	if code, _ := got.problem(); got.StatusCode != http.StatusServiceUnavailable || code != "temporarily_unavailable" ||
		got.Header.Get("Retry-After") != "1" || got.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s %v %s", got.Status, got.Header, got.text)
	}
	checkRefusal(t, s.log.Take(), "keys_unavailable")
}
