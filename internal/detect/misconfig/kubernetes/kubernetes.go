// Package kubernetes judges Kubernetes by controls: what objects say about
// themselves (workloads, namespaces, services, …), how the components are set
// up, and how old everything is.
//
//	objects ─────────────────────────► control.Detector ─► findings
//	config facts ─► settings.Complete ──┘   │
//	                                        └─ *.yaml, and Go checks where CEL does not reach:
//	                                           pod security (upstream's evaluator), versions, references
//
// Areas, one file each, and the prefixes of their controls: workloads (SW-POD),
// pod security (SW-PSS), data (SW-DATA), tenancy (SW-TEN), services (SW-SVC),
// admission (SW-ADM), access to the API (SW-AUTH), versions (SW-VER), components
// (SW-K8S), nodes (SW-NODE). Who may do what is package rbac's, who reaches whom
// package network's.
package kubernetes

import (
	"context"
	"embed"
	"fmt"

	"k8s.io/pod-security-admission/api"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes/settings"
	"github.com/seawall-security/seawall/internal/seawall"
)

//go:embed *.yaml
var files embed.FS

// Options are what a user may set.
type Options struct {
	// PodSecurityVersion is the version of the Pod Security Standards, "v1.33";
	// "" is the latest.
	PodSecurityVersion string
}

// Detector judges objects and components.
type Detector struct{ controls *control.Detector }

var _ detect.Explainer = (*Detector)(nil)

// New makes the detector; its controls are loaded when they are first needed.
func New(o Options) (*Detector, error) {
	return with(o, "misconfig/kubernetes", func() ([]*control.Control, error) { return control.Load(files, "*.yaml") })
}

// NewUser makes a detector of users' own controls, which may inspect and name
// all that ours do. They are read at once; errors wrap seawall.ErrUsage.
func NewUser(o Options, paths []string) (*Detector, error) {
	controls, err := control.LoadUser(paths)
	if err != nil {
		return nil, err
	}
	return with(o, "misconfig/own", func() ([]*control.Control, error) { return controls, nil })
}

func with(o Options, name string, load func() ([]*control.Control, error)) (*Detector, error) {
	version := api.LatestVersion()
	if o.PodSecurityVersion != "" {
		var err error
		if version, err = api.ParseVersion(o.PodSecurityVersion); err != nil {
			return nil, seawall.WithHint(fmt.Errorf("--pod-security-version %s: %w: %w", o.PodSecurityVersion, err, seawall.ErrUsage), "versions are written v1.33, or latest")
		}
	}
	return &Detector{control.New(control.Options{Name: name, Load: load, Checks: Checks(version), Index: newReferences})}, nil
}

// Checks are the Go functions that controls may name.
func Checks(version api.Version) map[string]control.Check {
	p := newPodSecurity(version)
	return map[string]control.Check{
		"podSecurity":            p.check,
		"podSecurityHostPID":     p.hostPID,
		"podSecurityHostIPC":     p.hostIPC,
		"podSecurityHostNetwork": p.hostNetwork,
		"configMapSecrets":       configMapSecrets,
		"unusedSecrets":          unusedSecrets,
		"certificateExpiry":      certificateExpiry,
		"clientCertificate":      clientCertificate,
		"kubernetesSupport":      kubernetesSupport,
		"kubeletSkew":            kubeletSkew,
		"runtimeSupport":         runtimeSupport,
		"kernelSupport":          kernelSupport,
		"osSupport":              osSupport,
		"removedAPIs":            removedAPIs,
		"deprecatedAPIs":         deprecatedAPIs,
		"deprecatedRequests":     deprecatedRequests,
		"unusedFeatures":         unusedFeatures,
		"newerFeatures":          newerFeatures,
	}
}

// Name implements detect.Detector.
func (d *Detector) Name() string { return d.controls.Name() }

// Rules implements detect.Explainer.
func (d *Detector) Rules() []detect.Rule { return d.controls.Rules() }

// Detect implements detect.Detector.
func (d *Detector) Detect(ctx context.Context, f detect.Facts) (detect.Result, error) {
	f.Configs = settings.Complete(f)
	return d.controls.Detect(ctx, f)
}
