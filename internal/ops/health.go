package ops

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Health is what readiness depends on, at one moment.
type Health struct {
	Listening bool // every listener is bound and accepts
	Draining  bool
	Issuers   []Issuer // as configured
}

// Issuer is the health of one issuer's key set.
type Issuer struct {
	Name     string // as configured
	Required bool   // not ready without its keys
	Keys     int    // usable ones
	Reason   string // why there is none, or why the last fetch failed; may be empty
}

// Ready says whether the gateway should be sent devices: it listens, does not
// drain, and has keys of at least one issuer and of each that is required.
func (h Health) Ready() bool { return h.report().Status == ready }

// The words of a status.
const (
	ready    = "ready"
	notReady = "not ready"
	ok       = "ok"
	failed   = "failed"
	stuck    = "stuck"
)

// report is the body of /readyz.
type report struct {
	Status  string         `json:"status"` // ready, or not ready
	Checks  []check        `json:"checks"`
	Issuers []issuerReport `json:"issuers"`
}

type check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, or failed
	Reason string `json:"reason,omitempty"`
}

type issuerReport struct {
	check
	Required bool `json:"required"`
	Keys     int  `json:"keys"`
}

func (h Health) report() report {
	r := report{Status: ready, Issuers: []issuerReport{}}
	var usable int
	var missing []string
	for _, i := range h.Issuers {
		status := ok
		if i.Keys == 0 {
			status = failed
			if i.Required {
				missing = append(missing, i.Name)
			}
		} else {
			usable++
		}
		r.Issuers = append(r.Issuers, issuerReport{check{i.Name, status, i.Reason}, i.Required, i.Keys})
	}
	expect := func(name string, holds bool, reason string) {
		c := check{Name: name, Status: ok}
		if !holds {
			c.Status, c.Reason, r.Status = failed, reason, notReady
		}
		r.Checks = append(r.Checks, c)
	}
	expect("listening", h.Listening, "not every listener accepts connections")
	expect("not_draining", !h.Draining, "draining")
	expect("any_issuer", usable > 0, "no issuer has usable keys")
	expect("required_issuers", len(missing) == 0, "no usable keys of "+strings.Join(missing, ", "))
	return r
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(body) // a client that went away
}
