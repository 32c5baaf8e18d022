package devissuer

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"
)

// browser is one that has been here, by the cookie that it was given.
type browser struct {
	formToken string // in every form; who lacks it has not seen the form
	user      string // ID of who is signed in, or empty; guarded by state.mu
}

// visitor returns the browser that sent a request, if its cookie is known.
func (s *Server) visitor(r *http.Request) (*browser, bool) {
	cookie, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil, false
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.browsers.get(s.config.Now(), cookie.Value)
}

// welcome is visitor, and gives a new browser its cookie.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request) *browser {
	if b, ok := s.visitor(r); ok {
		return b
	}
	b := &browser{formToken: rand.Text()}
	s.giveCookie(w, b)
	return b
}

// signIn makes user the one who is signed in; empty: nobody. The cookie
// changes, so that nobody can have planted the one that is worth something.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, b *browser, user string) {
	s.state.mu.Lock()
	b.user = user
	if old, err := r.Cookie(s.cookieName()); err == nil {
		s.state.browsers.remove(old.Value)
	}
	s.state.mu.Unlock()
	s.giveCookie(w, b)
	s.config.Log.Info("signed in or out", "sub", user)
}

// giveCookie names the browser. Other sites can neither read the cookie nor
// have it sent with a form, but may send a person here who has it.
func (s *Server) giveCookie(w http.ResponseWriter, b *browser) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name:     s.cookieName(),
		Value:    s.state.browsers.add(s.config.Now(), b),
		Path:     "/",
		MaxAge:   int(browserLife / time.Second),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
		Secure:   s.issuer.Scheme == "https",
	})
}

// cookieName has the port in it: browsers share the cookies of a host among
// its ports.
func (s *Server) cookieName() string { return "linegate_dev_" + s.issuer.Port() }

// user returns who is signed in.
func (s *Server) user(b *browser) (User, bool) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.userByID(b.user)
}

func (s *Server) userByID(id string) (User, bool) {
	for _, user := range s.config.Users {
		if user.ID == id {
			return user, true
		}
	}
	return User{}, false
}

// form is what arrives from a form of ours.
type form struct {
	browser *browser
	params  map[string]string
}

// ownForm returns what was sent by a form that this server showed to this very
// browser; anything else is refused on a page.
func (s *Server) ownForm(w http.ResponseWriter, r *http.Request) (form, bool) {
	params, refusal := readForm(w, r)
	if refusal != nil {
		s.showError(w, http.StatusBadRequest, "This form cannot be read", refusal.Description)
		return form{}, false
	}
	b, ok := s.visitor(r)
	if !ok || !equalSecrets(params["form_token"], b.formToken) {
		s.showForeignForm(w, r)
		return form{}, false
	}
	return form{browser: b, params: params}, true
}

func (s *Server) showForeignForm(w http.ResponseWriter, r *http.Request) {
	s.config.Log.Warn("form refused: it is not of this server and browser", "path", r.URL.Path)
	s.showError(w, http.StatusForbidden, "This form is not from here",
		"What was sent does not come from a page that this server showed to this browser, or it is too old. Nothing was done. Go back to where you came from and start again; cookies must be allowed.")
}

// signsInOrOut does what a form asks for about the person alone, and shows the
// page at here again. It reports whether that was all.
func (s *Server) signsInOrOut(w http.ResponseWriter, r *http.Request, f form, here string) bool {
	if id, ok := f.params["user"]; ok {
		if _, known := s.userByID(id); !known {
			s.showError(w, http.StatusBadRequest, "There is nobody of that name", "Go back and choose one of the people on the page.")
			return true
		}
		s.signIn(w, r, f.browser, id)
	} else if f.params["decision"] == "leave" {
		s.signIn(w, r, f.browser, "")
	} else {
		return false
	}
	http.Redirect(w, r, here, http.StatusSeeOther)
	return true
}

// at returns the local address of a page with one parameter.
func at(path, name, value string) string {
	if value == "" {
		return path
	}
	return path + "?" + url.Values{name: {value}}.Encode()
}
