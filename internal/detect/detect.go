// Package detect turns Facts and Events into Findings. Children of this package
// are the detectors; detect/all lists them. A detector is deterministic and
// never uses the network: the same facts and the same knowledge give the same
// findings, in the same order.
package detect

import (
	"context"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Facts are everything known about one asset when detectors run.
type Facts struct {
	Asset    seawall.Asset
	Packages []seawall.Package
	Files    []seawall.FileFact
	Configs  []seawall.ConfigFact
	// Objects are the Kubernetes objects of manifests or a cluster.
	Objects []seawall.Object
	// Matches are what content detectors saw, in path order, hidden ones included.
	Matches []seawall.Match
	// Now is the time to judge by (end of life, grace); detectors never ask the clock.
	Now time.Time
}

// Result is what a detector found out.
type Result struct {
	Findings []seawall.Finding
	// Coverage says which packages could be judged at all.
	Coverage []seawall.Coverage
	// EndOfLife is the day security support of the asset's distribution ends
	// (YYYY-MM-DD), from the detector that knows; the engine notes it in Asset.OS.
	EndOfLife string
	// Partial is why some inputs could not be judged; "" when all were.
	Partial string
}

// Detector judges the facts of one asset.
type Detector interface {
	Name() string
	Detect(ctx context.Context, f Facts) (Result, error)
}

// Rule explains one identifier a detector reports, in our own words.
type Rule struct {
	// ID is the finding's rule: "SW-OS-001".
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Severity seawall.Severity `json:"severity"`
	// Rationale says why it matters; Remediation what to do.
	Rationale   string `json:"rationale"`
	Remediation string `json:"remediation"`
	// Patch is what findings offer as theirs, before it is made for an object: YAML
	// or a CEL expression; "" where no program can write one.
	Patch      string   `json:"patch,omitempty"`
	References []string `json:"references,omitempty"`
	Frameworks []string `json:"frameworks,omitempty"`
	// Manual is what a person must look at where no machine can judge: findings of
	// such a rule are not-evaluated at best.
	Manual string `json:"manual,omitempty"`
}

// Explainer is an optional second interface of a Detector with rules of its own
// (vulnerabilities are explained by the advisory database).
type Explainer interface {
	Detector
	Rules() []Rule
}
