package devissuer

import (
	"net/http"

	"github.com/linegate/linegate/internal/mint"
)

// serveJWKS answers with the published keys (RFC 7517 section 5).
func (s *Server) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", maxAge)
	_, _ = w.Write(mint.JWKS(s.keys.published(s.config.Now())...))
}
