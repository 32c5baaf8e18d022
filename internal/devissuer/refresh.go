package devissuer

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// family is a line of refresh tokens, each made from the one before. A token
// has two halves: the name of its family, which stays, and a secret, which the
// next one replaces. So an old token is known as such without being kept.
type family struct {
	authorization *authorization
	secret        [sha256.Size]byte // digest of the only one that counts; guarded by state.mu
}

// newFamily returns the first refresh token for what a person has allowed.
func (s *Server) newFamily(a *authorization) string {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	f := &family{authorization: a}
	return s.state.families.add(s.config.Now(), f) + "." + f.newSecret()
}

func (f *family) newSecret() string {
	secret := rand.Text()
	f.secret = sha256.Sum256([]byte(secret))
	return secret
}

func (f *family) isCurrent(secret string) bool {
	digest := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(digest[:], f.secret[:]) == 1
}

// refresh gives tokens for a refresh token (RFC 6749 section 6), and the next
// refresh token in place of it. One that was replaced has been stolen, or its
// successor has: nobody can tell, so the family ends (RFC 9700 section 4.14.2).
func (s *Server) refresh(client Client, params map[string]string) (tokenAnswer, *tokenError) {
	if params["refresh_token"] == "" {
		return tokenAnswer{}, invalidRequest("refresh_token is missing")
	}
	a, scopes, next, refusal := s.rotateRefreshToken(client, params)
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	answer, refusal := s.issue(a, scopes)
	answer.RefreshToken = next
	return answer, refusal
}

func (s *Server) rotateRefreshToken(client Client, params map[string]string) (a *authorization, scopes []string, next string, refusal *tokenError) {
	now := s.config.Now()
	name, secret, _ := strings.Cut(params["refresh_token"], ".")
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	f, ok := s.state.families.get(now, name)
	switch {
	case !ok || f.authorization.client.ID != client.ID:
		return nil, nil, "", invalidGrant("the refresh token is unknown or has expired, or is another client's")
	case f.authorization.ended:
		return nil, nil, "", invalidGrant("the refresh token has been revoked")
	case !f.isCurrent(secret):
		f.authorization.ended = true
		s.config.Log.Warn("refresh token used again: all that came from it has ended", "sub", f.authorization.subject, "client_id", client.ID)
		return nil, nil, "", invalidGrant("the refresh token was used before; all that came from it has ended")
	}
	scopes, refusal = grantedScopes(f.authorization.scopes, params["scope"])
	if refusal != nil {
		return nil, nil, "", refusal
	}
	next = name + "." + f.newSecret()
	s.state.families.put(now, name, f) // it lives on from now
	return f.authorization, scopes, next, nil
}
