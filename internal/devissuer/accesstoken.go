package devissuer

import (
	"crypto/rand"
	"strings"
	"time"
)

// issuedToken is what is remembered of an access token.
type issuedToken struct {
	authorization *authorization
	id, keyID     string // jti and kid
	scope         string
	issued        time.Time
	expires       time.Time
	revoked       bool // guarded by state.mu
}

// issue signs an access token (RFC 9068 section 2.2) for scopes, a part of what
// is authorized, and wraps it in the answer that carries it.
func (s *Server) issue(a *authorization, scopes []string) (tokenAnswer, *tokenError) {
	now := s.config.Now() // before the key is chosen, see keyRing.signer
	key, lifetime := s.keys.signer()
	issued := &issuedToken{
		authorization: a, id: rand.Text(), keyID: key.ID, scope: strings.Join(scopes, " "),
		issued: now, expires: time.Unix(now.Unix(), 0).Add(lifetime),
	}
	token, err := key.Token(nil, map[string]any{
		"iss":       s.config.Issuer,
		"sub":       a.subject,
		"aud":       s.config.Audience,
		"iat":       issued.issued.Unix(),
		"exp":       issued.expires.Unix(),
		"jti":       issued.id,
		"client_id": a.client.ID,
		"scope":     issued.scope,
	})
	if err != nil {
		s.config.Log.Error("signing failed", "kid", key.ID, "error", err)
		return tokenAnswer{}, &tokenError{Code: "server_error", Description: "signing failed"}
	}
	s.state.mu.Lock()
	s.state.tokens.put(now, token, issued)
	s.state.mu.Unlock()
	s.config.Log.Info("token issued", "sub", a.subject, "client_id", a.client.ID, "scope", issued.scope, "kid", key.ID)
	return tokenAnswer{
		AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(lifetime / time.Second), Scope: issued.scope,
	}, nil
}
