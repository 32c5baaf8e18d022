package devissuer

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// outage is a way in which an endpoint can fail while one is simulated.
type outage string

const (
	noOutage      outage = "none"
	statusOutage  outage = "500"     // status 500
	hangOutage    outage = "hang"    // no answer; the connection is cut when the outage ends, or after hangTime at the latest
	garbageOutage outage = "garbage" // 200, said to be JSON, and is not
	slowOutage    outage = "slow"    // the right answer, slowTime late
	emptyOutage   outage = "empty"   // 200 with an empty key set or object
)

const (
	hangTime = time.Minute
	slowTime = 3 * time.Second
)

func outageModes() []outage {
	return []outage{noOutage, statusOutage, hangOutage, garbageOutage, slowOutage, emptyOutage}
}

// Endpoints that can fail, as the control API names them, with their empty
// answers.
const (
	metadataEndpoint = "metadata"
	jwksEndpoint     = "jwks"
	tokenEndpoint    = "token"
)

func emptyAnswers() map[string]string {
	return map[string]string{metadataEndpoint: `{}`, jwksEndpoint: `{"keys":[]}`, tokenEndpoint: `{}`}
}

func outageEndpoints() []string { return slices.Sorted(maps.Keys(emptyAnswers())) }

// outages says which endpoints fail and how.
type outages struct {
	mu        sync.Mutex // guards what follows
	mode      outage
	endpoints []string      // none while nothing fails
	changed   chan struct{} // closed at the next change
}

func newOutages() *outages {
	return &outages{mode: noOutage, endpoints: []string{}, changed: make(chan struct{})}
}

func (o *outages) set(mode outage, endpoints []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if mode == noOutage {
		endpoints = []string{}
	}
	o.mode, o.endpoints = mode, endpoints
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *outages) current() (mode outage, endpoints []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mode, o.endpoints
}

// at returns how an endpoint fails now, and what ends that.
func (o *outages) at(endpoint string) (outage, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.endpoints, endpoint) {
		return noOutage, o.changed
	}
	return o.mode, o.changed
}

// hits serves an endpoint that can fail.
func (o *outages) hits(endpoint string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		mode, ended := o.at(endpoint)
		switch mode {
		case statusOutage:
			http.Error(w, "simulated outage", http.StatusInternalServerError)
		case hangOutage:
			// Only when the body is read does the server see the peer go.
			_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxForm))
			wait(r, ended, hangTime)
			panic(http.ErrAbortHandler)
		case garbageOutage:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "<html>simulated outage: this is no JSON")
		case emptyOutage:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, emptyAnswers()[endpoint])
		case slowOutage:
			wait(r, ended, slowTime)
			next(w, r)
		default:
			next(w, r)
		}
	}
}

// wait returns when the peer has gone, the outage has changed or time is up.
func wait(r *http.Request, ended <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
	case <-ended:
	case <-timer.C:
	}
}
