package scan

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seawall-security/seawall/internal/detect"
	inventoryall "github.com/seawall-security/seawall/internal/inventory/all"
	"github.com/seawall-security/seawall/internal/scan/baseimage"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	sourceall "github.com/seawall-security/seawall/internal/source/all"
)

// eachPackage finds something wrong with every package.
type eachPackage struct{}

func (eachPackage) Name() string { return "each-package" }

func (eachPackage) Detect(_ context.Context, f detect.Facts) (res detect.Result, err error) {
	for _, p := range f.Packages {
		res.Findings = append(res.Findings, seawall.Finding{Rule: p.Name, Severity: seawall.SeverityHigh, Status: seawall.StatusFail, Locations: p.Locations})
	}
	return res, nil
}

type baseReport struct{ seawall.Report }

func (r *baseReport) Handle(_ context.Context, m seawall.Message) error { r.Apply(m); return nil }

// scanBases scans an image of one debian layer, then one that has a layer more.
func scanBases(t *testing.T, finder Bases, names ...string) seawall.Report {
	t.Helper()
	var targets []Target
	for _, name := range names {
		targets = append(targets, Target{Name: name, Open: func(ctx context.Context, _ func(seawall.Progress)) (seawall.Target, error) {
			return sourceall.Open(ctx, name, source.Options{})
		}})
	}
	var got baseReport
	out, err := Run(t.Context(), Config{Collectors: inventoryall.Collectors(), Detectors: []detect.Detector{eachPackage{}}, Bases: finder}, targets, &got)
	if err != nil || len(out.Errors) > 0 {
		t.Fatal(err, out.Errors)
	}
	return got.Report
}

func TestBase(t *testing.T) {
	lower := map[string]string{"usr/lib/os-release": osRelease, "var/lib/dpkg/status": baseStatus}
	upper := map[string]string{"app/package-lock.json": npmLock}
	below, above := "oci:"+writeLayout(t, []map[string]string{lower}), "oci:"+writeLayout(t, []map[string]string{lower, upper})

	opened, err := sourceall.Open(t.Context(), below, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	dir := t.TempDir()
	for name, report := range map[string]seawall.Report{
		baseimage.Given: scanBases(t, &baseimage.Finder{Given: []seawall.Asset{opened.Asset()}}, above),
		baseimage.Seen: func() seawall.Report {
			scanBases(t, &baseimage.Finder{Dir: dir}, below)
			return scanBases(t, &baseimage.Finder{Dir: dir}, above)
		}(),
	} {
		want := &seawall.BaseImage{Name: opened.Asset().Name, Digest: opened.Asset().Digest, Layers: 1, Known: name, Findings: &seawall.Summary{High: 1}}
		if diff := cmp.Diff(want, report.Asset.Image.Base); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		of := map[string]bool{}
		for _, f := range report.Findings {
			of[f.Rule] = f.Layer.Base
		}
		if diff := cmp.Diff(map[string]bool{"libc6": true, "lodash": false}, of); diff != "" {
			t.Errorf("%s: findings of the base (-want +got):\n%s", name, diff)
		}
		if l := report.Asset.Image.Layers; !l[0].Base || l[1].Base {
			t.Errorf("%s: layers %+v", name, l)
		}
	}
	for name, finder := range map[string]*baseimage.Finder{"nothing known": {Dir: t.TempDir()}, "not of this image": {Given: []seawall.Asset{opened.Asset()}}} {
		if b := scanBases(t, finder, below).Asset.Image.Base; b != nil {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

func TestBaseOfLabels(t *testing.T) {
	labels := map[string]string{"org.opencontainers.image.base.name": "docker.io/library/debian:12", "org.opencontainers.image.base.digest": "sha256:d"}
	got := (&baseimage.Finder{}).Find(&seawall.Asset{Image: &seawall.ImageInfo{Labels: labels}})
	want := &seawall.BaseImage{Name: "docker.io/library/debian:12", Digest: "sha256:d", Known: baseimage.Label}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := (&baseimage.Finder{Dir: t.TempDir()}).Find(&seawall.Asset{Image: &seawall.ImageInfo{Layers: []seawall.LayerInfo{{DiffID: "../../x"}, {DiffID: "sha256:zz"}}}}); got != nil {
		t.Errorf("hostile diff identifiers: %+v", got)
	}
}

// A manifest's annotations win over labels, which a child image inherits from its base.
func TestBaseOfAnnotations(t *testing.T) {
	image := &seawall.ImageInfo{
		Labels:      map[string]string{"org.opencontainers.image.base.name": "docker.io/library/grandparent:1"},
		Annotations: map[string]string{"org.opencontainers.image.base.name": "docker.io/library/parent:1", "org.opencontainers.image.base.digest": "sha256:p"},
	}
	got := (&baseimage.Finder{}).Find(&seawall.Asset{Image: image})
	want := &seawall.BaseImage{Name: "docker.io/library/parent:1", Digest: "sha256:p", Known: baseimage.Label}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGivenBaseThatIsNone(t *testing.T) {
	lower := map[string]string{"usr/lib/os-release": osRelease, "var/lib/dpkg/status": baseStatus}
	other := map[string]string{"usr/lib/os-release": osRelease}
	image := "oci:" + writeLayout(t, []map[string]string{lower, other})
	var given []seawall.Asset
	for _, layers := range [][]map[string]string{{lower}, {other}} {
		opened, err := sourceall.Open(t.Context(), "oci:"+writeLayout(t, layers), source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		opened.Close()
		given = append(given, opened.Asset())
	}
	finder := &baseimage.Finder{Given: given}
	scanBases(t, finder, image)
	warnings := finder.Warnings()
	if len(warnings) != 1 || !strings.Contains(warnings[0], given[1].Name) {
		t.Errorf("warnings %q, want one about %s", warnings, given[1].Name)
	}
}

func TestSeenBasesAreBounded(t *testing.T) {
	dir := t.TempDir()
	finder := &baseimage.Finder{Dir: dir}
	for i := range 4100 {
		finder.Remember(&seawall.Asset{Name: "x", Image: &seawall.ImageInfo{Layers: []seawall.LayerInfo{{DiffID: fmt.Sprintf("sha256:%064x", i)}}}})
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 4096 || len(entries) < 3000 {
		t.Errorf("%d images kept, %v", len(entries), err)
	}
	if finder.Find(&seawall.Asset{Image: &seawall.ImageInfo{Layers: []seawall.LayerInfo{{DiffID: fmt.Sprintf("sha256:%064x", 4099)}, {DiffID: "sha256:x"}}}}) == nil {
		t.Error("the newest image seen was forgotten")
	}
}
