package devissuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
)

// authenticate returns the client that sent a request to an endpoint for
// clients (RFC 6749 section 2.3.1): by HTTP Basic, by client_id and
// client_secret in the body, and not by both; a public client by its client_id
// alone (section 3.2.1).
func (s *Server) authenticate(r *http.Request, params map[string]string) (Client, *tokenError) {
	id, secret := params["client_id"], params["client_secret"]
	if authorization := r.Header.Values("Authorization"); len(authorization) > 0 {
		if secret != "" || len(authorization) > 1 {
			return Client{}, invalidRequest("more than one client authentication")
		}
		headerID, headerSecret, ok := basicCredentials(r)
		if !ok {
			return Client{}, invalidClient("the Authorization header is not Basic with a form-encoded id and secret")
		}
		if id != "" && id != headerID {
			return Client{}, invalidRequest("client_id differs from the Authorization header")
		}
		id, secret = headerID, headerSecret
	}
	if id == "" {
		return Client{}, invalidClient("client authentication is missing")
	}

	// An unknown client takes the same path and time as a wrong secret.
	client, known := s.client(id)
	if !equalSecrets(secret, client.Secret) || !known {
		return Client{}, invalidClient("unknown client or wrong secret")
	}
	return client, nil
}

// client returns the client registered under id.
func (s *Server) client(id string) (Client, bool) {
	i := slices.IndexFunc(s.config.Clients, func(c Client) bool { return c.ID == id })
	if i < 0 {
		return Client{}, false
	}
	return s.config.Clients[i], true
}

// basicCredentials returns both halves of a Basic header (RFC 7617), each
// form-decoded as RFC 6749 section 2.3.1 asks for.
func basicCredentials(r *http.Request) (id, secret string, ok bool) {
	rawID, rawSecret, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, errID := url.QueryUnescape(rawID)
	secret, errSecret := url.QueryUnescape(rawSecret)
	return id, secret, errID == nil && errSecret == nil
}

// equalSecrets compares digests, so that the time taken tells neither content
// nor length.
func equalSecrets(a, b string) bool {
	digestA, digestB := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(digestA[:], digestB[:]) == 1
}
