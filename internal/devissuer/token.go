package devissuer

import (
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxForm bounds the body of a request to the token endpoint, in bytes.
const maxForm = 16 << 10

// grant turns an authenticated request into an answer; each has its own file.
type grant func(s *Server, client Client, params map[string]string) (tokenAnswer, *tokenError)

// grants are the values of grant_type that the token endpoint knows.
func grants() map[string]grant {
	return map[string]grant{
		GrantClientCredentials: (*Server).clientCredentials,
	}
}

func grantTypes() []string {
	return []string{GrantCode, GrantClientCredentials, GrantDevice, GrantRefresh}
}

// tokenAnswer is a successful answer (RFC 6749 section 5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

// serveToken is the token endpoint (RFC 6749 section 3.2). No answer of it may
// be stored (section 5.1): secured has seen to the other half of that.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Pragma", "no-cache")
	answer, refusal := s.answerToken(w, r)
	if refusal != nil {
		s.config.Log.Info("token refused", "error", refusal.Code, "description", refusal.Description)
		refusal.write(w)
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
	return answer(s, client, params)
}

// readForm returns the parameters in the body; those in the URL do not count,
// as secrets must not be there (RFC 6749 section 2.3.1). A parameter may come
// once, and one without a value is as good as left out (section 3.2).
func readForm(w http.ResponseWriter, r *http.Request) (map[string]string, *tokenError) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("the content type is not application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, invalidRequest("the body is too long or incomplete")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("the body is not form-encoded")
	}
	params := make(map[string]string, len(form))
	for name, values := range form {
		if len(values) > 1 {
			return nil, invalidRequest("a parameter is repeated")
		}
		params[name] = values[0]
	}
	return params, nil
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
