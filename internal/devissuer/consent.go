package devissuer

import (
	"net/http"
	"net/url"
)

// showConsent asks who is there, and then whether the client may have what it
// asks for.
func (s *Server) showConsent(w http.ResponseWriter, r *http.Request) {
	b, known := s.visitor(r)
	id := r.URL.Query().Get("request")
	q, ok := s.waiting(id, b)
	if !known || !ok {
		s.showStaleRequest(w)
		return
	}
	here := at(consentPath, "request", id)
	user, signedIn := s.user(b)
	if !signedIn {
		s.showSignIn(w, b, here, q.client.DisplayName())
		return
	}
	s.show(w, page{
		Name: "consent", Title: "Allow access?", Target: origin(q.redirect),
		Data: consentPage{
			Action: here, FormToken: b.formToken, Client: q.client, User: user.DisplayName(),
			Permissions: permissions(q.scopes, q.client.may(GrantRefresh)), Return: origin(q.redirect),
		},
	})
}

// consentPage is what a person is asked; of a device it has the user code, of a
// redirect the place to which it leads.
type consentPage struct {
	Action, FormToken string
	Client            Client
	User              string
	Permissions       []permission
	Return            string
	UserCode          string
}

// decideConsent takes the person's answer and sends the browser back to the
// client with a code or a refusal (RFC 6749 section 4.1.2).
func (s *Server) decideConsent(w http.ResponseWriter, r *http.Request) {
	f, ok := s.ownForm(w, r)
	if !ok {
		return
	}
	id := r.URL.Query().Get("request")
	if _, ok := s.waiting(id, f.browser); !ok {
		s.showStaleRequest(w)
		return
	}
	if s.signsInOrOut(w, r, f, at(consentPath, "request", id)) {
		return
	}
	user, signedIn := s.user(f.browser)
	decision := f.params["decision"]
	if !signedIn || decision != "allow" && decision != "deny" {
		s.showUndecided(w)
		return
	}
	q, ok := s.take(id, f.browser)
	if !ok {
		s.showStaleRequest(w)
		return
	}
	if decision == "deny" {
		s.redirectError(w, r, q, &tokenError{Code: "access_denied", Description: "the user has denied it"})
		return
	}
	s.config.Log.Info("authorization granted", "client_id", q.client.ID, "sub", user.ID)
	s.redirectBack(w, r, q, url.Values{"code": {s.newCode(q, user.ID)}})
}

// waiting returns the request that waits under id for a decision in browser b.
func (s *Server) waiting(id string, b *browser) (*request, bool) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	q, ok := s.state.requests.get(s.config.Now(), id)
	return q, ok && q.browser == b
}

// take is waiting, and takes the request away, so that it is decided once.
func (s *Server) take(id string, b *browser) (*request, bool) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	q, ok := s.state.requests.get(s.config.Now(), id)
	if !ok || q.browser != b {
		return nil, false
	}
	s.state.requests.remove(id)
	return q, true
}

func (s *Server) showStaleRequest(w http.ResponseWriter) {
	s.showError(w, http.StatusBadRequest, "There is nothing to decide here",
		"The request is older than ten minutes, was decided before, or began in another browser. Go back to the application and start again; cookies must be allowed.")
}

func (s *Server) showUndecided(w http.ResponseWriter) {
	s.showError(w, http.StatusBadRequest, "This form holds no decision",
		"It was not sent by one of the buttons on the page, or you are not signed in any more. Go back and try again.")
}

// origin returns where a redirect URI leads: its scheme and host, or its
// private-use scheme alone.
func origin(redirect string) string {
	u, err := url.Parse(redirect)
	if err != nil {
		return ""
	}
	if u.Host == "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}
