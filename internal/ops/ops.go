// Package ops is the operator's HTTP: metrics, health, readiness and, where it
// is asked for, profiles. Nothing here changes anything or names a client.
package ops

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options say what is shown.
type Options struct {
	Gatherer prometheus.Gatherer // of /metrics
	Health   func() Health       // asked by each /readyz, from several goroutines
	// Alive is asked by each /healthz, from several goroutines: an error says
	// what the process is stuck at. It must return once the context is done.
	Alive func(context.Context) error
	Pprof bool // show /debug/pprof/
}

// New returns the handler of
//
//	/metrics       Prometheus text, and OpenMetrics where the client prefers it
//	/healthz       200 while the process serves, 503 while it is stuck
//	/readyz        200 while ready, else 503; the body says why
//	/debug/pprof/  profiles, when enabled
//
// for GET and HEAD; any other method gets 405.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 8, // then 503: scraping never costs the devices much
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if err := o.Alive(ctx); err != nil {
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": stuck, "reason": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"status": ok})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		report := o.Health().report()
		status := http.StatusOK
		if report.Status != ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, report)
	})
	if o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// patience is how long /healthz waits for its answer.
const patience = 2 * time.Second

// NewServer returns a server of h that no slow client can hold up. Its errors
// go to log as warnings.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute, // a CPU profile takes 30 s by default
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
