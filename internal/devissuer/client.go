package devissuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
)

// Client is a registered client (RFC 6749 section 2).
type Client struct {
	ID     string
	Secret string
	Scopes []string // what it may ask for, and gets when it asks for nothing in particular
}

// DefaultClients returns the clients that are there without configuration: a
// robot that may connect. Id and secret are public knowledge.
func DefaultClients() []Client {
	return []Client{
		{ID: "dev-device", Secret: "dev-secret", Scopes: []string{"line:connect"}},
	}
}

func (c Client) check() error {
	switch {
	case c.ID == "":
		return errors.New("no ID")
	case c.Secret == "":
		return errors.New("no Secret")
	case len(c.Scopes) == 0:
		return errors.New("no Scopes")
	case slices.ContainsFunc(c.Scopes, isNoScopeToken):
		return errors.New("a scope has other characters than RFC 6749 section 3.3 allows")
	}
	return nil
}

// authenticate returns the client that sent a request to the token endpoint
// (RFC 6749 section 2.3.1): by HTTP Basic, or by client_id and client_secret
// in the body, and not by both.
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
	if id == "" || secret == "" {
		return Client{}, invalidClient("client authentication is missing")
	}

	// An unknown client takes the same path and time as a wrong secret.
	var client Client
	i := slices.IndexFunc(s.config.Clients, func(c Client) bool { return c.ID == id })
	if i >= 0 {
		client = s.config.Clients[i]
	}
	if !equalSecrets(secret, client.Secret) || i < 0 {
		return Client{}, invalidClient("unknown client or wrong secret")
	}
	return client, nil
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
