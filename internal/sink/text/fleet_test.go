package text_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// fleet is a registry of three images: two on one base layer with openssl, all with lodash.
func fleet() *seawall.Report {
	base := seawall.LayerInfo{Digest: "sha256:" + strings.Repeat("ab", 32), CreatedBy: "ADD rootfs.tar /"}
	own := func(i int) seawall.LayerInfo {
		return seawall.LayerInfo{Index: 1, Digest: fmt.Sprintf("sha256:%064d", i), CreatedBy: "COPY app /app"}
	}
	r := &seawall.Report{SchemaVersion: seawall.SchemaVersion, Asset: &seawall.Asset{ID: "registry:r.example", Kind: seawall.AssetRegistry, Name: "r.example"}}
	add := func(f seawall.Finding) {
		f.Status = seawall.StatusFail
		r.Summary.Add(&f)
		r.Findings = append(r.Findings, f)
	}
	add(seawall.Finding{Kind: seawall.KindMisconfiguration, Rule: "SW-REG-008", Title: "Anybody can push images", Severity: seawall.SeverityCritical,
		Asset: r.Asset.ID, Evidence: "there is no login", Remediation: "Ask for a login."})
	vulnerability := func(asset, id, name, version, fixed string, sev seawall.Severity, layer seawall.LayerInfo) {
		add(seawall.Finding{Kind: seawall.KindVulnerability, Rule: id, Severity: sev, Asset: asset, Layer: &layer,
			Package:       &seawall.PackageRef{Name: name, Version: version, Ecosystem: "npm"},
			Vulnerability: &seawall.Vulnerability{ID: id, State: seawall.StateFixed, Fixed: []string{fixed}}})
	}
	for i := range 3 {
		id := fmt.Sprint("sha256:image", i)
		layers := []seawall.LayerInfo{own(i)}
		if i < 2 {
			layers = []seawall.LayerInfo{base, own(i)}
			vulnerability(id, "CVE-2024-0001", "openssl", "3.0.11", "3.0.15", seawall.SeverityHigh, base)
		}
		vulnerability(id, "CVE-2021-23337", "lodash", fmt.Sprintf("4.17.%d", i), "4.17.21", seawall.SeverityHigh, own(i))
		if i == 2 {
			vulnerability(id, "CVE-2020-0009", "jq", "1.5.0", "1.6.0", seawall.SeverityCritical, own(i))
		}
		r.Packages = append(r.Packages, seawall.Package{Asset: id, Name: "lodash", Version: "4.17.0", Ecosystem: "npm"})
		r.Assets = append(r.Assets, seawall.Asset{ID: id, Kind: seawall.AssetImage, Name: fmt.Sprintf("r.example/app:v%d", i),
			Image: &seawall.ImageInfo{Layers: layers, RepoTags: []string{fmt.Sprintf("r.example/app:v%d", i), "r.example/app:latest"}[:1+i%2]}})
	}
	return r
}

func TestFleetGolden(t *testing.T) {
	sinktest.Golden(t, "fleet.txt", []byte(render(t, fleet(), sink.Options{Width: 80})))
}

func TestAcross(t *testing.T) {
	v := triage.New(fleet(), sink.Options{})
	var got []string
	for _, p := range v.Across() {
		got = append(got, fmt.Sprintf("%s in %d: %v", p.Worst.Rule, len(p.Assets), p.Packages))
	}
	want := []string{"CVE-2020-0009 in 1: [jq 1.5.0]", "CVE-2021-23337 in 3: [lodash 4.17.0 lodash 4.17.1 lodash 4.17.2]", "CVE-2024-0001 in 2: [openssl 3.0.11]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("across (-want +got):\n%s", diff)
	}
	layers := v.SharedLayers()
	if len(layers) != 1 || len(layers[0].Assets) != 2 || layers[0].Counts.High != 1 {
		t.Errorf("shared layers: %+v", layers)
	}
	if worst := v.ByCounts(); worst[0].Name != "r.example/app:v2" || worst[2].Name != "r.example/app:v1" {
		t.Errorf("worst image %s, least %s", worst[0].Name, worst[2].Name)
	}
	if triage.New(sinktest.Report(t), sink.Options{}).Fleet() {
		t.Error("a report of images is no fleet")
	}
}
