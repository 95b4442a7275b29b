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
	// Now is the time to judge by (end of life, grace); detectors never ask the clock.
	Now time.Time
}

// Result is what a detector found out.
type Result struct {
	Findings []seawall.Finding
	// Coverage says which packages could be judged at all.
	Coverage []seawall.Coverage
	// Partial is why some inputs could not be judged; "" when all were.
	Partial string
}

// Detector judges the facts of one asset.
type Detector interface {
	Name() string
	Detect(ctx context.Context, f Facts) (Result, error)
}
