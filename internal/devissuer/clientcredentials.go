package devissuer

// clientCredentials answers a client that asks in its own name (RFC 6749
// section 4.4), which makes it the subject (RFC 9068 section 2.2).
func (s *Server) clientCredentials(client Client, params map[string]string) (tokenAnswer, *tokenError) {
	scopes, refusal := client.granted(params["scope"])
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	return s.issue(&authorization{client: client, subject: client.ID, scopes: scopes}, scopes)
}
