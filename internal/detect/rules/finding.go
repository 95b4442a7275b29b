package rules

import (
	"regexp"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/seawall"
)

// technique is a tag that names a technique of MITRE ATT&CK: T1059, T1059.004.
var technique = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[Tt]\d{4}(\.\d{3})?$`) })

// Finding is what a rule's match is reported as: one per event. event is what is
// kept of it, nil where nothing is; its place is the caller's to add.
func (r *Rule) Finding(record Record, event *seawall.Event) seawall.Finding {
	f := seawall.Finding{
		Kind: seawall.KindRuntime, Rule: r.Name, Title: r.Name, Severity: r.Severity, SeveritySource: "rule", Status: seawall.StatusFail,
		Count: 1, Event: event, Evidence: r.output.Write(record),
		Priority: r.Priority, Tags: r.Tags, Shown: r.output.Shown(record),
	}
	if event != nil {
		f.Time = event.Time
	}
	if r.Source == SourceAudit {
		f.Kind = seawall.KindAudit
	}
	for _, tag := range r.Tags {
		if technique().MatchString(tag) {
			f.Frameworks = append(f.Frameworks, "mitre-attack:"+strings.ToUpper(tag))
		}
	}
	return f
}
