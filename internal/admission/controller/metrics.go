package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/seawall-security/seawall/internal/admission/background"
)

// metrics are of the state of things; admission.Handler has those of reviews.
type metrics struct {
	policies, exceptions, problems, leader, expires prometheus.Gauge
	registrations                                   prometheus.Counter
	background                                      *background.Metrics
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &metrics{
		policies:   gauge("seawall_policies", "Policies in force."),
		exceptions: gauge("seawall_policy_exceptions", "Exceptions in force."),
		problems:   gauge("seawall_policy_problems", "Policies and exceptions that are not in force as they are written."),
		leader:     gauge("seawall_leader", "1 where this replica registers the webhooks and runs the background scan."),
		expires:    gauge("seawall_certificate_expires_timestamp_seconds", "When the serving certificate ends."),
		registrations: prometheus.NewCounter(prometheus.CounterOpts{Name: "seawall_webhook_registrations_total",
			Help: "How often a webhook configuration was created or repaired."}),
		background: background.NewMetrics(r),
	}
	r.MustRegister(m.registrations)
	return m
}
