package scan

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// judged is what the detectors made of one asset's facts.
type judged struct {
	findings []seawall.Finding
	coverage []seawall.Coverage
	statuses []seawall.CollectorStatus
}

// judge runs every detector and puts its findings in their final form: place,
// layer, identifier, suppression, order.
func (s *scanner) judge(ctx context.Context, inv *inventory.Result, layers map[string]seawall.LayerInfo) judged {
	facts := detect.Facts{
		Asset: *inv.Asset, Packages: inv.Packages, Files: inv.Files, Configs: inv.Configs, Objects: inv.Objects, Matches: inv.Matches, Now: s.Now(),
	}
	var out judged
	for _, d := range s.Detectors {
		res, status := runDetector(ctx, d, facts)
		out.findings = append(out.findings, res.Findings...)
		out.coverage = append(out.coverage, res.Coverage...)
		out.statuses = append(out.statuses, status)
		if res.EndOfLife != "" && inv.Asset.OS != nil {
			inv.Asset.OS.EndOfLife = res.EndOfLife
		}
	}
	for i := range out.coverage {
		out.coverage[i].Asset = inv.Asset.ID
	}
	if s.Exposed != nil {
		inv.Asset.Exposed = s.Exposed(inv.Asset)
	}
	for i := range out.findings {
		f := &out.findings[i]
		f.Asset = inv.Asset.ID
		if f.Kind == seawall.KindVulnerability {
			f.Exposed = inv.Asset.Exposed
		}
		place(f, layers)
		if s.Suppressor != nil {
			s.Suppressor.Apply(inv.Asset, f)
		}
		if s.Frameworks != nil {
			f.Frameworks = s.Frameworks(f, facts.Now)
		}
	}
	if s.InUse != nil {
		out.statuses = append(out.statuses, s.InUse(inv.Asset, inv.Files, out.findings))
	}
	slices.SortStableFunc(out.findings, compareFindings)
	identify(inv.Asset, out.findings)
	return out
}

// runDetector runs one detector; an error or a panic becomes its status.
func runDetector(ctx context.Context, d detect.Detector, facts detect.Facts) (res detect.Result, status seawall.CollectorStatus) {
	start := time.Now()
	status = seawall.CollectorStatus{Asset: facts.Asset.ID, Name: d.Name(), Status: seawall.RunOK}
	defer func() {
		if p := recover(); p != nil {
			status.Status, status.Reason = seawall.RunFailed, fmt.Sprintf("panic: %v", p)
		}
		status.Found = len(res.Findings)
		status.MS = float64(time.Since(start).Microseconds()) / 1000
	}()
	res, err := d.Detect(ctx, facts)
	switch {
	case err != nil:
		status.Status, status.Reason = seawall.RunFailed, err.Error()
	case res.Partial != "":
		status.Status, status.Reason = seawall.RunPartial, res.Partial
	}
	return res, status
}

// place makes Location the first of Locations and fills the layer it came from.
func place(f *seawall.Finding, layers map[string]seawall.LayerInfo) {
	switch {
	case f.Location == nil && len(f.Locations) > 0:
		f.Location = &f.Locations[0]
	case f.Location != nil && len(f.Locations) == 0:
		f.Locations = []seawall.Location{*f.Location}
	}
	if f.Layer == nil && f.Location != nil {
		if info, ok := layers[f.Location.Layer]; ok {
			f.Layer = &info
		}
	}
}

// compareFindings puts the worst first: failing before all else, then severity,
// known exploitation, whether it is loaded, exposure, likelihood of exploitation; names settle the rest.
func compareFindings(a, b seawall.Finding) int {
	return cmp.Or(
		cmp.Compare(statusRank(a.Status), statusRank(b.Status)),
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(exploited(b), exploited(a)),
		cmp.Compare(certainty(b.InUse), certainty(a.InUse)),
		cmp.Compare(certainty(b.Exposed), certainty(a.Exposed)),
		cmp.Compare(likelihood(b), likelihood(a)),
		strings.Compare(string(a.Kind), string(b.Kind)),
		comparePackages(a.Package, b.Package),
		strings.Compare(a.Rule, b.Rule),
		compareLocations(a.Location, b.Location),
		strings.Compare(a.Evidence, b.Evidence),
	)
}

func statusRank(s seawall.Status) int {
	return slices.Index([]seawall.Status{
		seawall.StatusFail, seawall.StatusNotEvaluated, seawall.StatusSuppressed, seawall.StatusNotApplicable, seawall.StatusPass,
	}, s)
}

func exploited(f seawall.Finding) int {
	if f.Vulnerability != nil && f.Vulnerability.KEV {
		return 1
	}
	return 0
}

// certainty orders what is known: true, unknown, false.
func certainty(known *bool) int {
	switch {
	case known == nil:
		return 0
	case *known:
		return 1
	}
	return -1
}

func likelihood(f seawall.Finding) float64 {
	if f.Vulnerability != nil && f.Vulnerability.EPSS != nil {
		return f.Vulnerability.EPSS.Score
	}
	return 0
}

func comparePackages(a, b *seawall.PackageRef) int {
	if a == nil || b == nil {
		return cmp.Compare(present(b), present(a))
	}
	return cmp.Or(
		strings.Compare(a.Name, b.Name),
		strings.Compare(a.Version, b.Version),
		strings.Compare(a.Ecosystem, b.Ecosystem),
		strings.Compare(a.PURL, b.PURL),
	)
}

func compareLocations(a, b *seawall.Location) int {
	if a == nil || b == nil {
		return cmp.Compare(present(b), present(a))
	}
	return cmp.Or(
		strings.Compare(a.Path, b.Path),
		strings.Compare(a.Inner, b.Inner),
		cmp.Compare(a.Line, b.Line),
		strings.Compare(a.Resource, b.Resource),
		strings.Compare(a.Field, b.Field),
	)
}

func present[T any](p *T) int {
	if p == nil {
		return 0
	}
	return 1
}

// identify gives every finding without an ID one that stays the same while the
// problem stays: made of the asset without its tag or digest, the rule, and the
// package, or without a package the place. Lines move as files are edited and
// are left out; equal findings are told apart by a number in their order.
func identify(asset *seawall.Asset, findings []seawall.Finding) {
	seen := map[string]int{}
	for i := range findings {
		f := &findings[i]
		if f.ID != "" {
			continue
		}
		parts := []string{string(asset.Kind), lastingName(asset), string(f.Kind), f.Rule}
		if p := f.Package; p != nil {
			parts = append(parts, p.Ecosystem, p.Name, p.Version, p.PURL)
		} else if l := f.Location; l != nil {
			parts = append(parts, l.Path, l.Inner, l.Resource, l.Field)
		}
		key := strings.Join(parts, "\x00")
		seen[key]++
		if n := seen[key]; n > 1 {
			key += fmt.Sprintf("\x00%d", n)
		}
		sum := sha256.Sum256([]byte(key))
		f.ID = hex.EncodeToString(sum[:16])
	}
}

// distinguish keeps identifiers apart between the assets of one run: the tags of
// a repository share a lasting name, so what an earlier asset already has is
// made anew with the asset's own identity.
func (s *scanner) distinguish(asset *seawall.Asset, findings []seawall.Finding) {
	if s.issued == nil {
		s.issued = map[string]string{}
	}
	for i := range findings {
		f := &findings[i]
		if owner, taken := s.issued[f.ID]; taken && owner != asset.ID {
			sum := sha256.Sum256([]byte(f.ID + "\x00" + asset.ID))
			f.ID = hex.EncodeToString(sum[:16])
		}
		s.issued[f.ID] = asset.ID
	}
}

// lastingName is an asset's name without what changes with every build of an image.
func lastingName(a *seawall.Asset) string {
	if a.Kind != seawall.AssetImage {
		return a.Name
	}
	name := a.Name
	scheme, rest, ok := strings.Cut(name, ":")
	if ok && isScheme(scheme) {
		name = rest
	}
	name, _, _ = strings.Cut(name, "@")
	if tag := strings.LastIndexByte(name, ':'); tag > strings.LastIndexByte(name, '/') {
		name = name[:tag]
	}
	return name
}

// isScheme says whether the text before a name's first colon names a kind of source, as in "oci:build".
func isScheme(s string) bool {
	switch s {
	case "oci", "oci-archive", "docker-archive", "docker", "containerd":
		return true
	}
	return false
}

func newRunID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}
