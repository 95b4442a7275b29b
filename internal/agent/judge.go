package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"runtime/debug"

	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

// judge asks the rules about the events of one source, in the source's goroutine.
type judge struct {
	*Live
	source  string
	limiter limiter
	rules   *Rules
	state   *rules.State
}

// event judges one event. Nothing is allocated where no rule is true. What goes wrong
// about one event, which an intruder may have shaped, is counted and costs no other.
func (j *judge) event(e Event) {
	defer func() {
		if wrong := recover(); wrong != nil {
			if j.counters.failed.Add(1) == 1 {
				j.Log.Error("an event could not be judged; please report this", "type", e.EventType(), "error", wrong, "stack", string(debug.Stack()))
			}
		}
	}()
	if now := j.Live.rules.Load(); now != j.rules {
		j.rules, j.state = now, now.Engine.NewState()
		j.limiter.buckets = nil // its keys are the old rules
	}
	j.counters.judged(j.source).Add(1)
	j.observers(e)
	for _, r := range j.state.Match(j.source, e) {
		j.match(r, e)
	}
}

// of is the asset that the source's events are of: an audit log is the cluster's,
// whichever node has it.
func (j *judge) of() *seawall.Asset {
	if j.source == seawall.SourceAudit {
		return &j.cluster
	}
	return &j.asset
}

// observers lets the observers see an event and passes on what they find.
func (j *judge) observers(e Event) {
	if len(j.Observers) == 0 {
		return
	}
	j.observe.Lock()
	defer j.observe.Unlock()
	for _, o := range j.Observers {
		for _, f := range o.Observe(e) {
			m := match{finding: f, subject: e.Subject(), asset: j.of(), rules: j.rules}
			m.of(e)
			j.place(&m)
			j.pass(m)
		}
	}
}

// match makes the finding of a rule that is true for an event.
func (j *judge) match(r *rules.Rule, e Event) {
	m := match{subject: e.Subject(), asset: j.of(), rules: j.rules}
	container := ""
	if c := m.subject.Container; c != nil {
		if excluded(j.ExcludedNamespaces, c.Namespace) {
			j.counters.excluded.Add(1)
			return
		}
		container = c.ID
	}
	if m.quiet = !j.limiter.allow(r, container, j.Now()); m.quiet {
		j.counters.suppress(r.Name)
		if !acts(j.rules.Policies) {
			return
		}
	}
	m.finding = r.Finding(e, e.Event())
	m.of(e)
	j.place(&m)
	j.complete(&m.finding, &m.subject)
	j.pass(m)
}

// complete lets the observers add what they know to a finding.
func (l *Live) complete(f *seawall.Finding, s *seawall.Subject) {
	l.observe.Lock()
	defer l.observe.Unlock()
	for _, o := range l.Observers {
		o.Complete(f, s)
	}
}

func (l *Live) pass(m match) {
	select {
	case l.matches <- &m:
	default:
		l.counters.overflow.Add(1)
	}
}

// requested is what events of requests say beside.
type requested interface {
	Actor() *seawall.Actor
	Resource() string
}

// of says who and what an event is of.
func (m *match) of(e Event) {
	if r, ok := e.(requested); ok {
		if m.finding.Actor == nil {
			m.finding.Actor = r.Actor()
		}
		m.resource(r.Resource())
	}
}

func (m *match) resource(name string) {
	if f := &m.finding; f.Location == nil && name != "" {
		f.Location = &seawall.Location{Resource: name}
		f.Locations = []seawall.Location{*f.Location}
	}
}

// place says where a finding was, and names the finding.
func (l *Live) place(m *match) {
	f := &m.finding
	f.Asset = m.asset.ID
	if c := m.subject.Container; c != nil {
		if c.ID != "" {
			f.Asset = "container:" + c.ID
		}
		if c.Pod != "" {
			m.resource("Pod/" + c.Namespace + "/" + c.Pod)
		}
	}
	if f.ID == "" {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%d\x00%s", f.Rule, f.Time, f.Asset, m.subject.PID, m.subject.Start, f.Evidence))
		f.ID = hex.EncodeToString(sum[:16])
	}
}

func excluded(patterns []string, namespace string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, namespace); err == nil && ok && namespace != "" {
			return true
		}
	}
	return false
}

// acts says whether a policy may ask for more than a finding.
func acts(set *policy.Set) bool {
	for _, p := range set.Policies {
		if p.Uses(policy.PhaseRun) {
			return true
		}
	}
	return false
}
