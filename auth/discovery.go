package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// discover finds where the issuer's keys are: by OAuth's metadata (RFC 8414
// section 3), and on any failure by OpenID Connect's (Discovery 1.0, section
// 4), in the time given.
func (f *fetcher) discover(ctx context.Context, within time.Duration) (jwksURI string, failure *fetchError) {
	oauth, openID := discoveryURLs(f.issuer)
	// Half of the time, so that one address that hangs leaves some for the
	// other.
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	half, cancel := context.WithTimeout(ctx, within/2)
	defer cancel()
	jwksURI, first := f.readMetadata(half, oauth)
	if first == nil {
		return jwksURI, nil
	}
	jwksURI, failure = f.readMetadata(ctx, openID)
	if failure != nil {
		failure.cause = fmt.Errorf("discovery: oauth-authorization-server: %w; openid-configuration: %w", first.cause, failure.cause)
		failure.retryAfter = max(failure.retryAfter, first.retryAfter)
	}
	return jwksURI, failure
}

// discoveryURLs returns where an issuer's metadata is: RFC 8414 puts the well-
// known part before the issuer's path, OpenID Connect behind it, both without a
// slash at its end.
func discoveryURLs(issuer string) (oauth, openID string) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", "" // not reached: the configuration was checked
	}
	base := u.Scheme + "://" + u.Host
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return base + "/.well-known/oauth-authorization-server" + path,
		base + path + "/.well-known/openid-configuration"
}

var (
	errOtherIssuer = errors.New("the document names another issuer")
	errNoJWKSURI   = errors.New("the document has no jwks_uri")
	errDowngrade   = errors.New("jwks_uri: http:// from an issuer at https:// is allowed only if insecure_http is true")
)

// readMetadata believes a document only if it names the very issuer that it was
// asked about (RFC 8414 section 3.3).
func (f *fetcher) readMetadata(ctx context.Context, address string) (string, *fetchError) {
	doc, _, failure := f.get(ctx, address)
	if failure != nil {
		return "", failure
	}
	jwksURI, err := f.parseMetadata(doc)
	if err != nil {
		return "", &fetchError{result: resultInvalid, host: hostOf(address), cause: err}
	}
	return jwksURI, nil
}

func (f *fetcher) parseMetadata(doc []byte) (string, error) {
	members, err := parseObject(doc)
	if err != nil {
		return "", err
	}
	issuer, _, err := members.text("issuer")
	if err != nil || issuer != f.issuer {
		return "", errOtherIssuer
	}
	jwksURI, _, err := members.text("jwks_uri")
	if err != nil || jwksURI == "" {
		return "", errNoJWKSURI
	}
	return jwksURI, f.checkFound(jwksURI)
}

// checkFound tells whether keys may be asked for at an address that discovery
// found.
func (f *fetcher) checkFound(jwksURI string) error {
	if err := f.checkURL(jwksURI); err != nil {
		return fmt.Errorf("jwks_uri: %w", err)
	}
	if !f.insecure && isHTTPS(f.issuer) && !isHTTPS(jwksURI) {
		return errDowngrade
	}
	return nil
}
