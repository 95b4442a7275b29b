// Package incident groups findings about events into stories: what happened in one
// container, or around one process of a node, without a long pause.
//
//	Finding + Subject -> Grouper.Add -> (later) Due -> Incident
//
// A story worth telling has two different rules, or one of high severity. It is told
// anew when it has grown. Where it may have begun comes from Knowledge, of scan
// reports by image, and from Deployers, of the audit log.
//
// The package is pure: times come with what is added, and all state is bounded.
package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	// pause without a finding ends an incident.
	pause = 10 * time.Minute
	// maxOpen bounds the incidents that may grow, maxSteps the steps of one.
	maxOpen  = 512
	maxSteps = 100
	// settle is how long after it began to grow an incident is told.
	settle = 2 * time.Second
)

// Grouper groups findings. It is not safe for concurrent use.
type Grouper struct {
	// Cause says what is known of the beginning, Prevention which policies would have
	// stopped it; nil is nothing.
	Cause      func(c *seawall.Container) *seawall.IncidentCause
	Prevention func(c *seawall.Container) []string

	open      []*story          // the one that grew last at the end
	container map[string]*story // by identifier
	pod       map[string]*story // by namespace and name: the one that began last
	process   map[seawall.ProcessID]*story
	finding   map[string]*story
}

// story is an incident that may grow.
type story struct {
	seawall.Incident
	rules   map[string]bool
	changed bool
	since   time.Time // of the first change not told
	grew    time.Time
	// shell is who asked for a shell in it.
	shell *seawall.Actor
	keys  []seawall.ProcessID
}

// Add puts a finding into its incident and returns the incident's identifier; ""
// where the subject is neither a process nor in a pod.
func (g *Grouper) Add(f *seawall.Finding, s *seawall.Subject, now time.Time) string {
	if s.Container == nil && s.PID == 0 || s.Container != nil && s.Container.ID == "" && s.Container.Pod == "" {
		return ""
	}
	if g.container == nil {
		g.container, g.pod, g.process, g.finding = map[string]*story{}, map[string]*story{}, map[seawall.ProcessID]*story{}, map[string]*story{}
	}
	g.forget(now)
	in := g.find(s)
	if in == nil {
		in = g.begin(f, s)
	}
	if in.add(f, s) {
		g.finding[f.ID] = in
	}
	g.note(in, s)
	in.change(now)
	in.grew = now
	i := slices.Index(g.open, in)
	g.open = append(slices.Delete(g.open, i, i+1), in)
	return in.ID
}

// find returns the incident a subject belongs to: its container's, or one with the
// process or one of its nearest parents.
func (g *Grouper) find(s *seawall.Subject) *story {
	if c := s.Container; c != nil && c.ID != "" {
		if in := g.pod[podKey(c)]; in != nil && in.Container.ID == "" {
			return in // began with a request about the pod
		}
		return g.container[c.ID]
	} else if c != nil {
		return g.pod[podKey(c)]
	}
	for _, id := range near(s, 4) {
		if in := g.process[id]; in != nil {
			return in
		}
	}
	return nil
}

func podKey(c *seawall.Container) string { return c.Namespace + "/" + c.Pod }

// near are a process and its n nearest parents, up to the first process of all.
func near(s *seawall.Subject, n int) []seawall.ProcessID {
	ids := []seawall.ProcessID{{PID: s.PID, Start: s.Start}}
	for i, id := range s.Lineage {
		if i == n || id.PID <= 2 {
			break
		}
		ids = append(ids, id)
	}
	return ids
}

func (g *Grouper) begin(f *seawall.Finding, s *seawall.Subject) *story {
	if len(g.open) >= maxOpen {
		g.end(g.open[0])
	}
	sum := sha256.Sum256([]byte("incident\x00" + f.ID))
	in := &story{rules: map[string]bool{}}
	in.ID, in.Asset, in.Started = hex.EncodeToString(sum[:16]), f.Asset, f.Time
	if s.Container != nil {
		c := *s.Container
		in.Container = &c
		if c.ID != "" {
			g.container[c.ID] = in
		}
		if c.Pod != "" {
			g.pod[podKey(&c)] = in
		}
	}
	g.open = append(g.open, in)
	return in
}

// note remembers whom a story is of: the container, where only its pod was known,
// or the process of the host and its parent.
func (g *Grouper) note(in *story, s *seawall.Subject) {
	if c := s.Container; c != nil && c.ID != "" && in.Container.ID == "" {
		named := *c
		in.Container = &named
		g.container[c.ID] = in
	}
	if s.Container != nil || len(in.keys) >= 2*maxSteps {
		return
	}
	for _, id := range near(s, 1) {
		if g.process[id] == nil {
			g.process[id] = in
			in.keys = append(in.keys, id)
		}
	}
}

func (in *story) change(now time.Time) {
	if !in.changed {
		in.changed, in.since = true, now
	}
}

// add adds a step in the order of times, unless there are too many.
func (in *story) add(f *seawall.Finding, s *seawall.Subject) bool {
	in.Count++
	in.rules[f.Rule] = true
	in.Started, in.Updated = min(in.Started, f.Time), max(in.Updated, f.Time)
	in.Severity = max(in.Severity, f.Severity)
	for _, framework := range f.Frameworks {
		if technique, ok := strings.CutPrefix(framework, "mitre-attack:"); ok && !slices.Contains(in.Techniques, technique) {
			in.Techniques = append(in.Techniques, technique)
		}
	}
	if in.shell == nil {
		in.shell = f.Actor
	}
	if len(in.Steps) >= maxSteps {
		return false
	}
	step := seawall.IncidentStep{Finding: f.ID, Time: f.Time, Rule: f.Rule, Severity: f.Severity, Evidence: f.Evidence, PID: s.PID, Actor: f.Actor}
	i, _ := slices.BinarySearchFunc(in.Steps, step, func(have, want seawall.IncidentStep) int {
		return cmp.Or(cmp.Compare(have.Time, want.Time), -1) // after those of the same time
	})
	in.Steps = slices.Insert(in.Steps, i, step)
	return true
}

// Asked notes who is behind a finding, when that becomes known after it.
func (g *Grouper) Asked(finding string, who *seawall.Actor) {
	in := g.finding[finding]
	if in == nil || who == nil {
		return
	}
	if in.shell == nil {
		in.shell = who
	}
	for i := range in.Steps {
		if in.Steps[i].Finding == finding {
			in.Steps[i].Actor = who
		}
	}
}

// Responded notes what was done about findings.
func (g *Grouper) Responded(d *seawall.Decision, now time.Time) {
	for _, id := range d.Findings {
		in := g.finding[id]
		if in == nil {
			continue
		}
		for i := range in.Steps {
			if in.Steps[i].Finding == id {
				in.Steps[i].Responses = append(in.Steps[i].Responses, d.Action+": "+d.Outcome)
				in.change(now)
			}
		}
	}
}

// Due returns the incidents to tell now: those that grew and are worth telling.
func (g *Grouper) Due(now time.Time) []seawall.Incident {
	g.forget(now)
	var out []seawall.Incident
	for _, in := range g.open {
		if in.changed && in.worth() && now.Sub(in.since) >= settle {
			out = append(out, g.tell(in))
		}
	}
	return out
}

// Rest returns the incidents that were not told as they are now, at the end of a run.
func (g *Grouper) Rest() []seawall.Incident {
	var out []seawall.Incident
	for _, in := range g.open {
		if in.changed && in.worth() {
			out = append(out, g.tell(in))
		}
	}
	return out
}

func (in *story) worth() bool { return len(in.rules) > 1 || in.Severity >= seawall.SeverityHigh }

func (g *Grouper) tell(in *story) seawall.Incident {
	in.changed = false
	out := in.Incident
	out.Steps = slices.Clone(in.Steps)
	for i := range out.Steps {
		out.Steps[i].Responses = slices.Clone(out.Steps[i].Responses)
	}
	out.Techniques = slices.Clone(in.Techniques)
	out.Title = in.title()
	if out.Container != nil && g.Cause != nil {
		out.Cause = g.Cause(out.Container)
	}
	if in.shell != nil {
		cause := seawall.IncidentCause{}
		if out.Cause != nil {
			cause = *out.Cause
		}
		cause.Shell = in.shell
		out.Cause = &cause
	}
	if out.Container != nil && g.Prevention != nil {
		out.Prevention = g.Prevention(out.Container)
	}
	return out
}

// title names the worst step and the place.
func (in *story) title() string {
	worst := slices.MaxFunc(in.Steps, func(a, b seawall.IncidentStep) int { return cmp.Compare(a.Severity, b.Severity) })
	text := worst.Rule
	if n := len(in.rules) - 1; n == 1 {
		text += " and another rule"
	} else if n > 1 {
		text += fmt.Sprintf(" and %d other rules", n)
	}
	switch c := in.Container; {
	case c == nil:
		return text + " on the node"
	case c.Pod != "":
		return fmt.Sprintf("%s in %s/%s (%s)", text, c.Namespace, c.Pod, c.Name)
	default:
		return fmt.Sprintf("%s in container %s", text, cmp.Or(c.Name, c.ID))
	}
}

// forget ends incidents that have not grown for a while and were told.
func (g *Grouper) forget(now time.Time) {
	for len(g.open) > 0 && now.Sub(g.open[0].grew) >= pause {
		g.end(g.open[0])
	}
}

func (g *Grouper) end(in *story) {
	g.open = slices.DeleteFunc(g.open, func(o *story) bool { return o == in })
	if c := in.Container; c != nil {
		delete(g.container, c.ID)
		if g.pod[podKey(c)] == in {
			delete(g.pod, podKey(c))
		}
	}
	for _, id := range in.keys {
		delete(g.process, id)
	}
	maps.DeleteFunc(g.finding, func(_ string, of *story) bool { return of == in })
}
