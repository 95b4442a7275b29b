package seawall

import "slices"

// Report is a whole run as one document: the JSON format, and what replays into
// every other format. It is the same content as the Message stream.
type Report struct {
	SchemaVersion string            `json:"schemaVersion"`
	Tool          Tool              `json:"tool"`
	Run           RunTimes          `json:"run"`
	Database      *DatabaseInfo     `json:"database,omitempty"`
	Asset         *Asset            `json:"asset,omitempty"`
	Assets        []Asset           `json:"assets,omitempty"`
	Coverage      []Coverage        `json:"coverage"`
	Packages      []Package         `json:"packages"`
	Findings      []Finding         `json:"findings"`
	Decisions     []Decision        `json:"decisions,omitempty"`
	Incidents     []Incident        `json:"incidents,omitempty"`
	Summary       Summary           `json:"summary"`
	Collectors    []CollectorStatus `json:"collectors"`
}

// RunTimes identifies a run in a Report.
type RunTimes struct {
	ID      string `json:"id"`
	Started string `json:"started"`
	Ended   string `json:"ended"`
}

// Apply adds one message to the report. Progress, events and facts other than
// packages are not part of a report. Of what a stream tells anew the last counts:
// incidents by their ID at once, statuses of what runs on (CollectorStatus.Repeats)
// by asset and name when the stream ends.
func (r *Report) Apply(m Message) {
	switch {
	case m.Run != nil:
		r.SchemaVersion, r.Tool, r.Database = m.Run.SchemaVersion, m.Run.Tool, m.Run.Database
		r.Run.ID, r.Run.Started = m.Run.ID, m.Run.Started
	case m.Asset != nil:
		if r.Asset == nil {
			a := *m.Asset
			r.Asset = &a
		} else {
			r.Assets = append(r.Assets, *m.Asset)
		}
	case m.Fact != nil && m.Fact.Package != nil:
		r.Packages = append(r.Packages, *m.Fact.Package)
	case m.Finding != nil:
		r.Findings = append(r.Findings, *m.Finding)
	case m.Decision != nil:
		r.Decisions = append(r.Decisions, *m.Decision)
	case m.Incident != nil:
		r.addIncident(m.Incident)
	case m.Coverage != nil:
		r.Coverage = append(r.Coverage, *m.Coverage)
	case m.Status != nil:
		r.Collectors = append(r.Collectors, *m.Status)
	case m.End != nil:
		r.Run.Ended, r.Summary = m.End.Ended, m.End.Summary
		r.dropRepeated()
	}
}

// dropRepeated keeps the last of repeated statuses, in the place of the last.
func (r *Report) dropRepeated() {
	type key struct{ asset, name string }
	later := map[key]bool{}
	slices.Reverse(r.Collectors)
	r.Collectors = slices.DeleteFunc(r.Collectors, func(s CollectorStatus) bool {
		if !s.Repeats() {
			return false
		}
		k := key{s.Asset, s.Name}
		told := later[k]
		later[k] = true
		return told
	})
	slices.Reverse(r.Collectors)
}

// addIncident adds an incident, or what it has grown to.
func (r *Report) addIncident(in *Incident) {
	for i := range r.Incidents {
		if r.Incidents[i].ID == in.ID {
			r.Incidents[i] = *in
			return
		}
	}
	r.Incidents = append(r.Incidents, *in)
}

// Messages replays the report as the stream it came from, in stream order.
func (r *Report) Messages(yield func(Message) bool) {
	run := Run{SchemaVersion: r.SchemaVersion, Tool: r.Tool, ID: r.Run.ID, Started: r.Run.Started, Database: r.Database}
	if !yield(Message{Run: &run}) {
		return
	}
	if r.Asset != nil && !yield(Message{Asset: r.Asset}) {
		return
	}
	for i := range r.Assets {
		if !yield(Message{Asset: &r.Assets[i]}) {
			return
		}
	}
	for i := range r.Coverage {
		if !yield(Message{Coverage: &r.Coverage[i]}) {
			return
		}
	}
	for i := range r.Packages {
		if !yield(Message{Fact: &Fact{Package: &r.Packages[i]}}) {
			return
		}
	}
	for i := range r.Findings {
		if !yield(Message{Finding: &r.Findings[i]}) {
			return
		}
	}
	for i := range r.Decisions {
		if !yield(Message{Decision: &r.Decisions[i]}) {
			return
		}
	}
	for i := range r.Incidents {
		if !yield(Message{Incident: &r.Incidents[i]}) {
			return
		}
	}
	for i := range r.Collectors {
		if !yield(Message{Status: &r.Collectors[i]}) {
			return
		}
	}
	yield(Message{End: &End{Ended: r.Run.Ended, Summary: r.Summary}})
}
