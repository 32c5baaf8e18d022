// Package authtest is an authorization server for tests: it mints any token,
// right or wrong, publishes and rotates keys, and fails on demand.
//
//	iss := authtest.New(t)
//	verifier := iss.Verifier()
//	good := iss.Token()
//	late := iss.Token(authtest.Claim("exp", time.Now().Add(-time.Second).Unix()))
//
// New opens no socket and lives inside a testing/synctest bubble; Serve is the
// same issuer behind a real HTTP server.
package authtest

import (
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/internal/mint"
)

// What a token by Token says unless told otherwise, and what Config asks for.
const (
	Name     = "test"          // the issuer's configured name
	Audience = "linegate"      // aud
	Scope    = "line:connect"  // scope
	Subject  = "device-1"      // sub
	Client   = "device-client" // client_id
	Lifetime = time.Hour       // exp, after iat, which is now
)

// Issuer is an authorization server. It is safe for concurrent use.
type Issuer struct {
	Name string
	URL  string // its issuer identifier; with New no server answers there

	t testing.TB

	mu        sync.Mutex
	signing   *mint.Key
	published []*mint.Key
	extra     []map[string]any // JWKs published beside these
	set       *auth.KeySet     // what is published, parsed; nil: to be parsed
	made      int              // keys made, for their ids
	minted    int              // tokens minted, for their ids
	algorithm string
	http      serving
}

// Option changes an issuer that is being made.
type Option func(*Issuer)

// Named sets its name, and with New its URL: two issuers of one test need
// different ones.
func Named(name string) Option {
	return func(iss *Issuer) { iss.Name, iss.URL = name, "https://"+name+".issuer.test" }
}

// At sets its URL, as some issuers end theirs in a slash or have a path.
func At(url string) Option { return func(iss *Issuer) { iss.URL = url } }

// Signing sets the algorithm of its keys; without it, ES256.
func Signing(algorithm string) Option { return func(iss *Issuer) { iss.algorithm = algorithm } }

// New returns an issuer with one key, published and signing.
func New(t testing.TB, options ...Option) *Issuer {
	t.Helper()
	iss := &Issuer{Name: Name, URL: "https://issuer.test", t: t, algorithm: "ES256"}
	for _, option := range options {
		option(iss)
	}
	iss.Rotate()
	return iss
}

// Serve returns an issuer that answers on a port of 127.0.0.1 until the test
// ends. Its URL is that server's, followed by the path, if any, of the one that
// an option set.
func Serve(t testing.TB, options ...Option) *Issuer {
	t.Helper()
	iss := New(t, options...)
	server := httptest.NewServer(iss)
	t.Cleanup(func() {
		iss.Fail(Healthy) // lets a hanging answer go
		server.Close()
	})
	iss.URL = server.URL + pathOf(iss.URL)
	return iss
}

// Publish makes a new key and adds it to the published set. It does not sign
// yet, as a careful rotation begins.
func (iss *Issuer) Publish() *mint.Key {
	key := iss.NewKey()
	iss.Republish(key)
	return key
}

// NewKey makes a key that is not published.
func (iss *Issuer) NewKey() *mint.Key {
	iss.t.Helper()
	iss.mu.Lock()
	iss.made++
	id := iss.Name + "-" + strconv.Itoa(iss.made)
	iss.mu.Unlock()
	key, err := mint.NewKey(iss.algorithm, id)
	if err != nil {
		iss.t.Fatal(err)
	}
	return key
}

// Sign makes Token sign with key from now on.
func (iss *Issuer) Sign(key *mint.Key) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.signing = key
}

// Rotate publishes a new key and signs with it at once; older ones stay
// published.
func (iss *Issuer) Rotate() *mint.Key {
	key := iss.Publish()
	iss.Sign(key)
	return key
}

// Remove takes a key out of the published set.
func (iss *Issuer) Remove(kid string) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.published = slices.DeleteFunc(iss.published, func(k *mint.Key) bool { return k.ID == kid })
	iss.set = nil
}

// Republish adds a key to the published set that was removed, or made by NewKey.
func (iss *Issuer) Republish(key *mint.Key) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.published, iss.set = append(iss.published, key), nil
}

// PublishJWK adds any JWK to the published set, an encryption key say.
func (iss *Issuer) PublishJWK(jwk map[string]any) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.extra, iss.set = append(iss.extra, jwk), nil
}

// SigningKey returns the key that signs now.
func (iss *Issuer) SigningKey() *mint.Key {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	return iss.signing
}

// Config returns a configuration that accepts Token's tokens, with Keys as the
// source.
func (iss *Issuer) Config() auth.IssuerConfig {
	return auth.IssuerConfig{
		Name:           iss.Name,
		Issuer:         iss.URL,
		Audience:       []string{Audience},
		Algorithms:     []string{iss.algorithm},
		RequiredScopes: []string{Scope},
		Leeway:         30 * time.Second,
		Keys:           iss.Keys(),
	}
}

// Verifier returns a verifier of this issuer alone, by Config.
func (iss *Issuer) Verifier() *auth.Verifier {
	iss.t.Helper()
	v, err := auth.NewVerifier(auth.Config{Issuers: []auth.IssuerConfig{iss.Config()}})
	if err != nil {
		iss.t.Fatal(err)
	}
	return v
}
