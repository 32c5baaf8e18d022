package app

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/linegate/linegate/auth"
	"github.com/linegate/linegate/gateway"
	"github.com/linegate/linegate/internal/state"
	"github.com/linegate/linegate/session"
)

// metrics are those of the rooms, and the few of the process itself.
type metrics struct {
	registry *prometheus.Registry

	auth    *auth.Metrics
	session *session.Metrics
	gateway *gateway.Metrics

	draining     prometheus.Gauge
	reloadOK     prometheus.Gauge
	lastReloadAt prometheus.Gauge
}

func newMetrics(version string, issuers []string) *metrics {
	reg := prometheus.NewRegistry()
	m := &metrics{
		registry: reg,

		auth:    auth.NewMetrics(reg, issuers),
		session: session.NewMetrics(reg, issuers),
		gateway: gateway.NewMetrics(reg),
		draining: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "linegate_draining", Help: "1 while the gateway drains.",
		}),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "linegate_config_last_reload_successful",
			Help: "1 when the configuration was last read without an error.",
		}),
		lastReloadAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "linegate_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was read.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "linegate_build_info", Help: "1; the labels tell what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.reloadOK.Set(1)
	m.lastReloadAt.SetToCurrentTime()
	reg.MustRegister(build, m.draining, m.reloadOK, m.lastReloadAt,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch shows what waits for the disk.
func (m *metrics) watch(d *state.Dir) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "linegate_revocations_unstored",
		Help: "Revocations in force that could not be stored yet.",
	}, func() float64 { return float64(d.Unstored()) }))
}

// setIssuers makes the series of these issuers exist.
func (m *metrics) setIssuers(names []string) {
	m.auth.SetIssuers(names)
	m.session.SetIssuers(names)
}
