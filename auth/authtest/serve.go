package authtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/linegate/linegate/auth"
)

// Failure is a way in which an issuer's HTTP answers can go wrong.
type Failure int

// The failures.
const (
	Healthy   Failure = iota // none
	Status                   // 503
	TooMany                  // 429 with Retry-After: 60
	Refused                  // the connection ends before an answer
	Hang                     // no answer until Fail is called again, or the client goes
	Garbage                  // 200 and a body that is not JSON
	NoKeys                   // 200 and a key set without keys
	Unusable                 // 200 and a key set with an encryption key alone
	Oversize                 // 200 and a valid set behind 512 KiB of white space
	Redirect                 // 302 to where the valid set is
	Truncated                // 200 and half of the announced body
	Slow                     // 200 and the valid set as it is after SlowAnswer
)

// SlowAnswer is how long an issuer that is Slow takes.
const SlowAnswer = 2 * time.Second

// Failures lists the failures that leave a client without keys: all but Healthy
// and Slow.
func Failures() []Failure {
	return []Failure{Status, TooMany, Refused, Hang, Garbage, NoKeys, Unusable, Oversize, Redirect, Truncated}
}

// String names the failure for a test's output.
func (f Failure) String() string {
	return [...]string{
		"healthy", "status", "too many requests", "refused", "hang", "garbage", "no keys",
		"unusable keys", "oversize", "redirect", "truncated", "slow",
	}[f]
}

// The paths that an issuer serves. Discovery is below its URL as RFC 8414
// section 3 and OpenID Connect Discovery section 4 say.
const (
	JWKSPath  = "/keys"
	movedPath = "/moved-keys"
)

// serving is the HTTP side of an Issuer, guarded by its mu.
type serving struct {
	failure      Failure
	changed      chan struct{} // closed when failure changes
	cacheControl string
	discovery    func(path string) (doc map[string]any, found bool)
	counts       map[string]int
}

// Fail makes every answer go wrong from now on, until Healthy.
func (iss *Issuer) Fail(f Failure) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.http.failure = f
	if iss.http.changed != nil {
		close(iss.http.changed)
		iss.http.changed = nil
	}
}

// CacheControl sets that header of the key set's answers.
func (iss *Issuer) CacheControl(value string) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.http.cacheControl = value
}

// Discovery replaces the discovery documents: answer gets each requested path
// and returns the document there, or false for 404.
func (iss *Issuer) Discovery(answer func(path string) (doc map[string]any, found bool)) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.http.discovery = answer
}

// Fetches returns how many requests for the key set came.
func (iss *Issuer) Fetches() int { return iss.Requests(JWKSPath) }

// Requests returns how many requests for a path came.
func (iss *Issuer) Requests(path string) int {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	return iss.http.counts[path]
}

// JWKSURL returns the address of the key set.
func (iss *Issuer) JWKSURL() string {
	u, err := url.Parse(iss.URL)
	if err != nil {
		iss.t.Fatalf("authtest: %v", err)
	}
	return u.Scheme + "://" + u.Host + JWKSPath
}

// JWKS returns the published key set.
func (iss *Issuer) JWKS() []byte {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	return iss.jwks()
}

func (iss *Issuer) jwks() []byte {
	keys := []map[string]any{}
	for _, key := range iss.published {
		keys = append(keys, key.JWK(nil))
	}
	doc, err := json.Marshal(map[string]any{"keys": append(keys, iss.extra...)})
	if err != nil {
		iss.t.Errorf("authtest: key set: %v", err)
	}
	return doc
}

// Keys returns a source that always has the keys published now, without any
// fetch.
func (iss *Issuer) Keys() auth.KeySource { return published{iss} }

type published struct{ iss *Issuer }

func (p published) Current() *auth.KeySet {
	p.iss.mu.Lock()
	defer p.iss.mu.Unlock()
	if p.iss.set == nil {
		p.iss.set, _, _ = auth.ParseKeySet(p.iss.jwks()) // nil when no key is left
	}
	return p.iss.set
}

func (p published) WaitForKey(ctx context.Context, kid string) (*auth.KeySet, error) {
	set := p.Current()
	if set == nil {
		return nil, &auth.Error{Outcome: auth.KeysUnavailable}
	}
	return auth.StaticKeys(set).WaitForKey(ctx, kid)
}

func (p published) Standing(thumbprint string) auth.Standing {
	return auth.StaticKeys(p.Current()).Standing(thumbprint)
}

// RoundTrip answers a request without a network, so that an auth.Remote with
// this transport works inside a testing/synctest bubble.
func (iss *Issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	failed := make(chan error, 1)
	func() {
		defer func() {
			if p := recover(); p != nil {
				failed <- fmt.Errorf("authtest: connection lost: %v", p)
			}
		}()
		iss.ServeHTTP(answer, r)
	}()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := answer.Result()
	select {
	case err := <-failed:
		if !answer.Flushed {
			return nil, err
		}
		response.Body = io.NopCloser(io.MultiReader(response.Body, brokenBody{}))
	default:
	}
	return response, nil
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// ServeHTTP answers for the key set and discovery.
func (iss *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	failure, changed := iss.begin(r.URL.Path)
	switch failure {
	case Hang:
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case Refused:
		panic(http.ErrAbortHandler)
	case Slow:
		select {
		case <-time.After(SlowAnswer):
			iss.answer(w, r, failure)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	case Status:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case TooMany:
		w.Header().Set("Retry-After", "60")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case Garbage:
		fmt.Fprint(w, "<html>welcome to the hotel's network</html>")
	default:
		iss.answer(w, r, failure)
	}
}

// begin counts a request and returns the failure that it meets.
func (iss *Issuer) begin(path string) (Failure, <-chan struct{}) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	if iss.http.counts == nil {
		iss.http.counts = map[string]int{}
	}
	iss.http.counts[path]++
	if iss.http.failure != Healthy && iss.http.changed == nil {
		iss.http.changed = make(chan struct{})
	}
	return iss.http.failure, iss.http.changed
}

func (iss *Issuer) answer(w http.ResponseWriter, r *http.Request, failure Failure) {
	path := r.URL.Path
	if path != JWKSPath && path != movedPath {
		iss.answerDiscovery(w, path)
		return
	}
	iss.mu.Lock()
	if iss.http.cacheControl != "" {
		w.Header().Set("Cache-Control", iss.http.cacheControl)
	}
	iss.mu.Unlock()
	doc := iss.JWKS()
	switch failure {
	case NoKeys:
		doc = []byte(`{"keys":[]}`)
	case Unusable:
		doc, _ = json.Marshal(map[string]any{"keys": []any{iss.NewKey().JWK(map[string]any{"use": "enc"})}})
	case Oversize:
		doc = append(bytes.Repeat([]byte(" "), 512<<10), doc...)
	case Redirect:
		if path == JWKSPath {
			http.Redirect(w, r, movedPath, http.StatusFound)
			return
		}
	case Truncated:
		w.Header().Set("Content-Length", fmt.Sprint(len(doc)))
		_, _ = w.Write(doc[:len(doc)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(doc)
}

func (iss *Issuer) answerDiscovery(w http.ResponseWriter, path string) {
	iss.mu.Lock()
	discovery := iss.http.discovery
	iss.mu.Unlock()
	if discovery == nil {
		discovery = iss.metadata
	}
	doc, found := discovery(path)
	if !found {
		http.Error(w, "nothing here", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(doc)
}

// metadata is the discovery of a correct issuer, RFC 8414 and OpenID Connect.
func (iss *Issuer) metadata(path string) (map[string]any, bool) {
	base := strings.TrimSuffix(pathOf(iss.URL), "/")
	if path != "/.well-known/oauth-authorization-server"+base && path != base+"/.well-known/openid-configuration" {
		return nil, false
	}
	return map[string]any{"issuer": iss.URL, "jwks_uri": iss.JWKSURL()}, true
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}
