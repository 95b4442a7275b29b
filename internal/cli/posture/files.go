package posture

import (
	"context"
	"slices"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/scan"
)

// WithoutFiles makes the scanners that look into files say that there are none,
// and where what they look for is found.
func WithoutFiles(cfg *scan.Config, instead string) {
	cfg.Detectors = slices.Clone(cfg.Detectors)
	for i, d := range cfg.Detectors {
		if name := d.Name(); name == "secret" || name == "malware" {
			cfg.Detectors[i] = idle{name, instead}
		}
	}
}

// idle stands for a scanner that has nothing to look into.
type idle struct{ name, instead string }

// Name implements detect.Detector.
func (d idle) Name() string { return d.name }

// Detect implements detect.Detector.
func (d idle) Detect(context.Context, detect.Facts) (detect.Result, error) {
	return detect.Result{Partial: "it looks into files, and there are none: " + d.instead + " --scanners " + d.name}, nil
}
