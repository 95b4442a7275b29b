package kubernetes

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/seawall-security/seawall/internal/seawall"
)

// TestDeprecatedTable holds the table against what upstream's types say of themselves.
func TestDeprecatedTable(t *testing.T) {
	lifetimes := apiLifetimes()
	unlisted := []string{"Scale", "Eviction", "DeploymentRollback", "AdmissionReview", "TokenReview", "SelfSubjectReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview", "Event", "ConversionReview"}
	compared := 0
	for gvk := range scheme.Scheme.AllKnownTypes() {
		o, err := scheme.Scheme.New(gvk)
		if err != nil || strings.HasSuffix(gvk.Kind, "List") || slices.Contains(unlisted, gvk.Kind) {
			continue
		}
		of, ok := o.(interface {
			APILifecycleDeprecated() (major, minor int)
			APILifecycleRemoved() (major, minor int)
		})
		if !ok {
			continue
		}
		var want lifetime
		_, want.deprecated = of.APILifecycleDeprecated()
		_, want.removed = of.APILifecycleRemoved()
		got := lifetimes[gvk.GroupVersion().String()+" "+gvk.Kind]
		if got.deprecated != want.deprecated || got.removed != want.removed {
			t.Errorf("%s: %+v, upstream says %+v", gvk, got, want)
		}
		compared++
	}
	if compared < 60 {
		t.Errorf("only %d types compared", compared)
	}
	for name, l := range lifetimes {
		if l.deprecated == 0 || l.removed != 0 && l.removed <= l.deprecated {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// TestReleases: tables are in order, with dates.
func TestReleases(t *testing.T) {
	for name, table := range map[string][]release{"Kubernetes": kubernetesReleases(), "containerd": runtimeReleases(), "Linux": kernelReleases()} {
		seen := map[string]bool{}
		for _, r := range table {
			if _, err := time.Parse(time.DateOnly, r.ends); err != nil || seen[r.name] || majorMinor(r.name) != r.name {
				t.Errorf("%s: %+v", name, r)
			}
			seen[r.name] = true
		}
	}
	newest := kubernetesReleases()[len(kubernetesReleases())-1]
	if minor, ok := minorOf(newest.name); !ok || minor != newestMinor {
		t.Errorf("newest is %s, newestMinor %d", newest.name, newestMinor)
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]int{"v1.29.3+k3s1": 29, "1.30": 30, "v1.28.9-eks-036c24b": 28, "1.7": 7, "v1.": -1, "2.0": -1, "": -1, "v1.x": -1} {
		got, ok := minorOf(version)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", version, got, want)
		}
	}
	for pretty, want := range map[string]seawall.OS{
		"Debian GNU/Linux 12 (bookworm)":       {ID: "debian", Version: "12"},
		"Ubuntu 22.04.4 LTS":                   {ID: "ubuntu", Version: "22.04.4"},
		"Alpine Linux v3.21":                   {ID: "alpine", Version: "3.21"},
		"Amazon Linux 2":                       {ID: "amzn", Version: "2"},
		"SUSE Linux Enterprise Server 15 SP5":  {ID: "sles", Version: "15.5"},
		"Red Hat Enterprise Linux 9.3 (Plow)":  {ID: "rhel", Version: "9.3"},
		"Container-Optimized OS from Google":   {},
		"Flatcar Container Linux by Kinvolk 1": {},
	} {
		want.Name = pretty
		if diff := cmp.Diff(want, operatingSystem(pretty)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestFeatures: the table is complete in itself.
func TestFeatures(t *testing.T) {
	last := 0
	for _, f := range features() {
		if f.minor < last || f.name == "" || f.gain == "" || f.page == "" || (f.use != nil) != (f.how != "") {
			t.Errorf("%+v", f)
		}
		last = f.minor
	}
}
