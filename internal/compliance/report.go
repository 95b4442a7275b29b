package compliance

import (
	"github.com/seawall-security/seawall/internal/seawall"
)

// SchemaVersion is the version of the report's JSON form (docs/guide/compliance.md).
const SchemaVersion = "seawall-compliance/v1"

// Status is what a requirement, or a check of it, came to.
type Status string

// The statuses; the package comment says when each holds.
const (
	Fail          Status = "fail"
	NotEvaluated  Status = "not-evaluated"
	Manual        Status = "manual"
	Pass          Status = "pass"
	NotApplicable Status = "not-applicable"
)

// Statuses lists them in the order of reports, worst first.
func Statuses() []Status { return []Status{Fail, NotEvaluated, Manual, Pass, NotApplicable} }

// Report is the answer for one framework.
type Report struct {
	SchemaVersion string       `json:"schemaVersion"`
	Tool          seawall.Tool `json:"tool"`
	// Generated is when, RFC 3339.
	Generated string `json:"generated"`
	Framework Header `json:"framework"`
	Scope     Scope  `json:"scope"`
	// Summary counts requirements by status.
	Summary      Summary  `json:"summary"`
	Requirements []Result `json:"requirements"`
}

// Reaching returns the requirements with this status or a worse one: Fail is the
// worst, then NotEvaluated, then Manual.
func (r *Report) Reaching(threshold Status) []*Result {
	var out []*Result
	for i := range r.Requirements {
		if rank(r.Requirements[i].Status) <= rank(threshold) {
			out = append(out, &r.Requirements[i])
		}
	}
	return out
}

// Header names the framework.
type Header struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Publisher string `json:"publisher,omitempty"`
	URL       string `json:"url,omitempty"`
	Note      string `json:"note,omitempty"`
}

// Summary counts by status.
type Summary struct {
	Total         int `json:"total"`
	Fail          int `json:"fail"`
	NotEvaluated  int `json:"notEvaluated"`
	Manual        int `json:"manual"`
	Pass          int `json:"pass"`
	NotApplicable int `json:"notApplicable"`
}

// Of returns the count of a status.
func (s *Summary) Of(status Status) int { return *s.count(status) }

// Add counts one.
func (s *Summary) Add(status Status) {
	s.Total++
	*s.count(status)++
}

func (s *Summary) count(status Status) *int {
	switch status {
	case Fail:
		return &s.Fail
	case Manual:
		return &s.Manual
	case Pass:
		return &s.Pass
	case NotApplicable:
		return &s.NotApplicable
	default:
		return &s.NotEvaluated
	}
}

// Scope says what the answer rests on.
type Scope struct {
	Inputs []InputInfo `json:"inputs"`
	Assets []Asset     `json:"assets"`
	// Gaps are what was looked at but could not be judged completely.
	Gaps []Gap `json:"gaps"`
	// Missing are the detectors that checks of this framework wait for and that did
	// not run, with the command that runs them.
	Missing []Missing `json:"missing"`
}

// InputInfo describes one scan report.
type InputInfo struct {
	Name    string       `json:"name"`
	Run     string       `json:"run"`
	Started string       `json:"started"`
	Ended   string       `json:"ended"`
	Tool    seawall.Tool `json:"tool"`
	// Database is the day the advisory knowledge is of, RFC 3339; "" without any.
	Database string `json:"database,omitempty"`
}

// Asset is one thing that was looked at.
type Asset struct {
	ID     string            `json:"id"`
	Kind   seawall.AssetKind `json:"kind"`
	Name   string            `json:"name"`
	Digest string            `json:"digest,omitempty"`
	OS     string            `json:"os,omitempty"`
	Input  string            `json:"input"`
}

// Gap is something that could not be judged.
type Gap struct {
	Asset string `json:"asset"`
	// What is an ecosystem, a collector or a detector.
	What   string `json:"what"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// Missing is a detector that did not run.
type Missing struct {
	Detector string `json:"detector"`
	// Checks is how many checks wait for it.
	Checks int `json:"checks"`
	// Remedy is the scan that runs it; "" when this version has none.
	Remedy string `json:"remedy,omitempty"`
}

// Result is the answer for one requirement.
type Result struct {
	ID      string `json:"id"`
	Section string `json:"section,omitempty"`
	Title   string `json:"title"`
	Text    string `json:"text,omitempty"`
	Role    string `json:"role,omitempty"`
	Status  Status `json:"status"`
	// Reason says in words what the status rests on.
	Reason string `json:"reason"`
	// Exceptions counts suppressed findings: accepted, not mended.
	Exceptions int `json:"exceptions,omitempty"`
	// Checks are in the order of Statuses.
	Checks []Check `json:"checks"`
	// ByHand is what no tool can show.
	ByHand []string `json:"byHand,omitempty"`
}

// Check is one rule or one kind of finding behind a requirement.
type Check struct {
	// ID is a rule's identifier, or a selection: "vulnerability>=high,fixed>30d".
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Severity seawall.Severity `json:"severity,omitempty"`
	Detector string           `json:"detector,omitempty"`
	Status   Status           `json:"status"`
	// Reason is set for not-evaluated, not-applicable and manual.
	Reason string `json:"reason,omitempty"`
	// Failed, Passed and Exceptions count what was looked at; for a detector that
	// reports only what is wrong, Passed is the assets without a finding.
	Failed     int `json:"failed"`
	Passed     int `json:"passed"`
	Exceptions int `json:"exceptions,omitempty"`
	// Evidence are failing findings, worst first, then exceptions; LeftOut how many
	// more there are in the scan reports.
	Evidence    []Evidence `json:"evidence,omitempty"`
	LeftOut     int        `json:"leftOut,omitempty"`
	Remediation string     `json:"remediation,omitempty"`
}

// Evidence is one finding of a scan report.
type Evidence struct {
	// Finding is its identifier there.
	Finding  string           `json:"finding"`
	Asset    string           `json:"asset"`
	Severity seawall.Severity `json:"severity"`
	Title    string           `json:"title"`
	// Place is the object and field, or the file and line.
	Place  string `json:"place,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Accepted is why, of a suppressed finding.
	Accepted string `json:"accepted,omitempty"`
	// Remediation is the finding's where it differs from the check's.
	Remediation string `json:"remediation,omitempty"`
}
