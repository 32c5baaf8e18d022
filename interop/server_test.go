package interop

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// server is an authorization server, as its metadata describes it.
type server struct {
	t      *testing.T
	issuer string
	http   *http.Client // never follows a redirect

	Authorization       string `json:"authorization_endpoint"`
	Token               string `json:"token_endpoint"`
	DeviceAuthorization string `json:"device_authorization_endpoint"`
	Revocation          string `json:"revocation_endpoint"`
	JWKS                string `json:"jwks_uri"`
}

// startProvider runs oidc-provider, whose access tokens live so many seconds.
func startProvider(t *testing.T, lifetime int) *server {
	t.Helper()
	provider := start(t, "node", "oidc-provider.mjs", strconv.Itoa(lifetime))
	return discover(t, provider.line(`^{"issuer":"(.*)"}$`)[1])
}

// discover reads the metadata of RFC 8414.
func discover(t *testing.T, issuer string) *server {
	t.Helper()
	s := &server{t: t, issuer: issuer, http: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	response, err := s.http.Get(issuer + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(s); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("metadata of %s: HTTP %d, %v", issuer, response.StatusCode, err)
	}
	return s
}

// answer is what the token and the device authorization endpoint say.
type answer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope"`
	ExpiresIn    int    `json:"expires_in"`

	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	Interval                int    `json:"interval"`

	Error string `json:"error"`
}

// robot authenticates the confidential client of the provider.
func robot(r *http.Request) {
	r.SetBasicAuth(url.QueryEscape("robot"), url.QueryEscape("not+so%secret: a&b=c/d"))
}

// post sends a form, name=value each, to an endpoint; as is nil for a public
// client. An answer may be a refusal; what is neither fails the test.
func (s *server) post(endpoint string, as func(*http.Request), params ...string) answer {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, endpoint, strings.NewReader(form(params).Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if as != nil {
		as(request)
	}
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var a answer
	err = json.NewDecoder(response.Body).Decode(&a)
	if err != nil || (response.StatusCode == http.StatusOK) != (a.Error == "") {
		s.t.Fatalf("%s: HTTP %d, error %q, %v", endpoint, response.StatusCode, a.Error, err)
	}
	return a
}

// granted is post of what must be granted.
func (s *server) granted(endpoint string, as func(*http.Request), params ...string) answer {
	s.t.Helper()
	a := s.post(endpoint, as, params...)
	if a.Error != "" {
		s.t.Fatalf("%s: refused: %s", endpoint, a.Error)
	}
	return a
}

// refused is post of what must be refused with that error.
func (s *server) refused(want, endpoint string, as func(*http.Request), params ...string) {
	s.t.Helper()
	if a := s.post(endpoint, as, params...); a.Error != want {
		s.t.Fatalf("%s: error %q, want %q", endpoint, a.Error, want)
	}
}

// authorize returns the address to which the client linegatectl sends a person
// (RFC 6749 section 4.1.1), and the verifier that redeems the code (RFC 7636).
func (s *server) authorize(redirect, state string) (address, verifier string) {
	verifier = rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	params := form([]string{
		"response_type=code", "client_id=linegatectl", "redirect_uri=" + redirect, "scope=line:connect", "state=" + state,
		"code_challenge_method=S256", "code_challenge=" + base64.RawURLEncoding.EncodeToString(challenge[:]),
	})
	return s.Authorization + "?" + params.Encode(), verifier
}

// exchange redeems a code that must be good.
func (s *server) exchange(redirect, verifier, code string) answer {
	s.t.Helper()
	return s.granted(s.Token, nil, "grant_type=authorization_code", "client_id=linegatectl",
		"redirect_uri="+redirect, "code="+code, "code_verifier="+verifier)
}

// control asks oidc-provider.mjs to rotate or to retire its keys.
func (s *server) control(action string) {
	s.t.Helper()
	response, err := s.http.Post(s.issuer+"/control/"+action, "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: HTTP %d", action, response.StatusCode)
	}
}

// pollDevice asks for the device's token as RFC 8628 section 3.5 has it, until
// it is there.
func (s *server) pollDevice(clientID string, granted answer) answer {
	s.t.Helper()
	interval := time.Duration(max(granted.Interval, 1)) * time.Second
	for turn := time.NewTicker(interval); ; <-turn.C {
		a := s.post(s.Token, nil, "grant_type=urn:ietf:params:oauth:grant-type:device_code",
			"client_id="+clientID, "device_code="+granted.DeviceCode)
		switch a.Error {
		case "authorization_pending":
		case "":
			return a
		default:
			s.t.Fatalf("device token: %s", a.Error)
		}
	}
}

func form(params []string) url.Values {
	values := url.Values{}
	for _, param := range params {
		name, value, _ := strings.Cut(param, "=")
		values.Add(name, value)
	}
	return values
}
