// Package host judges how a Linux host is configured: the facts of
// inventory/hostcfg and source/live by the controls in this directory, one file
// for each area. Their identifiers are SW-LNX-…, their numbers of the CIS
// Distribution Independent Linux benchmark 2.0.0 frameworks "cis-linux:…".
//
// Nothing here is code: what a control needs to know, such as the effective
// value of a setting that several files may make, is worked out as a fact.
package host

import (
	"embed"

	"github.com/seawall-security/seawall/internal/detect/control"
)

//go:embed *.yaml
var files embed.FS

// New returns the detector. Controls are read when they are first needed.
func New() *control.Detector {
	return control.New(control.Options{Name: "misconfig/host", Load: Controls})
}

// Controls reads the controls.
func Controls() ([]*control.Control, error) { return control.Load(files, "*.yaml") }
