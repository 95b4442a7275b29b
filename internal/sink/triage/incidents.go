package triage

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// MostIncidents are shown before the rest is counted.
const MostIncidents = 50

// Incident is an incident as people read it.
type Incident struct {
	Severity seawall.Severity
	Title    string
	// Facts are what is known of it, each with a label: when, where, how it got in, who.
	Facts []Fact
}

// Fact is one labelled statement.
type Fact struct{ Label, Text string }

// Incidents are those of the report, worst first, those with most findings first
// among equals. The display filter is about findings: it hides no incident.
func (v *View) Incidents() []Incident {
	list := slices.Clone(v.Report.Incidents)
	slices.SortStableFunc(list, func(a, b seawall.Incident) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Started, b.Started))
	})
	out := make([]Incident, len(list))
	for i := range list {
		out[i] = v.incident(&list[i])
	}
	return out
}

func (v *View) incident(in *seawall.Incident) Incident {
	out := Incident{Severity: in.Severity, Title: in.Title}
	add := func(label, text string) {
		if text != "" {
			out.Facts = append(out.Facts, Fact{label, text})
		}
	}
	add("when", span(in.Started, in.Updated))
	add("where", place(in.Container, v.AssetName(in.Asset)))
	if c := in.Container; c != nil {
		add("image", image(c.Image, c.Digest))
	}
	add("findings", happened(in))
	add("done", strings.Join(responses(in), ", "))
	add("ATT&CK", strings.Join(in.Techniques, ", "))
	if c := in.Cause; c != nil {
		if in.Container == nil {
			add("image", image(c.Image, c.Digest))
		}
		add("cause may be", exploitable(c.Packages))
		add("brought by", layer(c.Layer))
		add("deployed by", actor(c.DeployedBy))
		add("behind it", actor(c.Shell))
	}
	add("would stop it", strings.Join(in.Prevention, ", "))
	return out
}

// span is a time, or two, to the second in UTC; what is no RFC 3339 stays as it is.
func span(from, to string) string {
	start, err1 := time.Parse(time.RFC3339, from)
	end, err2 := time.Parse(time.RFC3339, to)
	if err1 != nil || err2 != nil {
		return strings.TrimSuffix(from+" to "+to, " to ")
	}
	first, last := start.UTC().Format(time.DateTime), end.UTC().Format(time.DateTime)
	switch {
	case first == last:
		return first + " UTC"
	case first[:len(time.DateOnly)] == last[:len(time.DateOnly)]:
		last = last[len(time.DateOnly)+1:]
	}
	return first + " to " + last + " UTC"
}

// place names where something ran, the workload first; a nil container is the node itself.
func place(c *seawall.Container, node string) string {
	if c == nil {
		return node
	}
	var parts []string
	if c.Workload != "" {
		parts = append(parts, c.Workload)
	}
	if c.Pod != "" {
		parts = append(parts, "pod "+c.Namespace+"/"+c.Pod)
	}
	if name := cmp.Or(c.Name, c.ID); name != "" {
		parts = append(parts, "container "+name)
	}
	return strings.Join(append(parts, "on "+node), ", ")
}

func image(name, digest string) string {
	if digest == "" {
		return name
	}
	name, _, _ = strings.Cut(name, "@")
	return strings.TrimPrefix(name+", digest "+digest, ", ")
}

// happened counts the findings and names their rules in the order they came.
func happened(in *seawall.Incident) string {
	var rules []string
	for i := range in.Steps {
		if rule := in.Steps[i].Rule; !slices.Contains(rules, rule) {
			rules = append(rules, rule)
		}
	}
	if len(rules) == 0 {
		return strconv.Itoa(in.Count)
	}
	return strconv.Itoa(in.Count) + ": " + listed(rules, ", ")
}

// responses are what was done, each once.
func responses(in *seawall.Incident) []string {
	var out []string
	for i := range in.Steps {
		for _, r := range in.Steps[i].Responses {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// exploitable names the packages of an image with what is known to be exploited in them.
func exploitable(packages []seawall.IncidentPackage) string {
	var parts []string
	for i := range packages {
		p := &packages[i]
		text := p.Name + " " + p.Version + " with " + listed(p.Vulnerabilities, ", ") + ", known exploited"
		if p.InUse != nil {
			text += map[bool]string{true: ", in use", false: ", not in use"}[*p.InUse]
		}
		parts = append(parts, text)
	}
	return listed(parts, "; ")
}

func layer(l *seawall.LayerInfo) string {
	if l == nil {
		return ""
	}
	text := fmt.Sprintf("layer %d", l.Index)
	if l.Base {
		return text + " (base image)"
	}
	return strings.TrimSuffix(text+": "+l.CreatedBy, ": ")
}

func actor(a *seawall.Actor) string {
	if a == nil {
		return ""
	}
	text := cmp.Or(a.User, "an unknown user")
	if len(a.SourceIPs) > 0 {
		text += " from " + strings.Join(a.SourceIPs, ", ")
	}
	return text
}

// listed names the first few of a list and counts the rest.
func listed(list []string, separator string) string {
	const most = 6
	if len(list) <= most {
		return strings.Join(list, separator)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], separator), len(list)-most)
}
