// Package devissuer is the development authorization server: a small
// http.Handler that hands out real tokens, signed by real keys that it rotates,
// to clients whose secrets everybody knows. It is never for production.
//
// It serves its metadata (RFC 8414), its key set (RFC 7517), and access tokens
// as RFC 9068 profiles them: to people by code with PKCE (RFC 6749, 7636), with
// pages on which they sign in and decide, or by way of a device (RFC 8628); to
// clients in their own name; and again for a refresh token. Tokens can be
// revoked (RFC 7009) and asked about (RFC 7662). Under /dev/ the server can be
// controlled, from the same machine only.
package devissuer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/linegate/linegate/internal/mint"
)

// Config says what to issue. The zero value of every field but Issuer means
// the default named beside it.
type Config struct {
	Issuer        string        // required: http or https URL without path, query or fragment; the iss of all tokens
	Audience      string        // aud of all tokens; DefaultAudience
	TokenLifetime time.Duration // whole seconds, 1 s to 24 h; DefaultTokenLifetime
	Algorithm     string        // one of mint.Algorithms; DefaultAlgorithm
	RotateEvery   time.Duration // at least 1 s and TokenLifetime/MaxRotations; 0: keys rotate on request only
	Clients       []Client      // DefaultClients()
	Users         []User        // DefaultUsers()

	Now func() time.Time // time.Now
	Log *slog.Logger     // discards
}

// Defaults of Config.
const (
	DefaultAudience      = "linegate"
	DefaultTokenLifetime = 5 * time.Minute
	DefaultAlgorithm     = "ES256"
)

// MaxRotations is how often the timer may rotate in the life of a token: each
// rotation leaves a key that is published until its tokens have expired.
const MaxRotations = 30

// Server is the authorization server. It is safe for concurrent use.
type Server struct {
	// static after construction
	config   Config   // complete and checked
	issuer   *url.URL // Config.Issuer
	metadata []byte
	pages    pages
	handler  http.Handler

	keys    *keyRing
	state   *state
	outages *outages
}

// New returns a server with fresh keys, or an error that says what in config is
// at fault.
func New(config Config) (*Server, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	keys, err := newKeyRing(config.Algorithm, config.TokenLifetime)
	if err != nil {
		return nil, fmt.Errorf("devissuer: %w", err)
	}
	s := &Server{config: config, keys: keys, state: newState(), outages: newOutages()}
	if s.issuer, err = url.Parse(config.Issuer); err != nil {
		return nil, fmt.Errorf("devissuer: %w", err)
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	s.metadata = s.marshalMetadata()
	s.handler = secured(s.ownHost(s.routes()))
	return s, nil
}

// routes says who serves what. A pattern with a method answers any other with
// 405 and Allow.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+oauthMetadataPath, s.outages.hits(metadataEndpoint, s.serveMetadata))
	mux.HandleFunc("GET "+openIDMetadataPath, s.outages.hits(metadataEndpoint, s.serveMetadata))
	mux.HandleFunc("GET "+jwksPath, s.outages.hits(jwksEndpoint, s.serveJWKS))

	mux.HandleFunc("POST "+tokenPath, s.outages.hits(tokenEndpoint, s.serveToken))
	mux.HandleFunc("POST "+deviceRequestPath, s.serveDeviceAuthorization)
	mux.HandleFunc("POST "+revokePath, s.serveRevoke)
	mux.HandleFunc("POST "+introspectPath, s.serveIntrospect)

	// Clients may send people by a form of theirs (RFC 6749 section 3.1);
	// all other forms are this server's own.
	mux.HandleFunc("GET "+authorizePath, s.serveAuthorize)
	mux.HandleFunc("POST "+authorizePath, s.serveAuthorize)
	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(http.HandlerFunc(s.showForeignForm))
	mux.HandleFunc("GET "+consentPath, s.showConsent)
	mux.Handle("POST "+consentPath, own.Handler(http.HandlerFunc(s.decideConsent)))
	mux.HandleFunc("GET "+devicePath, s.showDevice)
	mux.Handle("POST "+devicePath, own.Handler(http.HandlerFunc(s.decideDevice)))
	mux.HandleFunc("GET "+stylePath, s.serveStyle)

	mux.Handle(controlPath, s.control())
	return mux
}

// ServeHTTP answers one request. Read and write time-outs are the
// http.Server's to set.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Rotate makes the key that was published last sign from now on, and publishes
// its successor; it returns the id of the key that signs now. The key that
// signed until now is published until the last token it signed has expired. It
// fails when too many keys wait for that.
func (s *Server) Rotate() (keyID string, err error) {
	key, err := s.keys.rotate(s.config.Now())
	if err != nil {
		return "", fmt.Errorf("devissuer: %w", err)
	}
	s.config.Log.Info("keys rotated", "signing_kid", key.ID)
	return key.ID, nil
}

// Run rotates the keys every Config.RotateEvery until ctx is done, then
// returns nil.
func (s *Server) Run(ctx context.Context) error {
	if s.config.RotateEvery == 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(s.config.RotateEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			// Rotation on request may have used up the places for
			// retiring keys: the next turn comes.
			if _, err := s.Rotate(); err != nil {
				s.config.Log.Warn("key rotation failed", "error", err)
			}
		}
	}
}

// complete fills in the defaults and checks the rest.
func (c Config) complete() (Config, error) {
	c.Audience = cmp.Or(c.Audience, DefaultAudience)
	c.TokenLifetime = cmp.Or(c.TokenLifetime, DefaultTokenLifetime)
	c.Algorithm = cmp.Or(c.Algorithm, DefaultAlgorithm)
	if c.Clients == nil {
		c.Clients = DefaultClients()
	}
	if c.Users == nil {
		c.Users = DefaultUsers()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if !isRootURL(c.Issuer) {
		return c, fmt.Errorf("devissuer: Issuer %q is no http or https URL of a host alone", c.Issuer)
	}
	if err := checkIssuance(c.Algorithm, c.TokenLifetime, c.RotateEvery); err != nil {
		return c, fmt.Errorf("devissuer: %w", err)
	}
	if err := checkRegistrations(c.Clients, c.Users); err != nil {
		return c, fmt.Errorf("devissuer: %w", err)
	}
	return c, nil
}

// checkRegistrations refuses what must not be registered.
func checkRegistrations(clients []Client, users []User) error {
	seen := map[string]bool{}
	for _, client := range clients {
		if err := client.check(); err != nil {
			return fmt.Errorf("client %q: %w", client.ID, err)
		}
		if seen[client.ID] {
			return fmt.Errorf("client %q is there twice", client.ID)
		}
		seen[client.ID] = true
	}
	for _, user := range users {
		if err := user.check(); err != nil {
			return fmt.Errorf("user %q: %w", user.ID, err)
		}
		if seen[user.ID] { // RFC 9068 section 5: a client's sub must not be a user's
			return fmt.Errorf("user %q is there twice, or is a client's", user.ID)
		}
		seen[user.ID] = true
	}
	return nil
}

// checkIssuance refuses what tokens cannot be issued with.
func checkIssuance(algorithm string, lifetime, rotateEvery time.Duration) error {
	switch {
	case lifetime < time.Second || lifetime > maxLifetime || lifetime%time.Second != 0:
		return fmt.Errorf("token lifetime %v is not in whole seconds from 1s to 24h", lifetime)
	case !slices.Contains(mint.Algorithms, algorithm):
		return fmt.Errorf("algorithm %q is none of %q", algorithm, mint.Algorithms)
	case rotateEvery < 0 || rotateEvery > 0 && rotateEvery < time.Second:
		return fmt.Errorf("time between rotations %v is below 1s", rotateEvery)
	case rotateEvery > 0 && rotateEvery < lifetime/MaxRotations:
		return fmt.Errorf("time between rotations %v is below a %dth of the token lifetime %v", rotateEvery, MaxRotations, lifetime)
	}
	return nil
}

// isRootURL reports whether s is an issuer that this server can be: one whose
// endpoints are at the root of its host.
func isRootURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		s == u.Scheme+"://"+u.Host
}

// secured sets the headers that every answer has. Nothing may be cached
// unless its handler says so.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// writeJSON answers with v as one line of JSON.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the peer may have gone; nobody is left to tell
}
