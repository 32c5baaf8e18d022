package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linegate/linegate/wire"
)

// Metrics counts connections. It is a collector itself, because the number of
// open connections is derived from the others in the same scrape: accepted =
// open + the sum of closed, always.
type Metrics struct {
	closed       map[wire.Code]*atomic.Int64 // read-only after NewMetrics
	acceptErrors atomic.Int64
	panics       atomic.Int64
	limit        atomic.Int64
	memoryShort  atomic.Bool

	mu        sync.RWMutex
	listeners map[string]*listenerMetrics
}

type listenerMetrics struct {
	accepted atomic.Int64
	tls      *TLS
}

var (
	openDesc         = describe("connections_open", "Connections accepted and not yet closed.")
	limitDesc        = describe("connections_limit", "Connections that are served at once at most.")
	shortDesc        = describe("memory_short", "1 while new connections are told to come back because memory is short.")
	acceptedDesc     = describe("connections_accepted_total", "Connections accepted, by listener.", "listener")
	closedDesc       = describe("connections_closed_total", "Connections closed, by reason.", "reason")
	acceptErrorsDesc = describe("accept_errors_total", "Failures to accept a connection.")
	panicsDesc       = describe("panics_total", "Connections ended by a panic.")
	notAfterDesc     = describe("tls_certificate_not_after_timestamp_seconds",
		"When the certificate in use expires, by listener.", "listener")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("linegate_"+name, help, labels, nil)
}

// NewMetrics registers the metrics of connections with reg; a nil reg counts
// without showing.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		closed:    make(map[wire.Code]*atomic.Int64),
		listeners: make(map[string]*listenerMetrics),
	}
	for _, reason := range wire.EndReasons() {
		m.closed[reason] = new(atomic.Int64)
	}
	if reg != nil {
		reg.MustRegister(m)
	}
	return m
}

func (m *Metrics) addListener(l *Listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners[l.Name] == nil {
		m.listeners[l.Name] = &listenerMetrics{tls: l.TLS}
	}
}

func (m *Metrics) accept(l *Listener) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.listeners[l.Name].accepted.Add(1)
}

func oneIf(holds bool) int64 {
	if holds {
		return 1
	}
	return 0
}

// close counts a connection that ended. A code that is no reason to end is a
// fault of whoever served it.
func (m *Metrics) close(reason wire.Code) {
	if m.closed[reason] == nil {
		reason = wire.InternalError
	}
	m.closed[reason].Add(1)
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		openDesc, limitDesc, shortDesc, acceptedDesc, closedDesc, acceptErrorsDesc, panicsDesc, notAfterDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Closed is read before accepted, so
// that open is never below 0.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	counter := func(d *prometheus.Desc, value int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(d *prometheus.Desc, value int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	var open int64
	for reason, n := range m.closed {
		value := n.Load()
		open -= value
		counter(closedDesc, value, reason.String())
	}
	for name, l := range m.listeners {
		value := l.accepted.Load()
		open += value
		counter(acceptedDesc, value, name)
		if l.tls != nil {
			gauge(notAfterDesc, l.tls.NotAfter().Unix(), name)
		}
	}
	gauge(openDesc, open)
	gauge(limitDesc, m.limit.Load())
	gauge(shortDesc, oneIf(m.memoryShort.Load()))
	counter(acceptErrorsDesc, m.acceptErrors.Load())
	counter(panicsDesc, m.panics.Load())
}
