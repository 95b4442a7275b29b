package sink

import (
	"slices"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Options are what a user may choose about a report. The zero value is a plain
// report of everything, 80 columns wide.
type Options struct {
	// Color allows terminal colours; the caller decides (a terminal, NO_COLOR).
	Color bool
	// Width is the number of columns of a text report; 0 means 80.
	Width int
	// Packages also lists packages, in the formats where that is a choice.
	Packages bool
	// Severities are those to show; empty shows all.
	Severities []seawall.Severity
	// Fixable hides vulnerabilities that no published version mends.
	Fixable bool
}

// Shows tells whether the display filter lets a finding through. Only failing
// findings are filtered: what was suppressed or could not be evaluated stays visible.
func (o Options) Shows(f *seawall.Finding) bool {
	if f.Status != seawall.StatusFail {
		return true
	}
	if len(o.Severities) > 0 && !slices.Contains(o.Severities, f.Severity) {
		return false
	}
	return !o.Fixable || f.Vulnerability == nil || len(f.Vulnerability.Fixed) > 0
}

// Filters tells whether Shows hides anything at all.
func (o Options) Filters() bool { return o.Fixable || len(o.Severities) > 0 }
