package policy

// Interest is what a policy has to be asked about in a phase: what a webhook is
// registered for, and a background scan watches.
type Interest struct {
	// Workloads, Findings, Objects: some rule is about workloads or their images, about
	// findings, about the object itself.
	Workloads, Findings, Objects bool
	// Mutates: some rule changes Pods.
	Mutates bool
	// Closed is the policy's.
	Closed bool
	// Operations are those of the requests, CREATE and UPDATE unless the policy says otherwise.
	Operations []string

	match *criteria
}

// Interest is the policy's in a phase; false where it is for others.
func (p *Policy) Interest(phase string) (Interest, bool) {
	if !p.Uses(phase) {
		return Interest{}, false
	}
	i := Interest{Closed: p.Closed, Operations: []string{"CREATE", "UPDATE"}, match: p.match}
	if p.match != nil && len(p.match.operations) > 0 {
		i.Operations = p.match.operations
	}
	for _, r := range p.Rules {
		if r.actions[phase] == "mutate" {
			i.Mutates = true
		}
		switch r.subject {
		case subjectWorkload, subjectImage:
			i.Workloads = true
		case subjectFinding:
			i.Findings = true
		case subjectObject:
			i.Objects = true
		}
	}
	return i, true
}

// Names says whether match.kinds names a kind; it does where there is none.
func (i *Interest) Names(group, kind string) bool {
	return !i.Named() || anyGlob(i.match.kinds, kind) || anyGlob(i.match.kinds, kind+"."+group)
}

// Named says whether there are match.kinds.
func (i *Interest) Named() bool { return i.match != nil && len(i.match.kinds) > 0 }

// MakesPods says whether objects of a kind are workloads.
func MakesPods(kind string) bool { return podPath(kind) != nil }
