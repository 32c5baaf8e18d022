package devissuer

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

const stylePath = "/style.css"

// pages are the templates of what people see, by name.
type pages map[string]*template.Template

// parsePages reads the templates; each is set into layout.html.
func parsePages() (pages, error) {
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("devissuer: pages: %w", err)
	}
	parsed := pages{}
	for _, name := range names {
		t, err := template.ParseFS(pageFiles, "pages/layout.html", name)
		if err != nil {
			return nil, fmt.Errorf("devissuer: pages: %w", err)
		}
		parsed[strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".html")] = t
	}
	return parsed, nil
}

// page is one page as the layout needs it.
type page struct {
	Name   string // of the template
	Status int    // HTTP; 200 when 0
	Title  string
	Target string // where the page's form may lead by redirect beside here, an origin
	Data   any    // the template's own
}

// show answers with a page. Nothing on it comes from elsewhere or runs; its
// forms lead here, and on to the target alone.
func (s *Server) show(w http.ResponseWriter, p page) {
	var text bytes.Buffer
	if err := s.pages[p.Name].ExecuteTemplate(&text, "layout.html", p); err != nil {
		s.config.Log.Error("page not made", "page", p.Name, "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", strings.TrimSpace(
		"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+formTarget(p.Target)))
	// With no-referrer a browser hides even from this server that its own
	// page has sent a form.
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(cmp.Or(p.Status, http.StatusOK))
	_, _ = w.Write(text.Bytes())
}

// formTarget returns a source expression for a redirect after a form, which
// browsers hold to form-action too. IPv6 addresses cannot be said in it (CSP3
// section 2.3.1), only their scheme.
func formTarget(origin string) string {
	if strings.Contains(origin, "[") {
		scheme, _, _ := strings.Cut(origin, "//")
		return scheme
	}
	return origin
}

func (s *Server) showError(w http.ResponseWriter, status int, title, text string) {
	s.show(w, page{Name: "message", Status: status, Title: title, Data: text})
}

// showSignIn lets a person say who she is; the form leads to here again, where
// what client wants is decided.
func (s *Server) showSignIn(w http.ResponseWriter, b *browser, here, client string) {
	s.show(w, page{Name: "signin", Title: "Sign in", Data: struct {
		Action, FormToken, Client string
		Users                     []User
	}{here, b.formToken, client, s.config.Users}})
}

func (s *Server) serveStyle(w http.ResponseWriter, _ *http.Request) {
	style, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic("devissuer: own style is missing: " + err.Error())
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", maxAge)
	_, _ = w.Write(style)
}
