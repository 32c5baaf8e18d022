package devissuer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/linegate/linegate/internal/mint"
)

// control serves what only the developer at this machine may do, on a page and
// to scripts. There is no login: the peer must be local, and a page in the
// developer's browser must not be able to act in his name.
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+controlPath+"{$}", s.showControl)
	mux.HandleFunc("GET "+controlPath+"state", s.serveState)
	for name, do := range map[string]controlAction{
		"rotate":   s.controlRotate,
		"remove":   s.controlRemove,
		"settings": s.controlSettings,
		"outage":   s.controlOutage,
	} {
		mux.Handle("POST "+controlPath+name, s.controlled(do))
	}
	return localOnly(http.NewCrossOriginProtection().Handler(mux))
}

// controlState is what the control page and API show.
type controlState struct {
	Signing         string     `json:"signing"`   // kid
	Published       []string   `json:"published"` // kids, the signing one first, then the next
	Keys            []keyState `json:"keys"`
	Algorithm       string     `json:"algorithm"`      // of keys to come
	TokenLifetime   int64      `json:"token_lifetime"` // seconds
	Outage          outage     `json:"outage"`
	OutageEndpoints []string   `json:"outage_endpoints"`
	RefreshFamilies int        `json:"refresh_families"`
	Devices         int        `json:"devices_waiting"`
}

type keyState struct {
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Stage     string `json:"stage"` // signing, next or retiring
}

func (s *Server) controlState() controlState {
	now := s.config.Now()
	var c controlState
	for i, key := range s.keys.published(now) {
		stage := []string{"signing", "next", "retiring"}[min(i, 2)]
		c.Keys = append(c.Keys, keyState{key.ID, key.Algorithm, stage})
		c.Published = append(c.Published, key.ID)
	}
	c.Signing = c.Published[0]
	algorithm, lifetime := s.keys.settings()
	c.Algorithm, c.TokenLifetime = algorithm, int64(lifetime/time.Second)
	c.Outage, c.OutageEndpoints = s.outages.current()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	c.RefreshFamilies, c.Devices = s.state.families.len(now), s.state.userCodes.len(now)
	return c
}

func (s *Server) serveState(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.controlState())
}

func (s *Server) showControl(w http.ResponseWriter, _ *http.Request) {
	s.show(w, page{Name: "control", Title: "Control", Data: struct {
		controlState
		Algorithms []string
		Modes      []outage
		Endpoints  []string
		Issuer     string
		Clients    []Client
		Users      []User
		Lifetime   time.Duration
	}{
		s.controlState(), mint.Algorithms, outageModes(), outageEndpoints(),
		s.config.Issuer, s.config.Clients, s.config.Users, s.lifetime(),
	}})
}

func (s *Server) lifetime() time.Duration {
	_, lifetime := s.keys.settings()
	return lifetime
}

// Fails tells the page which endpoints an outage hits; without one, those that
// the form offers first.
func (c controlState) Fails(endpoint string) bool {
	if c.Outage == noOutage {
		return endpoint != tokenEndpoint
	}
	return slices.Contains(c.OutageEndpoints, endpoint)
}

// controlAction changes something; an error goes with its HTTP status.
type controlAction func(form url.Values) (status int, err error)

// controlled reads the form, which may be missing, acts, and answers: with the
// page again for a browser, with the state for a script.
func (s *Server) controlled(do controlAction) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var form url.Values
		var err error
		status := http.StatusBadRequest
		if r.ContentLength != 0 {
			var refusal *tokenError
			if form, refusal = parseForm(w, r); refusal != nil {
				err = errors.New(refusal.Description)
			}
		}
		if err == nil {
			status, err = do(form)
		}
		fromPage := strings.Contains(r.Header.Get("Accept"), "text/html")
		switch {
		case err != nil && fromPage:
			s.showError(w, status, "That did not work", err.Error())
		case err != nil:
			http.Error(w, err.Error(), status)
		case fromPage:
			http.Redirect(w, r, controlPath, http.StatusSeeOther)
		default:
			s.serveState(w, r)
		}
	}
}

// controlRotate is Rotate.
func (s *Server) controlRotate(url.Values) (int, error) {
	_, err := s.Rotate()
	if errors.Is(err, errTooManyKeys) {
		return http.StatusTooManyRequests, err
	}
	return http.StatusInternalServerError, err
}

// controlRemove takes the key named by kid, or else the signing one, out of
// publication.
func (s *Server) controlRemove(form url.Values) (int, error) {
	now := s.config.Now()
	id := form.Get("kid")
	if id == "" {
		id = s.keys.published(now)[0].ID
	}
	err := s.keys.remove(now, id)
	if errors.Is(err, errUnknownKey) {
		return http.StatusNotFound, err
	}
	if err == nil {
		s.config.Log.Info("key removed", "kid", id)
	}
	return http.StatusInternalServerError, err
}

// controlSettings changes token_lifetime (a duration) and algorithm, each if it
// is there.
func (s *Server) controlSettings(form url.Values) (int, error) {
	algorithm, lifetime := s.keys.settings()
	if text := form.Get("token_lifetime"); text != "" {
		var err error
		if lifetime, err = time.ParseDuration(text); err != nil {
			return http.StatusBadRequest, fmt.Errorf("token_lifetime: %w", err)
		}
	}
	algorithm = cmp.Or(form.Get("algorithm"), algorithm)
	if err := checkIssuance(algorithm, lifetime, s.config.RotateEvery); err != nil {
		return http.StatusBadRequest, err
	}
	if err := s.keys.setAlgorithm(algorithm); err != nil {
		return http.StatusInternalServerError, err
	}
	s.keys.setLifetime(lifetime)
	s.config.Log.Info("settings changed", "token_lifetime", lifetime, "algorithm", algorithm)
	return http.StatusOK, nil
}

// controlOutage makes the endpoints fail in the way named by mode; without
// endpoints, metadata and key set do.
func (s *Server) controlOutage(form url.Values) (int, error) {
	mode, endpoints := outage(form.Get("mode")), form["endpoint"]
	if !slices.Contains(outageModes(), mode) {
		return http.StatusBadRequest, fmt.Errorf("mode is none of %q", outageModes())
	}
	if len(endpoints) == 0 {
		endpoints = []string{metadataEndpoint, jwksEndpoint}
	}
	for _, endpoint := range endpoints {
		if !slices.Contains(outageEndpoints(), endpoint) {
			return http.StatusBadRequest, fmt.Errorf("endpoint is none of %q", outageEndpoints())
		}
	}
	slices.Sort(endpoints)
	s.outages.set(mode, slices.Compact(endpoints))
	s.config.Log.Info("outage simulated", "mode", string(mode), "endpoints", endpoints)
	return http.StatusOK, nil
}
