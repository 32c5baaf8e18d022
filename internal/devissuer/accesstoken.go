package devissuer

import (
	"crypto/rand"
	"strings"
	"time"
)

// issue signs an access token (RFC 9068 section 2.2) and wraps it in the
// answer that carries it.
func (s *Server) issue(subject string, client Client, scopes []string) (tokenAnswer, *tokenError) {
	now := s.config.Now() // before the key is chosen, see keyRing.signer
	key := s.keys.signer()
	lifetime := int64(s.config.TokenLifetime / time.Second)
	scope := strings.Join(scopes, " ")
	token, err := key.Token(nil, map[string]any{
		"iss":       s.config.Issuer,
		"sub":       subject,
		"aud":       s.config.Audience,
		"iat":       now.Unix(),
		"exp":       now.Unix() + lifetime,
		"jti":       rand.Text(),
		"client_id": client.ID,
		"scope":     scope,
	})
	if err != nil {
		s.config.Log.Error("signing failed", "kid", key.ID, "error", err)
		return tokenAnswer{}, &tokenError{Code: "server_error", Description: "signing failed"}
	}
	s.config.Log.Info("token issued", "sub", subject, "client_id", client.ID, "scope", scope, "kid", key.ID)
	return tokenAnswer{AccessToken: token, TokenType: "Bearer", ExpiresIn: lifetime, Scope: scope}, nil
}
