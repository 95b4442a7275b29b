package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/agent/incident"
	"github.com/seawall-security/seawall/internal/agent/respond"
	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// maxAssets bounds the containers whose asset was told.
	maxAssets = 4096
	// maxRecent is how many findings' events are kept for a capture.
	maxRecent = 100
	// maxHeld bounds the matches that are told later.
	maxHeld = 512
	// maxSlow bounds the actions that wait for one another.
	maxSlow = 64
)

// desk takes matches in order: asks the policies, has their actions carried out, and
// tells all of it. It works in one goroutine; slow actions have another.
type desk struct {
	*Live
	out     func(seawall.Message)
	judge   respond.Judge
	group   incident.Grouper
	told    map[string]bool // assets
	recent  []recent
	held    []*held
	slow    chan order
	done    chan result
	summary seawall.Summary
}

// order is an action for the Enforcer, result what became of it.
type order struct {
	action   enforce.Action
	decision seawall.Decision
}

type result struct {
	decision seawall.Decision
	outcome  enforce.Outcome
}

// held is what is told of a match when an Observer knows more, or no longer hopes to.
type held struct {
	finding  *seawall.Finding
	subject  seawall.Subject
	messages []seawall.Message
}

// recent is the event of a finding with the container it was in.
type recent struct {
	container string
	event     *seawall.Event
}

func newDesk(l *Live) *desk {
	d := &desk{Live: l, judge: respond.Judge{Config: l.Response}, told: map[string]bool{}, slow: make(chan order, maxSlow), done: make(chan result, maxSlow)}
	d.group.Cause = d.cause
	if k := l.Knowledge; k != nil {
		d.group.Prevention = k.Prevention
	}
	return d
}

// cause is what scan reports and the audit log say of where an incident began.
func (d *desk) cause(c *seawall.Container) *seawall.IncidentCause {
	k := d.Knowledge
	if k == nil {
		k = &incident.Knowledge{}
	}
	cause := k.Cause(c)
	d.observe.Lock()
	defer d.observe.Unlock()
	for _, o := range d.Observers {
		if who, ok := o.(interface {
			Deployer(c *seawall.Container) *seawall.Actor
		}); ok && cause.DeployedBy == nil {
			cause.DeployedBy = who.Deployer(c)
		}
	}
	return cause
}

// work takes matches until there are no more, then tells what is left.
func (d *desk) work(ctx context.Context) {
	go func() {
		defer close(d.done)
		for o := range d.slow {
			d.done <- result{o.decision, d.Enforcer.Do(ctx, o.action)}
		}
	}()
	status, soon := time.NewTicker(d.StatusEvery), time.NewTicker(time.Second)
	defer status.Stop()
	defer soon.Stop()
	var held <-chan time.Time // while something is
	for open := true; open; {
		if held == nil && len(d.held) > 0 {
			held = time.After(100 * time.Millisecond)
		}
		select {
		case m, ok := <-d.matches:
			if open = ok; ok {
				d.take(ctx, m)
			}
		case r := <-d.done:
			d.carried(r)
		case <-held:
			held = nil
			d.release(false)
		case <-soon.C:
			d.incidents(d.group.Due(d.Now()))
		case <-status.C:
			d.statuses()
		}
	}
	close(d.slow)
	for r := range d.done {
		d.carried(r)
	}
	d.release(true)
	d.incidents(d.group.Rest())
	d.statuses()
}

// take does all that follows from one match.
func (d *desk) take(ctx context.Context, m *match) {
	now := d.Now()
	d.recent = append(d.recent, recent{m.finding.Asset, m.finding.Event})
	if len(d.recent) >= 2*maxRecent {
		d.recent = slices.Delete(d.recent, 0, maxRecent)
	}
	if !m.quiet {
		d.asset(m)
	}
	out := d.out
	if d.pending(&m.subject, now) {
		h := &held{subject: m.subject}
		d.out = func(told seawall.Message) {
			if told.Finding != nil {
				h.finding = told.Finding
			}
			h.messages = append(h.messages, told)
		}
		d.held = append(d.held, h)
	}
	defer func() { d.out = out }()
	if !m.quiet {
		m.finding.Incident = d.group.Add(&m.finding, &m.subject, now)
		d.summary.Add(&m.finding)
		d.counters.findings.add(m.finding.Severity.String())
		d.out(seawall.Message{Finding: &m.finding})
	}
	for _, decision := range d.decide(m, now) {
		d.act(ctx, m, decision, now)
	}
}

// pending says whether an Observer may know more of a subject in a moment.
func (d *desk) pending(s *seawall.Subject, now time.Time) bool {
	if len(d.held) >= maxHeld {
		return false
	}
	d.observe.Lock()
	defer d.observe.Unlock()
	for _, o := range d.Observers {
		if w, ok := o.(Waiter); ok && w.Pending(s, now) {
			return true
		}
	}
	return false
}

// release tells what was held and need wait no more; all tells everything.
func (d *desk) release(all bool) {
	now := d.Now()
	waiting := d.held[:0]
	for _, h := range d.held {
		if !all && d.pending(&h.subject, now) {
			waiting = append(waiting, h)
			continue
		}
		if h.finding != nil {
			d.complete(h.finding, &h.subject)
			d.group.Asked(h.finding.ID, h.finding.Actor)
		}
		for _, m := range h.messages {
			d.out(m)
		}
	}
	clear(d.held[len(waiting):])
	d.held = waiting
}

// decide asks the policies of the run phase.
func (d *desk) decide(m *match, now time.Time) []seawall.Decision {
	return m.rules.Decide(m.asset, &m.finding, m.subject.Container, now)
}

// Decide asks the policies of the run phase about a finding on a node, or of a
// cluster; c is the container it is about, nil for none.
func (r *Rules) Decide(node *seawall.Asset, f *seawall.Finding, c *seawall.Container, now time.Time) []seawall.Decision {
	if len(r.Policies.Policies) == 0 {
		return nil
	}
	return r.Policies.Decide(r.input(node, f, c, now))
}

// Observe is every answer on the way to what Decide decides.
func (r *Rules) Observe(node *seawall.Asset, f *seawall.Finding, c *seawall.Container, now time.Time) (all []*policy.Observed) {
	in := r.input(node, f, c, now)
	for _, p := range r.Policies.Policies {
		p.Observe(in, func(o *policy.Observed) { all = append(all, o) })
	}
	return all
}

func (r *Rules) input(node *seawall.Asset, f *seawall.Finding, c *seawall.Container, now time.Time) policy.Input {
	in := policy.Input{Phase: policy.PhaseRun, Now: now, Asset: node, Findings: []seawall.Finding{*f}, Exceptions: r.Policies.Exceptions}
	if c == nil {
		return in
	}
	in.NamespaceName = c.Namespace
	if c.ID != "" {
		asset := containerAsset(c)
		in.Asset = &asset
	}
	if c.Image != "" {
		image := policy.NamedImage(c.Image)
		if c.Digest != "" {
			image.Digest = c.Digest
		}
		in.Images = []policy.Image{image}
	}
	return in
}

// act carries out a decision, where it is to be carried out, and tells it.
func (d *desk) act(ctx context.Context, m *match, decision seawall.Decision, now time.Time) {
	if decision.Action == "alert" || decision.Outcome != policy.OutcomeEnforced {
		if !m.quiet {
			d.tell(decision)
		}
		return
	}
	if m.subject.Prevented != "" && decision.Action == enforce.KillProcess {
		d.carried(result{decision, enforce.Outcome{Detail: prevented(m.subject.Prevented)}})
		return
	}
	verdict := d.judge.Judge(decision.Action, &m.subject, now)
	switch {
	case verdict.DryRun:
		decision.Outcome = policy.OutcomeDryRun
	case !verdict.Do:
		decision.Outcome = policy.OutcomeFailed
	case d.Enforcer == nil || !d.Enforcer.Can(decision.Action):
		decision.Outcome, verdict.Reason = policy.OutcomeFailed, decision.Action+" cannot be carried out here"
	default:
		d.carry(ctx, m, decision)
		return
	}
	decision.Reason = joined(decision.Reason, verdict.Reason)
	d.tell(decision)
}

// prevented tells a kill that was done before the event was told.
func prevented(how string) string {
	if how == seawall.PreventedPermission {
		return "the program was refused before it started"
	}
	return "the kernel ended the process before its first instruction"
}

// carry has an action carried out: a kill at once, what takes time behind the desk.
func (d *desk) carry(ctx context.Context, m *match, decision seawall.Decision) {
	f := m.finding
	action := enforce.Action{Name: decision.Action, Subject: m.subject, Finding: &f, Policy: decision.Policy, Rule: decision.Rule}
	if decision.Action == enforce.KillProcess {
		d.carried(result{decision, d.Enforcer.Do(ctx, action)})
		return
	}
	if decision.Action == enforce.Capture {
		for _, r := range d.recent {
			if r.container == f.Asset && r.event != nil {
				action.Events = append(action.Events, *r.event)
			}
		}
	}
	select {
	case d.slow <- order{action, decision}:
	default:
		d.carried(result{decision, enforce.Outcome{Err: fmt.Errorf("%d actions wait already", maxSlow)}})
	}
}

// carried tells what became of an action.
func (d *desk) carried(r result) {
	decision, detail := r.decision, r.outcome.Detail
	if r.outcome.Err != nil {
		decision.Outcome, detail = policy.OutcomeFailed, r.outcome.Err.Error()
	}
	if r.outcome.Path != "" {
		detail = joined(detail, r.outcome.Path)
	}
	decision.Reason = joined(decision.Reason, detail)
	d.tell(decision)
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func (d *desk) tell(decision seawall.Decision) {
	d.counters.actions.add(decision.Action + " " + decision.Outcome)
	if decision.Action != "alert" {
		d.group.Responded(&decision, d.Now())
	}
	d.out(seawall.Message{Decision: &decision})
}

func (d *desk) incidents(list []seawall.Incident) {
	for i := range list {
		d.out(seawall.Message{Incident: &list[i]})
	}
}

// asset tells of a container, or of the cluster, before the first finding about it.
func (d *desk) asset(m *match) {
	a := *m.asset
	if c := m.subject.Container; c != nil && c.ID != "" {
		a = containerAsset(c)
	}
	if a.ID == d.Live.asset.ID || d.told[a.ID] {
		return
	}
	if len(d.told) >= maxAssets {
		clear(d.told) // they are told again
	}
	d.told[a.ID] = true
	d.out(seawall.Message{Asset: &a})
}

func containerAsset(c *seawall.Container) seawall.Asset {
	a := seawall.Asset{ID: "container:" + c.ID, Kind: seawall.AssetContainer, Name: c.Name, Digest: c.Digest}
	if c.Pod != "" {
		a.Name = c.Namespace + "/" + c.Pod + "/" + c.Name
	}
	if c.Workload != "" {
		a.Workloads = []string{c.Workload}
	}
	return a
}
