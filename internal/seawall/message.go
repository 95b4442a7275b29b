package seawall

import "strings"

// SchemaVersion is the version of the report and of the message stream.
const SchemaVersion = "seawall/v1"

// Message is the envelope of the one stream all results travel in. Exactly one
// field is set. A stream starts with one Run and ends with one End; it stays
// valid with every Progress removed. Assets come before the facts, findings,
// coverage and statuses that name them.
type Message struct {
	Run      *Run             `json:"run,omitempty"`
	Asset    *Asset           `json:"asset,omitempty"`
	Progress *Progress        `json:"progress,omitempty"`
	Fact     *Fact            `json:"fact,omitempty"`
	Event    *Event           `json:"event,omitempty"`
	Finding  *Finding         `json:"finding,omitempty"`
	Decision *Decision        `json:"decision,omitempty"`
	Incident *Incident        `json:"incident,omitempty"`
	Coverage *Coverage        `json:"coverage,omitempty"`
	Status   *CollectorStatus `json:"status,omitempty"`
	End      *End             `json:"end,omitempty"`
}

// Run opens a stream.
type Run struct {
	SchemaVersion string        `json:"schemaVersion"`
	Tool          Tool          `json:"tool"`
	ID            string        `json:"id"`
	Started       string        `json:"started"` // RFC 3339
	Database      *DatabaseInfo `json:"database,omitempty"`
}

// Tool names the program that made a report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// DatabaseInfo says what advisory knowledge was used and how old it is.
type DatabaseInfo struct {
	Built string `json:"built"` // RFC 3339
	// Origin is "embedded" or the file's path; Signed tells whether its signature was checked.
	Origin  string           `json:"origin,omitempty"`
	Signed  bool             `json:"signed,omitempty"`
	Sources []DatabaseSource `json:"sources"`
}

// DatabaseSource is one advisory source in a database.
type DatabaseSource struct {
	Name       string `json:"name"`
	Updated    string `json:"updated,omitempty"`
	Advisories int    `json:"advisories"`
	Licence    string `json:"licence,omitempty"`
}

// Progress is a moment of long work: Done of Total Units (bytes, layers, packages). Total 0 means unknown.
type Progress struct {
	Asset string `json:"asset,omitempty"`
	Stage string `json:"stage"`
	Unit  string `json:"unit,omitempty"`
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
}

// CoverageStatus says whether packages could be judged.
type CoverageStatus string

// The coverage statuses.
const (
	CoverageOK           CoverageStatus = "ok"
	CoveragePartial      CoverageStatus = "partial"
	CoverageNotEvaluated CoverageStatus = "not-evaluated"
)

// Coverage says for the packages of one ecosystem of an asset whether the open database could judge them.
type Coverage struct {
	Asset     string         `json:"asset"`
	Ecosystem string         `json:"ecosystem"`
	Packages  int            `json:"packages"`
	Status    CoverageStatus `json:"status"`
	Reason    string         `json:"reason,omitempty"`
	// Remedy is the command that mends it.
	Remedy string `json:"remedy,omitempty"`
}

// RunStatus is how a collector or detector fared.
type RunStatus string

// The statuses of a collector: partial means some inputs were unreadable or over a bound.
const (
	RunOK      RunStatus = "ok"
	RunPartial RunStatus = "partial"
	RunFailed  RunStatus = "failed"
	RunSkipped RunStatus = "skipped"
)

// CollectorStatus is how one collector or detector fared on one asset.
type CollectorStatus struct {
	Asset  string    `json:"asset"`
	Name   string    `json:"name"`
	Status RunStatus `json:"status"`
	Reason string    `json:"reason,omitempty"`
	Found  int       `json:"found"`
	// MS is the time spent, in milliseconds.
	MS float64 `json:"ms"`
}

// Repeats tells whether a stream tells the status anew while the run goes on, with the
// counts of the whole run: of a sensor, of what judges its events, of a rule. Other
// statuses of one name are different ones, as of a collector and a detector "malware".
func (s *CollectorStatus) Repeats() bool {
	return s.Name == "rules" || s.Name == "judge" || strings.HasPrefix(s.Name, "sensor/") || strings.HasPrefix(s.Name, "rule/")
}

// End closes a stream.
type End struct {
	Ended   string  `json:"ended"` // RFC 3339
	Summary Summary `json:"summary"`
}

// Summary counts findings: the severities count status fail only.
type Summary struct {
	Critical      int `json:"critical"`
	High          int `json:"high"`
	Medium        int `json:"medium"`
	Low           int `json:"low"`
	Negligible    int `json:"negligible"`
	Unknown       int `json:"unknown"`
	Suppressed    int `json:"suppressed"`
	Pass          int `json:"pass"`
	NotApplicable int `json:"notApplicable"`
	NotEvaluated  int `json:"notEvaluated"`
}

// Add counts one finding.
func (s *Summary) Add(f *Finding) {
	switch f.Status {
	case StatusSuppressed:
		s.Suppressed++
	case StatusPass:
		s.Pass++
	case StatusNotApplicable:
		s.NotApplicable++
	case StatusNotEvaluated:
		s.NotEvaluated++
	default:
		*s.bySeverity(f.Severity)++
	}
}

// Of returns the count of failing findings of a severity.
func (s *Summary) Of(v Severity) int { return *s.bySeverity(v) }

func (s *Summary) bySeverity(v Severity) *int {
	switch v {
	case SeverityCritical:
		return &s.Critical
	case SeverityHigh:
		return &s.High
	case SeverityMedium:
		return &s.Medium
	case SeverityLow:
		return &s.Low
	case SeverityNegligible:
		return &s.Negligible
	default:
		return &s.Unknown
	}
}
