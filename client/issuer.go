package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Issuer is an authorization server whose endpoints are to be found. URL is
// required.
type Issuer struct {
	URL string // as tokens have it in iss
	// InsecureHTTP allows http:// for a host that is not loopback, where what
	// is sent would cross the network readable.
	InsecureHTTP bool
	// Transport does the requests; default http.DefaultTransport. Redirects
	// are never followed.
	Transport http.RoundTripper
}

// Metadata is what an authorization server says about itself (RFC 8414 section
// 2), as far as clients need it. Each endpoint is an https URL, or http as
// Issuer allows it. TokenEndpoint is always there; another that the server does
// not name, or that must not be used, is empty.
type Metadata struct {
	TokenEndpoint               string
	AuthorizationEndpoint       string
	DeviceAuthorizationEndpoint string   // RFC 8628 section 4
	RevocationEndpoint          string   // RFC 7009
	ChallengeMethods            []string // of PKCE, RFC 7636
	IssInResponse               bool     // authorization responses have iss, RFC 9207
}

// Metadata finds the document by RFC 8414, and where that fails by OpenID
// Connect Discovery. A URL that can never work is an ErrConfig. There is no
// time-out but ctx's.
func (i Issuer) Metadata(ctx context.Context) (Metadata, error) {
	if err := checkURL(i.URL, i.InsecureHTTP); err != nil {
		return Metadata{}, fmt.Errorf("%w: issuer: %w", ErrConfig, err)
	}
	issuer, err := url.Parse(i.URL)
	if err != nil {
		return Metadata{}, fmt.Errorf("%w: issuer: %w", ErrConfig, err)
	}
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	base := issuer.Scheme + "://" + issuer.Host
	found, err := i.document(ctx, base+"/.well-known/oauth-authorization-server"+path)
	if err == nil {
		return found, nil
	}
	found, oidcErr := i.document(ctx, base+path+"/.well-known/openid-configuration")
	if oidcErr != nil {
		return Metadata{}, fmt.Errorf("issuer %s: no metadata: %w", i.URL, oneOf(err, oidcErr))
	}
	return found, nil
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

// document reads one metadata document (RFC 8414 section 3.2).
func (i Issuer) document(ctx context.Context, address string) (Metadata, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Metadata{}, err
	}
	req.Header.Set("Accept", "application/json")
	status, doc, err := do(direct(i.Transport), req)
	switch {
	case err != nil:
		return Metadata{}, err
	case status == http.StatusNotFound:
		return Metadata{}, fmt.Errorf("%s: %w", address, errNotFound)
	case status != http.StatusOK:
		return Metadata{}, fmt.Errorf("%s: HTTP %d", address, status)
	case text(doc, "issuer") != i.URL: // section 3.3
		return Metadata{}, fmt.Errorf("%s: names another issuer, %q", address, printable(text(doc, "issuer")))
	}
	tokenEndpoint := text(doc, "token_endpoint")
	if err := checkURL(tokenEndpoint, i.InsecureHTTP); err != nil {
		return Metadata{}, fmt.Errorf("%s: token_endpoint: %w", address, err)
	}
	issInResponse, _ := doc["authorization_response_iss_parameter_supported"].(bool)
	return Metadata{
		TokenEndpoint:               tokenEndpoint,
		AuthorizationEndpoint:       i.usable(doc, "authorization_endpoint"),
		DeviceAuthorizationEndpoint: i.usable(doc, "device_authorization_endpoint"),
		RevocationEndpoint:          i.usable(doc, "revocation_endpoint"),
		ChallengeMethods:            texts(doc, "code_challenge_methods_supported"),
		IssInResponse:               issInResponse,
	}, nil
}

// usable returns an endpoint, or nothing: a fault in one that is perhaps never
// needed must not keep a robot from its token.
func (i Issuer) usable(doc map[string]any, name string) string {
	endpoint := text(doc, name)
	if checkURL(endpoint, i.InsecureHTTP) != nil {
		return ""
	}
	return endpoint
}

// direct is an HTTP client that follows no redirect: it would carry a secret
// somewhere else.
func direct(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// maxIssuerBody bounds an answer of an issuer, in bytes.
const maxIssuerBody = 256 << 10

// do sends req and reads a JSON object. An answer other than 200 needs not be
// one.
func do(client *http.Client, req *http.Request) (status int, object map[string]any, err error) {
	resp, err := client.Do(req)
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

func texts(object map[string]any, name string) []string {
	values, _ := object[name].([]any)
	var all []string
	for _, value := range values {
		if s, ok := value.(string); ok {
			all = append(all, s)
		}
	}
	return all
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
