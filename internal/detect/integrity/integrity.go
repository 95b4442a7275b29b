// Package integrity explains the findings of package sensor/integrity, which compares
// files itself: what was there is known to nobody else.
package integrity

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Rules are those of changed files. A finding is more severe where the file is a
// program, starts by itself or decides who gets in, and critical where it now gives its
// owner's rights to who runs it.
func Rules() []detect.Rule {
	const investigate = " It is high for programs and for what starts by itself or decides who gets in, and critical where a program becomes set-user-ID or set-group-ID."
	const restore = "Find out who changed it and whether that was meant: a finding of the agent names the process. " +
		"Restore it from its package or image; after a change that was meant take a new baseline with 'seawall-agent integrity baseline'."
	references := []string{"https://csrc.nist.gov/pubs/sp/800/92/final", "https://attack.mitre.org/techniques/T1565/001/"}
	return []detect.Rule{
		{
			ID: "SW-FIM-001", Title: "A watched file has another content, type or target", Severity: seawall.SeverityMedium, Remediation: restore, References: references,
			Rationale: "Programs and their configuration change when they are updated. At any other time somebody has put something else in their place." + investigate,
		},
		{
			ID: "SW-FIM-002", Title: "A watched file has another mode or owner", Severity: seawall.SeverityMedium, Remediation: restore,
			References: []string{"https://attack.mitre.org/techniques/T1222/002/", "https://attack.mitre.org/techniques/T1548/001/"},
			Rationale:  "Whoever may write to a program or a key file decides what it does next, and a set-user-ID bit hands its owner's rights on. Such a change is critical; others are medium.",
		},
		{
			ID: "SW-FIM-003", Title: "A file was added to a watched tree", Severity: seawall.SeverityMedium, Remediation: restore,
			References: []string{"https://attack.mitre.org/techniques/T1543/", "https://attack.mitre.org/techniques/T1053/003/"},
			Rationale:  "A new file in a directory of programs, services or scheduled jobs is how an intruder stays." + investigate,
		},
		{
			ID: "SW-FIM-004", Title: "A file was removed from a watched tree", Severity: seawall.SeverityMedium, Remediation: restore,
			References: []string{"https://attack.mitre.org/techniques/T1070/004/", "https://attack.mitre.org/techniques/T1562/001/"},
			Rationale:  "What protects or records can be switched off by removing it. It is high for programs and for what starts by itself or decides who gets in.",
		},
		{
			ID: "SW-FIM-005", Title: "A watched file could not be compared", Severity: seawall.SeverityUnknown, References: references,
			Rationale:   "It could not be read when the baseline was taken, or now: too large, no permission, or it changed while it was read. It is not-evaluated, and never called unchanged.",
			Remediation: "The finding says why. Give the check the right to read it, or leave it out of the trees.",
		},
	}
}
