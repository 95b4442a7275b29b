package agent

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
)

// counters count what the agent does, for statuses and metrics.
type counters struct {
	syscalls, audits   atomic.Uint64
	excluded, overflow atomic.Uint64
	failed             atomic.Uint64 // events that could not be judged
	reloads            struct{ done, failed atomic.Uint64 }
	findings, actions  tally
	suppressed         tally
}

// tally counts by a word.
type tally struct {
	mu sync.Mutex
	n  map[string]uint64
}

func (t *tally) add(word string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]uint64{}
	}
	t.n[word]++
}

func (t *tally) all() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.n)
}

func (c *counters) judged(source string) *atomic.Uint64 {
	if source == seawall.SourceAudit {
		return &c.audits
	}
	return &c.syscalls
}

func (c *counters) suppress(rule string) { c.suppressed.add(rule) }

// Impaired is an optional second interface of a Source: what keeps it from seeing
// anything just now, "" where nothing does.
type Impaired interface {
	Impaired() string
}

// statuses tell how sources fare, and what of the findings was not told. The counts
// are of the whole run.
func (d *desk) statuses() {
	for _, s := range d.Sources {
		var lost []string
		if i, ok := s.(Impaired); ok && i.Impaired() != "" {
			lost = append(lost, i.Impaired())
		}
		for _, c := range d.sums(s) {
			if c.N > 0 && c.Fate != FateEmitted && c.Fate != FateFiltered {
				lost = append(lost, plural(c.N, "event")+" "+c.Fate)
			}
		}
		status := seawall.CollectorStatus{Asset: d.Live.asset.ID, Name: "sensor/" + s.Name(), Status: seawall.RunOK, Found: int(d.counters.judged(s.Name()).Load())}
		if len(lost) > 0 {
			status.Status, status.Reason = seawall.RunPartial, strings.Join(lost, ", ")
		}
		d.out(seawall.Message{Status: &status})
	}
	for _, s := range d.rules.Load().Engine.Rules() {
		if s.State == rules.StateUnsupported && slices.ContainsFunc(d.Sources, func(source Source) bool { return source.Name() == s.Source }) {
			d.out(seawall.Message{Status: &seawall.CollectorStatus{Asset: d.Live.asset.ID, Name: "rule/" + s.Name, Status: seawall.RunSkipped, Reason: s.Reason}})
		}
	}
	if n := d.counters.overflow.Load(); n > 0 {
		d.out(seawall.Message{Status: &seawall.CollectorStatus{Asset: d.Live.asset.ID, Name: "rules", Status: seawall.RunPartial, Reason: plural(n, "finding") + " came faster than they could be handled"}})
	}
	if n := d.counters.failed.Load(); n > 0 {
		d.out(seawall.Message{Status: &seawall.CollectorStatus{Asset: d.Live.asset.ID, Name: "judge", Status: seawall.RunPartial, Reason: plural(n, "event") + " could not be judged"}})
	}
	suppressed := d.counters.suppressed.all()
	for _, rule := range slices.Sorted(maps.Keys(suppressed)) {
		d.out(seawall.Message{Status: &seawall.CollectorStatus{Asset: d.Live.asset.ID, Name: "rule/" + rule, Status: seawall.RunPartial, Reason: plural(suppressed[rule], "finding") + " over its rate not told"}})
	}
}

// sums are a source's counters over all types.
func (d *desk) sums(s Source) []Counter {
	byFate := map[string]uint64{}
	for _, c := range s.Counters() {
		byFate[c.Fate] += c.N
	}
	var out []Counter
	for _, fate := range slices.Sorted(maps.Keys(byFate)) {
		out = append(out, Counter{Fate: fate, N: byFate[fate]})
	}
	return out
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatUint(n, 10) + " " + noun + "s"
}
