package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// issuerTimeout bounds the way to a token: discovery and request.
const issuerTimeout = 10 * time.Second

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
		cfg:      cfg,
		client:   direct(cfg.Transport),
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
		issuer := Issuer{URL: s.cfg.Issuer, InsecureHTTP: s.cfg.InsecureHTTP, Transport: s.cfg.Transport}
		metadata, err := issuer.Metadata(ctx)
		if err != nil {
			return "", err
		}
		s.endpoint = metadata.TokenEndpoint
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
	status, answer, err := do(s.client, req)
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
