package auth

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what the key sets do. A nil *Metrics counts nothing.
type Metrics struct {
	fetches     *prometheus.CounterVec
	keys        *prometheus.GaugeVec
	lastSuccess *prometheus.GaugeVec
	unknownKeys *prometheus.CounterVec
	cacheHits   prometheus.Counter
	cacheMisses prometheus.Counter

	mu      sync.Mutex
	issuers map[string]bool
}

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
		keys: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "linegate_jwks_keys",
			Help: "Keys of the issuer that tokens are verified with.",
		}, issuer),
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
	return m
}

// SetIssuers makes these the issuers that there are series for: new ones begin
// at 0, those of others go.
func (m *Metrics) SetIssuers(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := m.issuers
	m.issuers = make(map[string]bool, len(names))
	for _, name := range names {
		m.issuers[name] = true
		delete(gone, name)
		for _, r := range []result{
			resultOK, resultStatus, resultTimeout, resultNetwork, resultInvalid, resultEmpty, resultTooLarge,
		} {
			m.fetches.WithLabelValues(name, string(r))
		}
		m.keys.WithLabelValues(name)
		m.lastSuccess.WithLabelValues(name)
		m.unknownKeys.WithLabelValues(name)
	}
	for name := range gone {
		labels := prometheus.Labels{"issuer": name}
		m.fetches.DeletePartialMatch(labels)
		m.keys.Delete(labels)
		m.lastSuccess.Delete(labels)
		m.unknownKeys.Delete(labels)
	}
}

func (m *Metrics) fetched(issuer string, keys int, at time.Time) {
	if m.has(issuer) {
		m.fetches.WithLabelValues(issuer, string(resultOK)).Inc()
	}
	m.published(issuer, keys, at)
}

func (m *Metrics) published(issuer string, keys int, at time.Time) {
	if m.has(issuer) {
		m.keys.WithLabelValues(issuer).Set(float64(keys))
		m.lastSuccess.WithLabelValues(issuer).Set(float64(at.UnixMilli()) / 1000)
	}
}

func (m *Metrics) failed(issuer string, r result, usableKeys int) {
	if m.has(issuer) {
		m.fetches.WithLabelValues(issuer, string(r)).Inc()
		m.keys.WithLabelValues(issuer).Set(float64(usableKeys))
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
	return m.issuers[issuer]
}
