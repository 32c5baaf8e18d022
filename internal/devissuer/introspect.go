package devissuer

import (
	"net/http"
	"strings"
)

// introspection is what a token is worth (RFC 7662 section 2.2). Of one that is
// not active nothing else is told.
type introspection struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type,omitempty"` // of access tokens
	Issuer    string `json:"iss,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Username  string `json:"username,omitempty"`
	Audience  string `json:"aud,omitempty"` // of access tokens
	ClientID  string `json:"client_id,omitempty"`
	Scope     string `json:"scope,omitempty"`
	ID        string `json:"jti,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"` // seconds
	Expires   int64  `json:"exp,omitempty"` // seconds
}

// serveIntrospect is the introspection endpoint (RFC 7662), for clients that
// can prove who they are (section 2.1).
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	answer, refusal := s.introspect(w, r)
	if refusal != nil {
		s.refuse(w, "introspection refused", refusal)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) introspect(w http.ResponseWriter, r *http.Request) (introspection, *tokenError) {
	params, refusal := readForm(w, r)
	if refusal != nil {
		return introspection{}, refusal
	}
	client, refusal := s.authenticate(r, params)
	switch {
	case refusal != nil:
		return introspection{}, refusal
	case client.public():
		return introspection{}, invalidClient("a public client may not ask")
	case params["token"] == "":
		return introspection{}, invalidRequest("token is missing")
	}
	return s.worth(params["token"]), nil
}

func (s *Server) worth(token string) introspection {
	now := s.config.Now()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if access, ok := s.state.tokens.get(now, token); ok {
		a := access.authorization
		if access.revoked || a.ended || !now.Before(access.expires) || !s.keys.publishes(access.keyID) {
			return introspection{}
		}
		return introspection{
			Active: true, TokenType: "Bearer", Issuer: s.config.Issuer, Subject: a.subject, Username: a.user,
			Audience: s.config.Audience, ClientID: a.client.ID, Scope: access.scope, ID: access.id,
			IssuedAt: access.issued.Unix(), Expires: access.expires.Unix(),
		}
	}
	name, secret, _ := strings.Cut(token, ".")
	if f, ok := s.state.families.get(now, name); ok && !f.authorization.ended && f.isCurrent(secret) {
		a := f.authorization
		return introspection{
			Active: true, Issuer: s.config.Issuer, Subject: a.subject, Username: a.user,
			ClientID: a.client.ID, Scope: strings.Join(a.scopes, " "),
		}
	}
	return introspection{}
}
