package admin

import (
	"encoding/json"
	"net/http"
)

// answer is what a request that succeeded is told.
type answer struct {
	status   int
	location string // of what was created
	body     any    // as JSON; nil: none
}

func (a answer) write(w http.ResponseWriter) {
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	writeJSON(w, a.status, a.body)
}

// problem is why a request failed, as its client is told.
type problem struct {
	status int
	code   string // error, as OAuth names its own; empty: no body
	text   string // error_description; empty: none
	header map[string]string
}

func (p *problem) Error() string { return p.code + ": " + p.text }

func (p *problem) write(w http.ResponseWriter) {
	for name, value := range p.header {
		w.Header().Set(name, value)
	}
	if p.code == "" {
		w.WriteHeader(p.status)
		return
	}
	writeJSON(w, p.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{p.code, p.text})
}

func invalidRequest(text string) *problem {
	return &problem{status: http.StatusBadRequest, code: "invalid_request", text: text}
}

func notFound(text string) *problem {
	return &problem{status: http.StatusNotFound, code: "not_found", text: text}
}

func serverError(text string) *problem {
	return &problem{status: http.StatusInternalServerError, code: "server_error", text: text}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away
}
