package devissuer

import "time"

// code is an authorization code (RFC 6749 section 4.1.2).
type code struct {
	authorization *authorization
	redirect      string
	challenge     string // PKCE, S256
	expires       time.Time
	used          bool // guarded by state.mu
}

// newCode returns a code for what a person has allowed.
func (s *Server) newCode(r *request, user string) string {
	now := s.config.Now()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.codes.add(now, &code{
		authorization: &authorization{client: r.client, subject: user, user: user, scopes: r.scopes},
		redirect:      r.redirect,
		challenge:     r.challenge,
		expires:       now.Add(codeLife),
	})
}

// redeemCode gives tokens for a code (RFC 6749 section 4.1.3), once. A code
// that comes again has been stolen, and so may have been what was given for
// it: all of that ends (section 4.1.2, RFC 9700 section 2.1.1).
func (s *Server) redeemCode(client Client, params map[string]string) (tokenAnswer, *tokenError) {
	for _, name := range []string{"code", "redirect_uri", "code_verifier"} {
		if params[name] == "" {
			return tokenAnswer{}, invalidRequest(name + " is missing")
		}
	}
	a, refusal := s.useCode(client, params)
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	return s.issueFirst(a)
}

func (s *Server) useCode(client Client, params map[string]string) (*authorization, *tokenError) {
	now := s.config.Now()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	c, ok := s.state.codes.get(now, params["code"])
	switch {
	case !ok || c.authorization.client.ID != client.ID:
		return nil, invalidGrant("the code is unknown, or another client's")
	case c.used:
		c.authorization.ended = true
		return nil, invalidGrant("the code was used before; what was given for it has ended")
	case !now.Before(c.expires):
		return nil, invalidGrant("the code has expired")
	case c.redirect != params["redirect_uri"]:
		return nil, invalidGrant("redirect_uri is not that of the authorization request")
	case !verifies(params["code_verifier"], c.challenge):
		return nil, invalidGrant("code_verifier does not make the code_challenge")
	}
	c.used = true
	return c.authorization, nil
}

// issueFirst gives the first tokens for what a person has just allowed.
func (s *Server) issueFirst(a *authorization) (tokenAnswer, *tokenError) {
	answer, refusal := s.issue(a, a.scopes)
	if refusal == nil && a.client.may(GrantRefresh) {
		answer.RefreshToken = s.newFamily(a)
	}
	return answer, refusal
}
