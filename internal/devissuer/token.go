package devissuer

import "net/http"

// grant turns an authenticated request of a client that is registered for it
// into an answer; each has its own file.
type grant func(s *Server, client Client, params map[string]string) (tokenAnswer, *tokenError)

// grants are the values of grant_type that the token endpoint knows.
func grants() map[string]grant {
	return map[string]grant{
		GrantClientCredentials: (*Server).clientCredentials,
		GrantCode:              (*Server).redeemCode,
		GrantDevice:            (*Server).pollDevice,
		GrantRefresh:           (*Server).refresh,
	}
}

func grantTypes() []string {
	return []string{GrantCode, GrantClientCredentials, GrantRefresh, GrantDevice}
}

// tokenAnswer is a successful answer (RFC 6749 section 5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

// serveToken is the token endpoint (RFC 6749 section 3.2). No answer of it may
// be stored (section 5.1): secured has seen to the other half of that.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Pragma", "no-cache")
	answer, refusal := s.answerToken(w, r)
	if refusal != nil {
		s.refuse(w, "token refused", refusal)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) answerToken(w http.ResponseWriter, r *http.Request) (tokenAnswer, *tokenError) {
	params, refusal := readForm(w, r)
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	grantType := params["grant_type"]
	if grantType == "" {
		return tokenAnswer{}, invalidRequest("grant_type is missing")
	}
	answer, known := grants()[grantType]
	if !known {
		return tokenAnswer{}, &tokenError{Code: "unsupported_grant_type", Description: "this grant_type is not supported"}
	}
	client, refusal := s.authenticate(r, params)
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	if !client.may(grantType) {
		return tokenAnswer{}, unauthorizedClient()
	}
	return answer(s, client, params)
}

// tokenError is a refusal (RFC 6749 section 5.2). The description holds
// nothing that the client sent.
type tokenError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func invalidRequest(description string) *tokenError {
	return &tokenError{Code: "invalid_request", Description: description}
}

func invalidClient(description string) *tokenError {
	return &tokenError{Code: "invalid_client", Description: description}
}

func invalidGrant(description string) *tokenError {
	return &tokenError{Code: "invalid_grant", Description: description}
}

func unauthorizedClient() *tokenError {
	return &tokenError{Code: "unauthorized_client", Description: "this client is not registered for this grant type"}
}

// refuse logs a refusal and answers with it.
func (s *Server) refuse(w http.ResponseWriter, what string, refusal *tokenError) {
	s.config.Log.Info(what, "error", refusal.Code, "description", refusal.Description)
	refusal.write(w)
}

func (e *tokenError) write(w http.ResponseWriter) {
	status := http.StatusBadRequest
	switch e.Code {
	case "invalid_client":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="linegate development issuer", charset="UTF-8"`)
	case "server_error":
		status = http.StatusInternalServerError
	}
	writeJSON(w, status, e)
}
