package devissuer

import (
	"net/http"
	"net/url"
	"slices"
)

// request is an authorization request (RFC 6749 section 4.1.1) that has been
// found in order and waits for a person.
type request struct {
	browser   *browser // where it began, and must be decided
	client    Client
	redirect  string
	state     string
	challenge string // PKCE, S256
	scopes    []string
}

// serveAuthorize is the authorization endpoint (RFC 6749 section 3.1). It
// checks the request and sends the person to the page that asks.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	var refusal *tokenError
	if r.Method == http.MethodPost {
		values, refusal = parseForm(w, r)
	}
	if err != nil || refusal != nil {
		s.showError(w, http.StatusBadRequest, "This request cannot be read", "The application has sent a request that is not form-encoded.")
		return
	}
	params, repeated := single(values)

	// Until client and redirect URI are known to belong together, nobody
	// is redirected anywhere (RFC 6749 section 4.1.2.1).
	client, known := s.client(params["client_id"])
	redirect := params["redirect_uri"]
	switch {
	case len(values["client_id"]) > 1 || len(values["redirect_uri"]) > 1:
		s.refuseOnPage(w, "repeated client_id or redirect_uri", "The application has sent its name or its address more than once.")
		return
	case !known:
		s.refuseOnPage(w, "unknown client", "No application is registered here under the client_id that was sent.")
		return
	case !slices.ContainsFunc(client.Redirects, func(registered string) bool { return matchesRedirect(registered, redirect) }):
		s.refuseOnPage(w, "unregistered redirect_uri", "The redirect_uri that was sent is not one that “"+client.DisplayName()+"” has registered. Sending you there could hand your access to somebody else.")
		return
	}

	q := &request{client: client, redirect: redirect, state: params["state"]}
	if repeated != "" {
		s.redirectError(w, r, q, invalidRequest("a parameter is repeated"))
		return
	}
	if refusal := q.complete(params); refusal != nil {
		s.redirectError(w, r, q, refusal)
		return
	}
	q.browser = s.welcome(w, r)
	s.state.mu.Lock()
	id := s.state.requests.add(s.config.Now(), q)
	s.state.mu.Unlock()
	http.Redirect(w, r, at(consentPath, "request", id), http.StatusSeeOther)
}

// complete checks and keeps the rest of the request. That the client may have
// codes is certain, as none but such has redirect URIs.
func (q *request) complete(params map[string]string) *tokenError {
	switch {
	case params["response_type"] == "":
		return invalidRequest("response_type is missing")
	case params["response_type"] != "code":
		return &tokenError{Code: "unsupported_response_type", Description: "response_type is not code"}
	case params["response_mode"] != "" && params["response_mode"] != "query":
		return invalidRequest("response_mode is not query")
	}
	if refusal := checkChallenge(params["code_challenge"], params["code_challenge_method"]); refusal != nil {
		return refusal
	}
	scopes, refusal := q.client.granted(params["scope"])
	q.challenge, q.scopes = params["code_challenge"], scopes
	return refusal
}

// redirectError sends the browser back to the client with a refusal (RFC 6749
// section 4.1.2.1).
func (s *Server) redirectError(w http.ResponseWriter, r *http.Request, q *request, refusal *tokenError) {
	s.config.Log.Info("authorization refused", "client_id", q.client.ID, "error", refusal.Code, "description", refusal.Description)
	s.redirectBack(w, r, q, url.Values{"error": {refusal.Code}, "error_description": {refusal.Description}})
}

// redirectBack adds what every answer has: the state as it came, and who
// answers (RFC 9207). The status makes the browser forget the form that it
// may have sent (RFC 9700 section 4.12).
func (s *Server) redirectBack(w http.ResponseWriter, r *http.Request, q *request, answer url.Values) {
	if q.state != "" {
		answer.Set("state", q.state)
	}
	answer.Set("iss", s.config.Issuer)
	http.Redirect(w, r, withParameters(q.redirect, answer), http.StatusSeeOther)
}

// refuseOnPage tells the person, as the client cannot be told.
func (s *Server) refuseOnPage(w http.ResponseWriter, reason, text string) {
	s.config.Log.Info("authorization refused", "description", reason)
	s.showError(w, http.StatusBadRequest, "This application cannot sign you in", text)
}
