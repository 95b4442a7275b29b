// Package docker judges a host that runs Docker: the host itself, the daemon,
// its files, and its containers, by the controls in this directory (SW-DKR-…).
// Their numbers of the CIS Docker benchmark are frameworks "cis-docker-1.6:…";
// those of images are in packages image and dockerfile.
//
//	docker/daemon (inventory/nodeconf), docker/container (source/live), host/… (inventory/hostcfg), files ──► control.Detector
//
// A host without Docker is not judged at all.
package docker

import (
	"context"
	"embed"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/control"
)

//go:embed *.yaml
var controls embed.FS

// Detector judges hosts with Docker.
type Detector struct{ controls *control.Detector }

var _ detect.Explainer = (*Detector)(nil)

// New makes the detector; its controls are loaded when they are first needed.
func New() *Detector {
	return &Detector{control.New(control.Options{
		Name: "misconfig/docker",
		Load: func() ([]*control.Control, error) { return control.Load(controls, "*.yaml") },
	})}
}

// Name implements detect.Detector.
func (d *Detector) Name() string { return d.controls.Name() }

// Rules implements detect.Explainer.
func (d *Detector) Rules() []detect.Rule { return d.controls.Rules() }

// Detect implements detect.Detector.
func (d *Detector) Detect(ctx context.Context, f detect.Facts) (detect.Result, error) {
	for i := range f.Configs {
		if strings.HasPrefix(f.Configs[i].Kind, "docker/") {
			return d.controls.Detect(ctx, f)
		}
	}
	return detect.Result{}, nil
}
