package admission

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of docs/guide/admission.md.
type metrics struct {
	reviews   *prometheus.CounterVec
	decisions *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	cache     *prometheus.CounterVec
	unknown   *prometheus.CounterVec
	scans     *prometheus.CounterVec
	unjudged  *prometheus.CounterVec
	lost      prometheus.Counter
}

func newMetrics(r prometheus.Registerer, h *Handler) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "seawall_admission_" + name, Help: help}, labels)
	}
	m := &metrics{
		reviews:   counter("reviews_total", "Reviews answered.", "webhook", "operation", "outcome"),
		decisions: counter("decisions_total", "Decisions of policies.", "policy", "rule", "action", "outcome"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "seawall_admission_duration_seconds", Help: "Time from a review's first byte to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .002, .005, .01, .025, .1, .5, 1, 5, 10}}, []string{"webhook"}),
		cache:    counter("cache_total", "Questions that a cache answered, or not.", "cache", "result"),
		unknown:  counter("unknown_images_total", "Images in reviews that nobody had scanned, by what was done.", "result"),
		scans:    counter("scans_total", "Scans of images that admission asked for.", "result"),
		unjudged: counter("unjudged_total", "Reviews that could not be judged, by why.", "reason"),
		lost:     prometheus.NewCounter(prometheus.CounterOpts{Name: "seawall_admission_reviews_lost_total", Help: "Answers that were given and could not be remembered."}),
	}
	if r == nil {
		return m, nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "seawall_admission_" + name, Help: help}, value)
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.reviews, m.decisions, m.duration, m.cache, m.unknown, m.scans, m.unjudged, m.lost,
		gauge("scan_queue", "Images that wait to be scanned.", func() float64 { return float64(len(h.images.scans.queue)) }),
		gauge("exceptions_expiring", "Exceptions that end within 14 days.", func() float64 { n, _ := h.config.Policies().expiring(h.config.Now()); return float64(n) }),
		gauge("exceptions_expired", "Exceptions that ended and are still there.", func() float64 { _, n := h.config.Policies().expiring(h.config.Now()); return float64(n) }),
	} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) cached(cache string, hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	m.cache.WithLabelValues(cache, result).Inc()
}

// note counts an answer.
func (m *metrics) note(webhook, operation string, resp *Response, took time.Duration) {
	m.reviews.WithLabelValues(webhook, operation, string(resp.Outcome)).Inc()
	m.duration.WithLabelValues(webhook).Observe(took.Seconds())
	for i := range resp.Decisions {
		d := &resp.Decisions[i]
		m.decisions.WithLabelValues(d.Policy, d.Rule, d.Action, d.Outcome).Inc()
	}
}
