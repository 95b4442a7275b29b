package seawall

import (
	"encoding/json"
	"strings"
)

// FindingKind is the family a finding belongs to.
type FindingKind string

// The kinds of finding.
const (
	KindVulnerability    FindingKind = "vulnerability"
	KindSecret           FindingKind = "secret"
	KindMalware          FindingKind = "malware"
	KindMisconfiguration FindingKind = "misconfiguration"
	KindLicense          FindingKind = "license"
	KindSignature        FindingKind = "signature"
	KindLifecycle        FindingKind = "lifecycle"
	KindRBAC             FindingKind = "rbac"
	KindNetwork          FindingKind = "network"
	KindRuntime          FindingKind = "runtime"
	KindAudit            FindingKind = "audit"
	KindIntegrity        FindingKind = "integrity"
)

// Status is what a check came to.
type Status string

// The statuses. What could not be checked is StatusNotEvaluated, never StatusPass.
const (
	StatusFail          Status = "fail"
	StatusPass          Status = "pass"
	StatusNotApplicable Status = "not-applicable"
	StatusNotEvaluated  Status = "not-evaluated"
	StatusSuppressed    Status = "suppressed"
)

// Finding is one thing that is wrong (or was checked), where, with what evidence.
type Finding struct {
	// ID is stable across runs for the same problem at the same place.
	ID             string      `json:"id"`
	Kind           FindingKind `json:"kind"`
	Rule           string      `json:"rule"`
	Title          string      `json:"title"`
	Severity       Severity    `json:"severity"`
	SeveritySource string      `json:"severitySource,omitempty"`
	Status         Status      `json:"status"`
	// Reason says why for suppressed, not-applicable and not-evaluated.
	Reason string `json:"reason,omitempty"`
	Asset  string `json:"asset"`
	// Location is the first of Locations.
	Location      *Location      `json:"location,omitempty"`
	Locations     []Location     `json:"locations,omitempty"`
	Layer         *LayerInfo     `json:"layer,omitempty"`
	Package       *PackageRef    `json:"package,omitempty"`
	Vulnerability *Vulnerability `json:"vulnerability,omitempty"`
	// InUse and Exposed are nil when not known.
	InUse   *bool  `json:"inUse,omitempty"`
	Exposed *bool  `json:"exposed,omitempty"`
	Time    string `json:"time,omitempty"`
	Count   int    `json:"count,omitempty"`
	Event   *Event `json:"event,omitempty"`
	Actor   *Actor `json:"actor,omitempty"`
	// Priority and Tags are those of the rule that was true for an event.
	Priority string   `json:"priority,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	// Shown are the fields that the rule's output names, nil for those the event
	// does not have; for receivers that take them apart from Event.
	Shown map[string]any `json:"-"`
	// Incident is the identifier of the incident it belongs to.
	Incident string `json:"incident,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	// Remediation says what to do; a manifest or patch that does it may follow after an empty line.
	Remediation string `json:"remediation,omitempty"`
	// Patch mends it: a strategic merge patch for Location.Resource, as kubectl patch takes it.
	Patch      json.RawMessage `json:"patch,omitempty"`
	References []string        `json:"references,omitempty"`
	Frameworks []string        `json:"frameworks,omitempty"`
}

// Advice is what Remediation says in words, without the manifest that may follow.
func (f *Finding) Advice() string {
	advice, _, _ := strings.Cut(f.Remediation, "\n\n")
	return advice
}

// PackageRef names the package a finding is about.
type PackageRef struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Ecosystem string `json:"ecosystem"`
	PURL      string `json:"purl,omitempty"`
	// Source and SourceVersion are what the advisory was matched by when it names source packages.
	Source        string `json:"source,omitempty"`
	SourceVersion string `json:"sourceVersion,omitempty"`
}

// VulnerabilityState is the vendor's word on a vulnerability in a package.
type VulnerabilityState string

// The states.
const (
	StateFixed              VulnerabilityState = "fixed"
	StateAffected           VulnerabilityState = "affected"
	StateWillNotFix         VulnerabilityState = "will-not-fix"
	StateDeferred           VulnerabilityState = "deferred"
	StateEndOfLife          VulnerabilityState = "end-of-life"
	StateUnderInvestigation VulnerabilityState = "under-investigation"
)

// Vulnerability is what the advisories say, aliases merged.
type Vulnerability struct {
	ID      string             `json:"id"`
	Aliases []string           `json:"aliases,omitempty"`
	State   VulnerabilityState `json:"state"`
	// Fixed lists the versions that mend it, the one for this package's release line first.
	Fixed []string `json:"fixed,omitempty"`
	// FixedAt is when the fix was published, RFC 3339; nil when unknown.
	FixedAt   *string  `json:"fixedAt"`
	Published string   `json:"published,omitempty"`
	Modified  string   `json:"modified,omitempty"`
	Summary   string   `json:"summary,omitempty"`
	CVSS      []CVSS   `json:"cvss,omitempty"`
	CWEs      []string `json:"cwes,omitempty"`
	EPSS      *EPSS    `json:"epss,omitempty"`
	// KEV is true when CISA lists it as exploited in the wild.
	KEV bool `json:"kev"`
	// Symbols are the affected import paths and symbols, where the advisory names them (Go).
	Symbols []string `json:"symbols,omitempty"`
	// Sources are the advisory databases that name it.
	Sources []string `json:"sources,omitempty"`
}

// CVSS is one score. Source is who gave it; Version "2.0", "3.0", "3.1" or "4.0".
type CVSS struct {
	Source  string  `json:"source,omitempty"`
	Version string  `json:"version"`
	Vector  string  `json:"vector"`
	Score   float64 `json:"score"`
}

// EPSS is FIRST's probability of exploitation in the next 30 days; both are 0 to 1.
type EPSS struct {
	Score      float64 `json:"score"`
	Percentile float64 `json:"percentile"`
}

// Actor is who did it, for audit and runtime findings.
type Actor struct {
	User      string   `json:"user,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	SourceIPs []string `json:"sourceIPs,omitempty"`
}

// Decision is what a policy rule came to for some findings.
type Decision struct {
	Policy   string   `json:"policy"`
	Rule     string   `json:"rule"`
	Phase    string   `json:"phase"`
	Action   string   `json:"action"`
	Outcome  string   `json:"outcome"`
	Asset    string   `json:"asset"`
	Findings []string `json:"findings,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	// Mode is the rule's: enforce, warn or audit.
	Mode string `json:"mode,omitempty"`
	// Exception names what lets it pass: "namespace/name".
	Exception string `json:"exception,omitempty"`
	// Location is the field of the object it is about; nil for other assets.
	Location *Location `json:"location,omitempty"`
	// Unknown are the facts that nobody knew and the answer hangs on ("image.signed").
	Unknown []string `json:"-"`
}
