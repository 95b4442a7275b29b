// Package signature reports images that are not signed as they must be. The
// judging is package verify's, which runs before, where the image came from is
// known; this detector turns its outcome in seawall.ImageInfo.Verification into
// a finding: pass with the signer, fail with the reason. That signatures could
// not be fetched is an error: a gate must not open because a registry is down.
package signature

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Detector reports what became of the signatures asked for.
type Detector struct{}

var _ detect.Explainer = Detector{}

// Name implements detect.Detector.
func (Detector) Name() string { return "signature" }

// Rules implements detect.Explainer.
func (Detector) Rules() []detect.Rule {
	return []detect.Rule{{
		ID: "SW-SIG-001", Title: "The image is not signed as it must be", Severity: seawall.SeverityHigh,
		Rationale: "Only a signature tells an image that its maker released from one that somebody else put under the same name. " +
			"It is judged by what --verify-key, --verify-identity and the like ask for.",
		Remediation: "Deploy an image that its maker signed; sign own images where they are built, with a key or identity that only the build has. " +
			"'seawall verify image' shows every signature and what is wrong with it.",
		References: []string{"https://slsa.dev/spec/v1.1/verifying-artifacts", "https://docs.sigstore.dev/cosign/verifying/verify/"},
		Frameworks: []string{"cis-k8s-1.12:5.5.1", "cis-docker-1.6:4.5", "nist-800-190:4.1.5"},
	}}
}

// Detect implements detect.Detector. An asset nobody verified has no finding.
func (d Detector) Detect(_ context.Context, f detect.Facts) (detect.Result, error) {
	if f.Asset.Image == nil || f.Asset.Image.Verification == nil {
		return detect.Result{}, nil
	}
	v := f.Asset.Image.Verification
	if v.Error != "" {
		return detect.Result{}, fmt.Errorf("fetching the signatures of %s: %s: %w", f.Asset.Name, v.Error, seawall.ErrUnreadable)
	}
	rule := d.Rules()[0]
	finding := seawall.Finding{
		Kind: seawall.KindSignature, Rule: rule.ID, Title: rule.Title, Severity: rule.Severity, SeveritySource: "seawall", Status: seawall.StatusFail,
		Evidence: strings.TrimSuffix(v.Reason+": "+v.Detail, ": "), Remediation: rule.Remediation, References: rule.References, Frameworks: rule.Frameworks,
		Location: &seawall.Location{Resource: cmp.Or(v.Digest, f.Asset.Digest)},
	}
	if v.Verified {
		finding.Status, finding.Title, finding.Remediation, finding.Evidence = seawall.StatusPass, "The image is signed as it must be", "", signers(v.Signatures)
	}
	return detect.Result{Findings: []seawall.Finding{finding}}, nil
}

// signers names who signed, each once.
func signers(list []seawall.Signature) string {
	var out []string
	for _, s := range list {
		who := s.Signer
		if s.Issuer != "" {
			who += " (" + s.Issuer + ")"
		}
		if !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	return "signed by " + strings.Join(out, ", ")
}
