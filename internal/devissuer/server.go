// Package devissuer is the development authorization server: a small
// http.Handler that hands out real tokens, signed by real keys that it rotates,
// to clients whose secrets everybody knows. It is never for production.
//
// It serves its metadata (RFC 8414), its key set (RFC 7517) and a token
// endpoint (RFC 6749) that issues access tokens as RFC 9068 profiles them.
// Under /dev/ it can be controlled, from the same machine only.
package devissuer

import (
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
	config   Config // complete and checked; static after construction
	metadata []byte // static after construction
	handler  http.Handler
	keys     *keyRing
}

// New returns a server with fresh keys, or an error that names the field of
// config at fault.
func New(config Config) (*Server, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	keys, err := newKeyRing(config.Algorithm, config.TokenLifetime)
	if err != nil {
		return nil, fmt.Errorf("devissuer: %w", err)
	}
	s := &Server{config: config, keys: keys}
	s.metadata = s.marshalMetadata()

	// A pattern with a method answers any other with 405 and Allow.
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+oauthMetadataPath, s.serveMetadata)
	mux.HandleFunc("GET "+openIDMetadataPath, s.serveMetadata)
	mux.HandleFunc("GET "+jwksPath, s.serveJWKS)
	mux.HandleFunc("POST "+tokenPath, s.serveToken)
	mux.Handle(controlPath, s.control())
	s.handler = secured(mux)
	return s, nil
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
	c.Audience = valueOr(c.Audience, DefaultAudience)
	c.TokenLifetime = valueOr(c.TokenLifetime, DefaultTokenLifetime)
	c.Algorithm = valueOr(c.Algorithm, DefaultAlgorithm)
	if c.Clients == nil {
		c.Clients = DefaultClients()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case !isRootURL(c.Issuer):
		return c, fmt.Errorf("devissuer: Issuer %q is no http or https URL of a host alone", c.Issuer)
	case c.TokenLifetime < time.Second || c.TokenLifetime > 24*time.Hour || c.TokenLifetime%time.Second != 0:
		return c, fmt.Errorf("devissuer: TokenLifetime %v is not in whole seconds from 1s to 24h", c.TokenLifetime)
	case !slices.Contains(mint.Algorithms, c.Algorithm):
		return c, fmt.Errorf("devissuer: Algorithm %q is none of %q", c.Algorithm, mint.Algorithms)
	case c.RotateEvery < 0 || c.RotateEvery > 0 && c.RotateEvery < time.Second:
		return c, fmt.Errorf("devissuer: RotateEvery %v is below 1s", c.RotateEvery)
	case c.RotateEvery > 0 && c.RotateEvery < c.TokenLifetime/MaxRotations:
		return c, fmt.Errorf("devissuer: RotateEvery %v is below a %dth of TokenLifetime %v",
			c.RotateEvery, MaxRotations, c.TokenLifetime)
	}
	seen := map[string]bool{}
	for _, client := range c.Clients {
		if err := client.check(); err != nil {
			return c, fmt.Errorf("devissuer: Clients: %q: %w", client.ID, err)
		}
		if seen[client.ID] {
			return c, fmt.Errorf("devissuer: Clients: %q is there twice", client.ID)
		}
		seen[client.ID] = true
	}
	return c, nil
}

func valueOr[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
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
