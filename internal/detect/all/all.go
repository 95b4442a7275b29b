// Package all lists the detectors that judge packages and their distribution, so
// that only one place knows them. Detectors with settings of their own are made
// where those are known, in internal/cli.
package all

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/lifecycle"
	"github.com/seawall-security/seawall/internal/detect/vuln"
)

// Detectors returns the detectors of the vulnerability scanner. lookup may be nil when the
// detectors are only asked for their rules.
func Detectors(lookup vuln.Lookup) []detect.Detector {
	return []detect.Detector{
		vuln.New(lookup),
		lifecycle.Detector{},
	}
}
