package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// start serves o on loopback, as the gateway does, and returns its URL.
func start(t *testing.T, o Options) string {
	t.Helper()
	if o.Gatherer == nil {
		o.Gatherer = prometheus.NewRegistry()
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(New(o), slog.New(slog.NewTextHandler(t.Output(), nil)))
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

type answer struct {
	status      int
	contentType string
	body        string
}

func ask(t *testing.T, method, url string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header.Get("Content-Type"), string(body)}
}

func TestReadiness(t *testing.T) {
	good := Issuer{Name: "main", Keys: 2}
	down := Issuer{Name: "other", Reason: "timeout"}
	needed := Issuer{Name: "needed", Required: true}
	for _, test := range []struct {
		name   string
		health Health
		ready  bool
		failed string // the checks and issuers that fail, with the reason
	}{
		{"ready", Health{Listening: true, Issuers: []Issuer{good}}, true, ""},
		{"one of two issuers", Health{Listening: true, Issuers: []Issuer{down, good}}, true, "other: timeout"},
		{"old keys serve on", Health{Listening: true, Issuers: []Issuer{{Name: "main", Keys: 1, Reason: "timeout"}}}, true, ""},
		{"no keys yet", Health{Listening: true, Issuers: []Issuer{down}}, false, "any_issuer: no issuer has usable keys, other: timeout"},
		{"a required one", Health{Listening: true, Issuers: []Issuer{good, needed}}, false, "required_issuers: no usable keys of needed, needed: "},
		{"no issuer", Health{Listening: true}, false, "any_issuer: no issuer has usable keys"},
		{"not listening", Health{Issuers: []Issuer{good}}, false, "listening: not every listener accepts connections"},
		{"draining", Health{Listening: true, Draining: true, Issuers: []Issuer{good}}, false, "not_draining: draining"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := start(t, Options{Health: func() Health { return test.health }})
			got := ask(t, "GET", url+"/readyz")
			var body struct {
				Status          string
				Checks, Issuers []struct{ Name, Status, Reason string }
			}
			if err := json.Unmarshal([]byte(got.body), &body); err != nil {
				t.Fatal(err)
			}
			var failed []string
			for _, c := range append(body.Checks, body.Issuers...) {
				if c.Status != "ok" {
					failed = append(failed, c.Name+": "+c.Reason)
				}
			}
			if got := strings.Join(failed, ", "); got != test.failed {
				t.Errorf("failed %q, want %q", got, test.failed)
			}
			wantStatus, wantWord := http.StatusOK, "ready"
			if !test.ready {
				wantStatus, wantWord = http.StatusServiceUnavailable, "not ready"
			}
			if got.status != wantStatus || body.Status != wantWord || test.health.Ready() != test.ready {
				t.Errorf("answered %d %q, want %d %q; ready: %t", got.status, body.Status, wantStatus, wantWord, test.health.Ready())
			}
		})
	}
}

// The body as an operator sees it.
func TestReadinessBody(t *testing.T) {
	url := start(t, Options{Health: func() Health {
		return Health{Listening: true, Issuers: []Issuer{{Name: "main", Keys: 2}, {Name: "old", Reason: "status"}}}
	}})
	got := ask(t, "GET", url+"/readyz")
	const want = `{
  "status": "ready",
  "checks": [
    {
      "name": "listening",
      "status": "ok"
    },
    {
      "name": "not_draining",
      "status": "ok"
    },
    {
      "name": "any_issuer",
      "status": "ok"
    },
    {
      "name": "required_issuers",
      "status": "ok"
    }
  ],
  "issuers": [
    {
      "name": "main",
      "status": "ok",
      "required": false,
      "keys": 2
    },
    {
      "name": "old",
      "status": "failed",
      "reason": "status",
      "required": false,
      "keys": 0
    }
  ]
}
`
	if got.body != want || got.contentType != "application/json" {
		t.Errorf("%s\n%s", got.contentType, got.body)
	}
}

// TestHealth is asked of the process, and waited for only so long.
func TestHealth(t *testing.T) {
	for want, alive := range map[string]func(context.Context) error{
		"200 {\n  \"status\": \"ok\"\n}\n": well,
		"503 {\n  \"reason\": \"accepting: no answer\",\n  \"status\": \"stuck\"\n}\n": func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("accepting: no answer")
		},
	} {
		url := start(t, Options{Alive: alive})
		got := ask(t, "GET", url+"/healthz")
		if said := fmt.Sprint(got.status, " ", got.body); said != want || got.contentType != "application/json" {
			t.Errorf("%s: %s", got.contentType, said)
		}
	}
}

func well(context.Context) error { return nil }

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "lines_total", Help: "Lines."})
	registry.MustRegister(counter)
	counter.Add(3)
	url := start(t, Options{Gatherer: registry})

	text := ask(t, "GET", url+"/metrics")
	if !strings.HasPrefix(text.contentType, "text/plain") || !strings.Contains(text.body, "\nlines_total 3\n") {
		t.Errorf("%+v", text)
	}
	open := ask(t, "GET", url+"/metrics", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(open.contentType, "application/openmetrics-text") || !strings.HasSuffix(open.body, "# EOF\n") {
		t.Errorf("%+v", open)
	}
}

func TestWhatIsServed(t *testing.T) {
	plain := start(t, Options{Alive: well, Health: func() Health { return Health{} }})
	profiled := start(t, Options{Pprof: true})
	for _, test := range []struct {
		method, url string
		want        int
	}{
		{"HEAD", plain + "/healthz", http.StatusOK},
		{"HEAD", plain + "/readyz", http.StatusServiceUnavailable},
		{"HEAD", plain + "/metrics", http.StatusOK},
		{"POST", plain + "/healthz", http.StatusMethodNotAllowed},
		{"PUT", plain + "/readyz", http.StatusMethodNotAllowed},
		{"DELETE", plain + "/metrics", http.StatusMethodNotAllowed},
		{"GET", plain + "/", http.StatusNotFound},
		{"GET", plain + "/debug/pprof/", http.StatusNotFound},
		{"GET", plain + "/debug/pprof/cmdline", http.StatusNotFound},
		{"GET", profiled + "/debug/pprof/", http.StatusOK},
		{"GET", profiled + "/debug/pprof/goroutine?debug=1", http.StatusOK},
		{"GET", profiled + "/debug/pprof/cmdline", http.StatusOK},
		{"GET", profiled + "/debug/pprof/symbol", http.StatusOK},
		{"POST", profiled + "/debug/pprof/symbol", http.StatusMethodNotAllowed},
	} {
		if got := ask(t, test.method, test.url); got.status != test.want {
			t.Errorf("%s %s: %d, want %d", test.method, test.url, got.status, test.want)
		}
	}
}
