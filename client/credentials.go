package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// CredentialsConfig says how to get a token with the client's own credentials
// (RFC 6749 section 4.4). ClientID and one of Issuer and TokenURL are required.
type CredentialsConfig struct {
	// Issuer is the authorization server; its token endpoint is found by
	// RFC 8414, and where that fails by OpenID Connect Discovery.
	Issuer string
	// TokenURL is the token endpoint itself; then Issuer is not asked.
	TokenURL string

	ClientID     string
	ClientSecret string
	// Post sends id and secret in the form instead of in an Authorization
	// header (RFC 6749 section 2.3.1 prefers the header).
	Post bool

	Scopes []string   // none: the server's default
	Params url.Values // further form parameters, such as audience or resource (RFC 8707)

	// InsecureHTTP allows http:// for a host that is not loopback, where the
	// secret and the token would cross the network readable.
	InsecureHTTP bool
	// Transport does the requests; default http.DefaultTransport. Redirects
	// are never followed.
	Transport http.RoundTripper
}

// ClientCredentials is a TokenSource that asks a token endpoint. It keeps a
// token until shortly before it expires: a tenth of its life, at most 30 s. A
// token that comes without expires_in is not kept.
type ClientCredentials struct {
	cfg    CredentialsConfig
	client *http.Client

	turn     chan struct{} // full while somebody uses what follows
	endpoint string        // empty until discovered
	token    string
	until    time.Time // token is handed out again before this
}

// Limits of a request to the issuer.
const (
	issuerTimeout = 10 * time.Second
	maxIssuerBody = 256 << 10
)

// NewClientCredentials checks cfg and returns the source; it asks nobody yet.
// What can never work is an ErrConfig.
func NewClientCredentials(cfg CredentialsConfig) (*ClientCredentials, error) {
	server := cmp.Or(cfg.TokenURL, cfg.Issuer)
	switch {
	case server == "":
		return nil, fmt.Errorf("%w: neither an issuer nor a token URL", ErrConfig)
	case cfg.ClientID == "":
		return nil, fmt.Errorf("%w: no client id", ErrConfig)
	}
	if err := checkURL(server, cfg.InsecureHTTP); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &ClientCredentials{
		cfg: cfg,
		client: &http.Client{
			Transport: cfg.Transport,
			// A redirect would carry the secret somewhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		turn:     make(chan struct{}, 1),
		endpoint: cfg.TokenURL,
	}, nil
}

// Token returns the kept token, or asks for one. One request is under way at a
// time, for at most 10 s. A refusal is a *TokenError.
func (s *ClientCredentials) Token(ctx context.Context, fresh bool) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if !fresh && time.Now().Before(s.until) {
		return s.token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	if s.endpoint == "" {
		endpoint, err := s.discover(ctx)
		if err != nil {
			return "", err
		}
		s.endpoint = endpoint
	}
	granted, err := s.request(ctx)
	if err != nil {
		if _, answered := errors.AsType[*TokenError](err); !answered {
			s.endpoint = s.cfg.TokenURL // perhaps it moved: discover again
		}
		return "", err
	}
	s.token = granted.token
	s.until = time.Now().Add(granted.life - min(granted.life/10, 30*time.Second))
	return s.token, nil
}

// String keeps secret and token out of logs.
func (s *ClientCredentials) String() string {
	return "client credentials of " + s.cfg.ClientID
}

// GoString keeps secret and token out of logs.
func (s *ClientCredentials) GoString() string { return s.String() }

// TokenError is the token endpoint's refusal (RFC 6749 section 5.2).
type TokenError struct {
	Status      int    // of HTTP
	Code        string // the member error, such as invalid_client; may be empty
	Description string // the member error_description; may be empty
}

// Error describes the refusal for a person. What the server sent is bounded
// and escaped.
func (e *TokenError) Error() string {
	s := fmt.Sprintf("the token endpoint answered HTTP %d", e.Status)
	if e.Code != "" {
		s += " " + printable(e.Code)
	}
	if e.Description != "" {
		s += ": " + printable(e.Description)
	}
	return s
}

type grant struct {
	token string
	life  time.Duration // 0 when unknown
}

// request does the client credentials grant.
func (s *ClientCredentials) request(ctx context.Context) (grant, error) {
	form := url.Values{}
	for name, values := range s.cfg.Params {
		form[name] = values
	}
	form.Set("grant_type", "client_credentials")
	if len(s.cfg.Scopes) > 0 {
		form.Set("scope", strings.Join(s.cfg.Scopes, " "))
	}
	if s.cfg.Post {
		form.Set("client_id", s.cfg.ClientID)
		form.Set("client_secret", s.cfg.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return grant{}, fmt.Errorf("token endpoint: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if !s.cfg.Post {
		// RFC 6749 section 2.3.1: both halves are form-encoded first.
		req.SetBasicAuth(url.QueryEscape(s.cfg.ClientID), url.QueryEscape(s.cfg.ClientSecret))
	}
	status, answer, err := s.do(req)
	if err != nil {
		return grant{}, fmt.Errorf("token endpoint: %w", err)
	}
	if status != http.StatusOK {
		return grant{}, &TokenError{
			Status:      status,
			Code:        s.redacted(text(answer, "error")),
			Description: s.redacted(text(answer, "error_description")),
		}
	}
	return readGrant(answer)
}

// readGrant reads a successful answer (RFC 6749 section 5.1).
func readGrant(answer map[string]any) (grant, error) {
	token := text(answer, "access_token")
	if err := checkToken(token); err != nil {
		return grant{}, fmt.Errorf("token endpoint: access_token: %w", err)
	}
	// A type that the client does not know must not be used (section 7.1).
	if kind := text(answer, "token_type"); !strings.EqualFold(kind, "Bearer") {
		return grant{}, fmt.Errorf("token endpoint: token_type is %q, want Bearer", printable(kind))
	}
	return grant{token, seconds(answer["expires_in"])}, nil
}

// seconds reads expires_in, which some servers write as a string.
func seconds(value any) time.Duration {
	n, err := strconv.ParseFloat(fmt.Sprint(value), 64)
	const most = 10 * 365 * 24 * 3600
	if err != nil || !(n > 0) {
		return 0
	}
	return time.Duration(min(n, most) * float64(time.Second))
}

// discover finds the token endpoint in the issuer's metadata.
func (s *ClientCredentials) discover(ctx context.Context) (string, error) {
	issuer, err := url.Parse(s.cfg.Issuer)
	if err != nil { // checked by NewClientCredentials
		return "", fmt.Errorf("issuer: %w", err)
	}
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	base := issuer.Scheme + "://" + issuer.Host
	endpoint, err := s.metadata(ctx, base+"/.well-known/oauth-authorization-server"+path)
	if err == nil {
		return endpoint, nil
	}
	endpoint, oidcErr := s.metadata(ctx, base+path+"/.well-known/openid-configuration")
	if oidcErr != nil {
		return "", fmt.Errorf("issuer %s: no metadata: %w", s.cfg.Issuer, oneOf(err, oidcErr))
	}
	return endpoint, nil
}

// oneOf is for two attempts at one server: that the second found nothing
// either says less than why the first failed, unless that found nothing.
func oneOf(first, second error) error {
	if errors.Is(first, errNotFound) {
		return second
	}
	return first
}

var errNotFound = errors.New("not found")

// metadata reads one metadata document (RFC 8414 section 3.2).
func (s *ClientCredentials) metadata(ctx context.Context, address string) (endpoint string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json")
	status, doc, err := s.do(req)
	switch {
	case err != nil:
		return "", err
	case status == http.StatusNotFound:
		return "", fmt.Errorf("%s: %w", address, errNotFound)
	case status != http.StatusOK:
		return "", fmt.Errorf("%s: HTTP %d", address, status)
	case text(doc, "issuer") != s.cfg.Issuer: // section 3.3
		return "", fmt.Errorf("%s: names another issuer, %q", address, printable(text(doc, "issuer")))
	}
	endpoint = text(doc, "token_endpoint")
	if err := checkURL(endpoint, s.cfg.InsecureHTTP); err != nil {
		return "", fmt.Errorf("%s: token_endpoint: %w", address, err)
	}
	return endpoint, nil
}

// do sends req and reads a JSON object. An answer other than 200 needs not be
// one.
func (s *ClientCredentials) do(req *http.Request) (status int, object map[string]any, err error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuerBody+1))
	switch {
	case err != nil:
		return 0, nil, err
	case len(body) > maxIssuerBody:
		return 0, nil, fmt.Errorf("the answer is longer than %d bytes", maxIssuerBody)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	err = json.Unmarshal(body, &object)
	if resp.StatusCode == http.StatusOK && (err != nil || kind != "application/json") {
		// The decoder's error could quote the body, and with it a token.
		return 0, nil, fmt.Errorf("the answer of %s is not a JSON object", req.URL.Host)
	}
	return resp.StatusCode, object, nil
}

func text(object map[string]any, name string) string {
	s, _ := object[name].(string)
	return s
}

// redacted takes the secret out of what a server says, should it quote it.
func (s *ClientCredentials) redacted(text string) string {
	if s.cfg.ClientSecret == "" {
		return text
	}
	return strings.NewReplacer(
		s.cfg.ClientSecret, "<secret>",
		url.QueryEscape(s.cfg.ClientSecret), "<secret>",
	).Replace(text)
}

// checkURL refuses what a secret must not be sent to.
func checkURL(address string, insecureHTTP bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a URL", printable(address))
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("%q: want https://host/path", printable(address))
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q: user or fragment in a URL", printable(u.Redacted()))
	case u.Scheme == "http" && !insecureHTTP && !IsLoopback(u.Hostname()):
		return fmt.Errorf("%q: http is for loopback only, the secret would be sent readable", printable(address))
	}
	return nil
}
