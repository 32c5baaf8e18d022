package auth

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what the key sets do. A nil *Metrics counts nothing. It is a
// collector itself: keys grow too old while nothing happens that would be counted.
type Metrics struct {
	fetches     *prometheus.CounterVec
	lastSuccess *prometheus.GaugeVec
	unknownKeys *prometheus.CounterVec
	cacheHits   prometheus.Counter
	cacheMisses prometheus.Counter

	mu      sync.Mutex
	issuers map[string]*Remote // whose keys are shown; nil: there was none yet
}

var keysDesc = prometheus.NewDesc("linegate_jwks_keys",
	"Keys of the issuer that tokens are verified with.", []string{"issuer"}, nil)

// NewMetrics registers the linegate_jwks_* metrics, with every series of these
// issuers at 0. It panics when reg has them already.
func NewMetrics(reg prometheus.Registerer, issuerNames []string) *Metrics {
	factory := promauto.With(reg)
	issuer := []string{"issuer"}
	m := &Metrics{
		fetches: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "linegate_jwks_fetches_total",
			Help: "Fetches of an issuer's key set, discovery included, by result.",
		}, []string{"issuer", "result"}),
		lastSuccess: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "linegate_jwks_last_success_timestamp_seconds",
			Help: "When the issuer's key set was last fetched; 0: never.",
		}, issuer),
		unknownKeys: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "linegate_jwks_unknown_key_total",
			Help: "Logins whose key was not in the issuer's set when they came.",
		}, issuer),
		cacheHits: factory.NewCounter(prometheus.CounterOpts{
			Name: "linegate_token_cache_hits_total",
			Help: "Logins whose token was verified before, and not again.",
		}),
		cacheMisses: factory.NewCounter(prometheus.CounterOpts{
			Name: "linegate_token_cache_misses_total",
			Help: "Logins whose token had to be verified.",
		}),
	}
	m.SetIssuers(issuerNames)
	if reg != nil {
		reg.MustRegister(m)
	}
	return m
}

// SetIssuers makes these the issuers that there are series for: new ones begin
// at 0, those of others go.
func (m *Metrics) SetIssuers(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.issuers
	m.issuers = make(map[string]*Remote, len(names))
	for _, name := range names {
		m.issuers[name] = before[name]
		for _, r := range []result{
			resultOK, resultStatus, resultTimeout, resultNetwork, resultInvalid, resultEmpty, resultTooLarge,
		} {
			m.fetches.WithLabelValues(name, string(r))
		}
		m.lastSuccess.WithLabelValues(name)
		m.unknownKeys.WithLabelValues(name)
	}
	for name := range before {
		if _, stays := m.issuers[name]; stays {
			continue
		}
		labels := prometheus.Labels{"issuer": name}
		m.fetches.DeletePartialMatch(labels)
		m.lastSuccess.Delete(labels)
		m.unknownKeys.Delete(labels)
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) { ch <- keysDesc }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.issuers {
		keys := 0
		if r != nil {
			keys = r.Current().Len()
		}
		ch <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(keys), name)
	}
}

// watch shows r's keys from now on, in the place of another's of the same issuer.
func (m *Metrics) watch(r *Remote) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.issuers[r.cfg.Name]; known {
		m.issuers[r.cfg.Name] = r
	}
}

func (m *Metrics) fetched(issuer string, at time.Time) {
	if m.has(issuer) {
		m.fetches.WithLabelValues(issuer, string(resultOK)).Inc()
	}
	m.published(issuer, at)
}

func (m *Metrics) published(issuer string, at time.Time) {
	if m.has(issuer) {
		m.lastSuccess.WithLabelValues(issuer).Set(float64(at.UnixMilli()) / 1000)
	}
}

func (m *Metrics) failed(issuer string, r result) {
	if m.has(issuer) {
		m.fetches.WithLabelValues(issuer, string(r)).Inc()
	}
}

func (m *Metrics) unknownKey(issuer string) {
	if m.has(issuer) {
		m.unknownKeys.WithLabelValues(issuer).Inc()
	}
}

func (m *Metrics) recalled(found bool) {
	switch {
	case m == nil:
	case found:
		m.cacheHits.Inc()
	default:
		m.cacheMisses.Inc()
	}
}

// has keeps a Remote that is still ending from bringing back the series of an
// issuer that was removed.
func (m *Metrics) has(issuer string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.issuers[issuer]
	return known
}
