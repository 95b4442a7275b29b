// Package all lists every detector, so that only one place knows them.
package all

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/lifecycle"
)

// Detectors returns the detectors of still inputs.
func Detectors() []detect.Detector {
	return []detect.Detector{
		lifecycle.Detector{},
	}
}
