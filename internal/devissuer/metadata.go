package devissuer

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Paths of the endpoints below the issuer.
const (
	oauthMetadataPath  = "/.well-known/oauth-authorization-server" // RFC 8414 section 3
	openIDMetadataPath = "/.well-known/openid-configuration"       // RFC 8414 section 5
	jwksPath           = "/jwks"
	tokenPath          = "/token"
	authorizePath      = "/authorize"
	consentPath        = "/consent" // the pages that /authorize leads to
	deviceRequestPath  = "/device_authorization"
	devicePath         = "/device"
	revokePath         = "/revoke"
	introspectPath     = "/introspect"
	controlPath        = "/dev/"
)

// maxAge is how long metadata and keys may be cached. It is short, so that
// nobody waits long to see a rotation.
const maxAge = "max-age=60"

// serveMetadata answers with the same document in both places.
func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", maxAge)
	_, _ = w.Write(s.metadata)
}

// marshalMetadata returns the document of RFC 8414 section 2.
func (s *Server) marshalMetadata() []byte {
	var scopes []string
	for _, client := range s.config.Clients {
		scopes = append(append(scopes, client.Scopes...), client.OnRequest...)
	}
	slices.Sort(scopes)
	authenticated := []string{"client_secret_basic", "client_secret_post"}
	everybody := append(authenticated, "none")
	doc, err := json.Marshal(map[string]any{
		"issuer":                        s.config.Issuer,
		"authorization_endpoint":        s.config.Issuer + authorizePath,
		"token_endpoint":                s.config.Issuer + tokenPath,
		"device_authorization_endpoint": s.config.Issuer + deviceRequestPath,
		"revocation_endpoint":           s.config.Issuer + revokePath,
		"introspection_endpoint":        s.config.Issuer + introspectPath,
		"jwks_uri":                      s.config.Issuer + jwksPath,

		"scopes_supported":                               slices.Compact(scopes),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          grantTypes(),
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true, // RFC 9207 section 3

		"token_endpoint_auth_methods_supported":         everybody,
		"revocation_endpoint_auth_methods_supported":    everybody,
		"introspection_endpoint_auth_methods_supported": authenticated,
	})
	if err != nil {
		panic("devissuer: own metadata does not marshal: " + err.Error())
	}
	return append(doc, '\n')
}
