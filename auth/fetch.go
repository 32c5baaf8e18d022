package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// fetcher gets one issuer's key set over HTTP. It is used by one goroutine.
type fetcher struct {
	client   *http.Client
	timeout  time.Duration
	issuer   string
	insecure bool
	jwksURI  string // as configured; empty: discovered
	found    string // by the last good discovery; empty: there was none
	// foundAt is when, zero when the keys may have moved since.
	foundAt time.Time
}

// foundFor is how long an address is believed that discovery found: an issuer
// that moved its keys may go on serving those of old.
const foundFor = time.Hour

// maxDocument bounds what an issuer can make the gateway read.
const maxDocument = 512 << 10

// result is the value of the metric label and log attribute "result".
type result string

const (
	resultOK       result = "ok"
	resultStatus   result = "status"    // not 200; a redirect is not followed
	resultTimeout  result = "timeout"   // not done in time
	resultNetwork  result = "network"   // no connection, no TLS, or lost on the way
	resultInvalid  result = "invalid"   // not the document asked for
	resultEmpty    result = "empty"     // a key set without a usable key
	resultTooLarge result = "too_large" // more than maxDocument
)

// fetchError says how a fetch failed.
type fetchError struct {
	result     result
	host       string        // that was asked
	retryAfter time.Duration // that the host asked for
	cause      error
}

func (e *fetchError) Error() string { return e.host + ": " + e.cause.Error() }
func (e *fetchError) Unwrap() error { return e.cause }

// fetchedSet is what a good fetch brought.
type fetchedSet struct {
	keys    *KeySet
	skipped []error // why keys were left out
	doc     []byte
	header  http.Header
	host    string
	// lost is why the address could not be found again; nil when it was, or
	// need not be.
	lost error
}

func newFetcher(c RemoteConfig) (*fetcher, error) {
	f := &fetcher{timeout: c.Timeout, issuer: c.Issuer, insecure: c.InsecureHTTP, jwksURI: c.JWKSURI}
	if c.JWKSURI != "" {
		if err := f.checkURL(c.JWKSURI); err != nil {
			return nil, fmt.Errorf("jwks_uri: %w", err)
		}
	} else if err := f.checkURL(c.Issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	transport := c.Transport
	if transport == nil {
		own, err := newTransport(c.CAFile)
		if err != nil {
			return nil, err
		}
		transport = own
	}
	f.client = &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // and that is not a 200
		},
	}
	return f, nil
}

// newTransport keeps no connection open between fetches: they are minutes
// apart.
func newTransport(caFile string) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("jwks.ca_file: %w", err)
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("jwks.ca_file: %s: no certificate in it", caFile)
	}
	return t, nil
}

// fetch gets the key set, discovering first where it is unless that is known.
// When it cannot be found again, it is looked for where it was.
func (f *fetcher) fetch(ctx context.Context) (*fetchedSet, *fetchError) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if f.jwksURI != "" {
		return f.getKeys(ctx, f.jwksURI)
	}
	lost := f.locate(ctx)
	if f.found == "" {
		return nil, lost
	}
	set, err := f.getKeys(ctx, f.found)
	if err != nil {
		f.foundAt = time.Time{}
	}
	if lost != nil && err != nil {
		err.cause = fmt.Errorf("%w; %w", err.cause, lost.cause)
		err.retryAfter = max(err.retryAfter, lost.retryAfter)
	} else if lost != nil {
		set.lost = lost
	}
	return set, err
}

// locate sees to it that found is believable. When there is an address already,
// it leaves half of the time to use that.
func (f *fetcher) locate(ctx context.Context) *fetchError {
	if !f.foundAt.IsZero() && time.Since(f.foundAt) < foundFor {
		return nil
	}
	within := f.timeout
	if f.found != "" {
		within /= 2
	}
	found, failure := f.discover(ctx, within)
	if failure == nil {
		f.found, f.foundAt = found, time.Now()
	}
	return failure
}

func (f *fetcher) getKeys(ctx context.Context, address string) (*fetchedSet, *fetchError) {
	doc, header, failure := f.get(ctx, address)
	if failure != nil {
		return nil, failure
	}
	set := &fetchedSet{header: header, host: hostOf(address), doc: doc}
	var err error
	set.keys, set.skipped, err = ParseKeySet(doc)
	switch {
	case errors.Is(err, ErrNoUsableKey):
		if len(set.skipped) > 0 {
			err = fmt.Errorf("%w: %d left out, the first: %w", err, len(set.skipped), set.skipped[0])
		}
		return nil, &fetchError{result: resultEmpty, host: set.host, cause: err}
	case err != nil:
		return nil, &fetchError{result: resultInvalid, host: set.host, cause: err}
	}
	return set, nil
}

// get returns a document that came with status 200, within the bounds.
func (f *fetcher) get(ctx context.Context, address string) ([]byte, http.Header, *fetchError) {
	failure := &fetchError{host: hostOf(address)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		failure.result, failure.cause = resultInvalid, errors.New("not a URL")
		return nil, nil, failure
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	request.Header.Set("User-Agent", "linegate")
	response, err := f.client.Do(request)
	if err != nil {
		failure.result, failure.cause = transportResult(err)
		return nil, nil, failure
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		failure.result, failure.cause = resultStatus, fmt.Errorf("status %d", response.StatusCode)
		if code := response.StatusCode; code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
			failure.retryAfter = retryAfter(response.Header)
		}
		return nil, nil, failure
	}
	doc, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		failure.result, failure.cause = transportResult(err)
		return nil, nil, failure
	}
	if len(doc) > maxDocument {
		failure.result, failure.cause = resultTooLarge, fmt.Errorf("more than %d bytes", maxDocument)
		return nil, nil, failure
	}
	return doc, response.Header, nil
}

// transportResult tells a time-out from other failures, and leaves out the URL
// that net/http puts into its errors.
func transportResult(err error) (result, error) {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return resultTimeout, err
	}
	return resultNetwork, err
}

// checkURL allows https, and http where nobody can listen in, or where that was
// asked for.
func (f *fetcher) checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return errors.New("not an absolute URL")
	case u.User != nil:
		return errors.New("a URL with a user name in it")
	case u.Fragment != "":
		return errors.New("a URL with a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("scheme %q is not https", u.Scheme)
	case f.insecure || isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("http:// is allowed for loopback addresses only, unless insecure_http is true")
}

func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https"
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// minRefresh is the least time between two fetches that nobody waits for,
// whatever Cache-Control says.
const minRefresh = 30 * time.Second

// freshFor returns how long to use an answer before asking again: its max-age
// less its Age (RFC 9111 section 4.2), at least minRefresh, at most longest.
func freshFor(h http.Header, longest time.Duration) time.Duration {
	maxAge, found := time.Duration(0), false
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-cache", "no-store":
			return longest
		case "max-age":
			maxAge, found = parseSeconds(strings.Trim(value, `"`))
		}
	}
	if !found {
		return longest
	}
	age, _ := parseSeconds(h.Get("Age"))
	return min(max(maxAge-age, minRefresh), longest)
}

// retryAfter reads that header (RFC 9110 section 10.2.3), 0 when there is none.
// A date there is by the issuer's clock, and so is Date: what ours says does not
// matter.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if d, ok := parseSeconds(value); ok {
		return d
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(at.Sub(now), 0)
}

// parseSeconds reads a number of seconds, those beyond a year as a year.
func parseSeconds(s string) (time.Duration, bool) {
	const year = 365 * 24 * time.Hour
	n, err := strconv.ParseUint(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) || err == nil && n > uint64(year/time.Second) {
		return year, true
	}
	return time.Duration(n) * time.Second, err == nil
}
