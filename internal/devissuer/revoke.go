package devissuer

import (
	"net/http"
	"strings"
)

// serveRevoke is the revocation endpoint (RFC 7009). With a refresh token all
// that came from the same authorization ends; an access token ends alone. A
// resource server that asks nobody accepts it until it expires.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	if refusal := s.revoke(w, r); refusal != nil {
		s.refuse(w, "revocation refused", refusal)
		return
	}
	w.WriteHeader(http.StatusOK) // also for a token that nobody knows (section 2.2)
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) *tokenError {
	params, refusal := readForm(w, r)
	if refusal != nil {
		return refusal
	}
	client, refusal := s.authenticate(r, params)
	if refusal != nil {
		return refusal
	}
	token := params["token"]
	if token == "" {
		return invalidRequest("token is missing")
	}
	now := s.config.Now()
	name, _, _ := strings.Cut(token, ".")
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	access, isAccess := s.state.tokens.get(now, token)
	f, isRefresh := s.state.families.get(now, name)
	switch {
	case isAccess && access.authorization.client.ID != client.ID,
		isRefresh && f.authorization.client.ID != client.ID:
		return invalidGrant("the token was issued to another client")
	case isAccess:
		access.revoked = true
		s.config.Log.Info("token revoked", "sub", access.authorization.subject, "client_id", client.ID)
	case isRefresh:
		f.authorization.ended = true
		s.config.Log.Info("refresh token revoked", "sub", f.authorization.subject, "client_id", client.ID)
	}
	return nil
}
