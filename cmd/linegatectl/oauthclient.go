package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/linegate/linegate/client"
)

// oauthClient is this program as a client of one issuer. It is a public one: a
// program on people's machines can keep no secret (RFC 8252 section 8.5).
type oauthClient struct {
	issuer, id string
	transport  http.RoundTripper // nil: the default
	metadata   client.Metadata
}

// issuerTimeout bounds each exchange with the issuer.
const issuerTimeout = 10 * time.Second

// discover finds the issuer's endpoints.
func discover(ctx context.Context, transport http.RoundTripper, issuer, clientID string) (*oauthClient, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	metadata, err := client.Issuer{URL: issuer, Transport: transport}.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	return &oauthClient{issuer, clientID, transport, metadata}, nil
}

// config is x/oauth2's for this client. The style is always set: finding it out
// would spend a code or a refresh token on the attempt.
func (c *oauthClient) config(scope string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: c.id,
		Scopes:   strings.Fields(scope),
		Endpoint: oauth2.Endpoint{
			AuthURL:       c.metadata.AuthorizationEndpoint,
			DeviceAuthURL: c.metadata.DeviceAuthorizationEndpoint,
			TokenURL:      c.metadata.TokenEndpoint,
			AuthStyle:     oauth2.AuthStyleInParams,
		},
	}
}

// bind returns ctx with the HTTP client that x/oauth2 shall use: one that
// follows no redirect, and whose requests end with ctx, which x/oauth2 sees to
// for all but one of them.
func (c *oauthClient) bind(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport:     bound{ctx, c.transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
}

type bound struct {
	ctx  context.Context
	next http.RoundTripper // nil: the default
}

func (b bound) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	if r.Context().Done() == nil {
		r = r.WithContext(b.ctx)
	}
	return next.RoundTrip(r)
}

// extras are the parameters of a request beyond RFC 6749: some issuers want an
// audience, RFC 8707 has resource.
func (l login) extras() []oauth2.AuthCodeOption {
	var extras []oauth2.AuthCodeOption
	if l.Audience != "" {
		extras = append(extras, oauth2.SetAuthURLParam("audience", l.Audience))
	}
	if l.Resource != "" {
		extras = append(extras, oauth2.SetAuthURLParam("resource", l.Resource))
	}
	return extras
}

// refresh gets new tokens for l (RFC 6749 section 6); the refresh token stays
// the same where the answer has none. A refusal is a *refusal.
func (c *oauthClient) refresh(ctx context.Context, l login) (login, error) {
	// x/oauth2's own refresh takes no extras. Here the code is empty, which is
	// as good as left out (RFC 6749 section 3.2).
	options := append(l.extras(),
		oauth2.SetAuthURLParam("grant_type", "refresh_token"),
		oauth2.SetAuthURLParam("refresh_token", l.RefreshToken),
	)
	token, err := c.config("").Exchange(c.bind(ctx), "", options...)
	if err != nil {
		return l, answered("token", err, l.RefreshToken)
	}
	return l.granted(token, time.Now())
}

// errNoRevocation is an issuer that has no such endpoint.
var errNoRevocation = errors.New("the issuer offers no revocation")

// revoke ends l at the issuer (RFC 7009 section 2.1): with its refresh token,
// where there is one, the issuer ends all that came of it.
func (c *oauthClient) revoke(ctx context.Context, l login) error {
	if c.metadata.RevocationEndpoint == "" {
		return errNoRevocation
	}
	token, hint := l.RefreshToken, "refresh_token"
	if token == "" {
		token, hint = l.AccessToken, "access_token"
	}
	form := url.Values{"token": {token}, "token_type_hint": {hint}, "client_id": {c.id}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.metadata.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{
		Transport:     c.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the revocation endpoint answered HTTP %d", resp.StatusCode)
	}
	return nil
}

// refusal is an endpoint's answer that is none of success (RFC 6749 section
// 5.2).
type refusal struct {
	code string // the member error, such as invalid_grant; may be empty
	text string
}

func (r *refusal) Error() string { return r.text }

// answered puts an error of x/oauth2 into words that quote none of the secrets
// that were sent, and no body of an answer, as its own may do.
func answered(endpoint string, err error, secrets ...string) error {
	r, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return fmt.Errorf("%s endpoint: %w", endpoint, err)
	}
	text := fmt.Sprintf("the %s endpoint answered HTTP %d", endpoint, r.Response.StatusCode)
	if r.ErrorCode != "" {
		text += " " + brief(redacted(r.ErrorCode, secrets), true)
	}
	if r.ErrorDescription != "" {
		text += ": " + brief(redacted(r.ErrorDescription, secrets), true)
	}
	return &refusal{r.ErrorCode, text}
}

func redacted(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.NewReplacer(secret, "<secret>", url.QueryEscape(secret), "<secret>").Replace(text)
		}
	}
	return text
}
