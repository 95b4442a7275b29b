package agent

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/sink/spool"
)

// Describe implements prometheus.Collector: what there is depends on the rules and outputs.
func (l *Live) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (l *Live) Collect(out chan<- prometheus.Metric) {
	m := metrics(out)
	m.gauge("info", "The agent, always 1.", 1, "version", l.Tool.Version, "node", l.Node)
	for _, s := range l.Sources {
		for _, c := range s.Counters() {
			m.counter("events_total", "Events by what became of them.", c.N, "source", s.Name(), "type", c.Type, "fate", c.Fate)
		}
		m.counter("events_judged_total", "Events that rules were asked about.", l.counters.judged(s.Name()).Load(), "source", s.Name())
	}
	m.counter("events_failed_total", "Events that could not be judged.", l.counters.failed.Load())
	for severity, n := range l.counters.findings.all() {
		m.counter("findings_total", "Findings told.", n, "severity", severity)
	}
	for rule, n := range l.counters.suppressed.all() {
		m.counter("findings_suppressed_total", "Findings not told because their rule was over its rate.", n, "rule", rule)
	}
	m.counter("findings_dropped_total", "Findings that came faster than they could be handled.", l.counters.overflow.Load())
	m.counter("findings_excluded_total", "Matches in excluded namespaces.", l.counters.excluded.Load())
	for key, n := range l.counters.actions.all() {
		action, outcome, _ := strings.Cut(key, " ")
		m.counter("actions_total", "Decisions of policies by action and outcome.", n, "action", action, "outcome", outcome)
	}
	states := map[string]uint64{rules.StateOK: 0, rules.StateDisabled: 0, rules.StateUnsupported: 0}
	for _, s := range l.rules.Load().Engine.Rules() {
		states[s.State]++
	}
	for state, n := range states {
		m.gauge("rules", "Rules by state.", float64(n), "state", state)
	}
	m.counter("rules_reloads_total", "Times rules were read anew.", l.counters.reloads.done.Load(), "result", "ok")
	m.counter("rules_reloads_total", "Times rules were read anew.", l.counters.reloads.failed.Load(), "result", "failed")
	for _, o := range l.Outputs {
		m.output(o)
	}
}

// metrics sends what is collected.
type metrics chan<- prometheus.Metric

func (m metrics) output(o *Output) {
	m.counter("output_dropped_total", "Messages an output had no room for.", o.dropped.Load(), "output", o.Name)
	m.counter("output_errors_total", "Messages an output could not take.", o.failed.Load(), "output", o.Name)
	s, ok := o.Handler.(interface{ Counters() spool.Counters })
	if !ok {
		return
	}
	c := s.Counters()
	m.counter("spool_delivered_total", "Messages the receiver acknowledged.", c.Delivered, "output", o.Name)
	m.counter("spool_dropped_total", "Messages the full spool had no room for.", c.Dropped, "output", o.Name)
	m.counter("spool_rejected_total", "Messages the receiver refused for good.", c.Rejected, "output", o.Name)
	m.counter("spool_failures_total", "Deliveries that are tried again.", c.Failures, "output", o.Name)
	m.gauge("spool_messages", "Messages waiting for the receiver.", float64(c.Records), "output", o.Name)
	m.gauge("spool_bytes", "Size of the spool on disk.", float64(c.Bytes), "output", o.Name)
}

func (m metrics) counter(name, help string, n uint64, labels ...string) {
	m.send(prometheus.CounterValue, name, help, float64(n), labels)
}

func (m metrics) gauge(name, help string, n float64, labels ...string) {
	m.send(prometheus.GaugeValue, name, help, n, labels)
}

// send sends one value; labels are names and values in turn.
func (m metrics) send(kind prometheus.ValueType, name, help string, n float64, labels []string) {
	constant := prometheus.Labels{}
	for i := 0; i < len(labels); i += 2 {
		constant[labels[i]] = strings.ToValidUTF8(labels[i+1], "?")
	}
	m <- prometheus.MustNewConstMetric(prometheus.NewDesc("seawall_agent_"+name, help, nil, constant), kind, n)
}
