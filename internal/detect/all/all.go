// Package all lists every detector, so that only one place knows them.
package all

import (
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/lifecycle"
	"github.com/seawall-security/seawall/internal/detect/registry"
	"github.com/seawall-security/seawall/internal/detect/vuln"
)

// Detectors returns the detectors of still inputs. lookup may be nil when the
// detectors are only asked for their rules.
func Detectors(lookup vuln.Lookup) []detect.Detector {
	return []detect.Detector{
		vuln.New(lookup),
		lifecycle.Detector{},
		registry.Detector{},
	}
}
