package session

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linegate/linegate/auth"
)

// Metrics counts what sessions do. What is counted with every batch of lines is
// a plain atomic, collected when scraped.
type Metrics struct {
	attempts *prometheus.CounterVec
	duration prometheus.Histogram

	lines         [3]atomic.Int64 // by lineKind
	bytesReceived atomic.Int64
	bytesSent     atomic.Int64
	sessionsOpen  func() int
	issuers       atomic.Pointer[map[string]bool] // that have series; read-only
}

var (
	attemptKinds = [...]string{login: "login", renewal: "renewal"}
	lineKinds    = [...]string{authLine: "auth", pingLine: "ping", messageLine: "message"}
)

// NewMetrics registers the metrics of sessions with reg; a nil reg counts
// without showing. Every series of issuers exists at 0 from the start.
func NewMetrics(reg prometheus.Registerer, issuers []string) *Metrics {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "linegate_auth_attempts_total",
			Help: "AUTH lines answered, by issuer, kind and outcome.",
		}, []string{"issuer", "kind", "outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "linegate_auth_duration_seconds",
			Help: "Time from a complete AUTH line to its answer.",
			Buckets: []float64{
				.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
			},
		}),
		sessionsOpen: func() int { return 0 },
	}
	m.SetIssuers(issuers)
	if reg == nil {
		return m
	}
	reg.MustRegister(m.attempts, m.duration,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "linegate_sessions_open",
			Help: "Authenticated sessions.",
		}, func() float64 { return float64(m.sessionsOpen()) }),
		counterFunc("linegate_bytes_received_total", "Bytes read from clients, TLS and PROXY headers not counted.", nil, &m.bytesReceived),
		counterFunc("linegate_bytes_sent_total", "Bytes written to clients, TLS not counted.", nil, &m.bytesSent),
	)
	for kind, word := range lineKinds {
		reg.MustRegister(counterFunc("linegate_lines_received_total", "Complete lines from clients, by kind.",
			prometheus.Labels{"kind": word}, &m.lines[kind]))
	}
	return m
}

func counterFunc(name, help string, labels prometheus.Labels, value *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
		func() float64 { return float64(value.Load()) })
}

// SetIssuers makes every series of these issuers, and of no issuer, exist, and
// those of issuers that were there before go.
func (m *Metrics) SetIssuers(names []string) {
	known := map[string]bool{"": true}
	for _, name := range names {
		known[name] = true
	}
	if before := m.issuers.Swap(&known); before != nil {
		for name := range *before {
			if !known[name] {
				m.attempts.DeletePartialMatch(prometheus.Labels{"issuer": name})
			}
		}
	}
	for _, issuer := range append([]string{""}, names...) {
		for _, kind := range attemptKinds {
			for _, o := range auth.Outcomes() {
				m.attempts.WithLabelValues(issuer, kind, o.String())
			}
		}
	}
}

// count takes the machine's line counts over.
func (m *Metrics) count(lines *[3]uint32) {
	for kind, n := range lines {
		if n > 0 {
			m.lines[kind].Add(int64(n))
			lines[kind] = 0
		}
	}
}

func (m *Metrics) attempt(kind attemptKind, identity *auth.Identity, err error, took time.Duration) {
	issuer := ""
	if err == nil {
		issuer = identity.IssuerName
	} else {
		issuer = refusedBy(err)
	}
	if !(*m.issuers.Load())[issuer] {
		issuer = "" // it was removed meanwhile, and its series must not return
	}
	m.attempts.WithLabelValues(issuer, attemptKinds[kind], outcome(err).String()).Inc()
	m.duration.Observe(took.Seconds())
}
