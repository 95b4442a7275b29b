package kubernetes

import (
	_ "embed" // the table of API versions
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/detect/control"
	"github.com/seawall-security/seawall/internal/detect/lifecycle"
	"github.com/seawall-security/seawall/internal/seawall"
)

// soon is how long before the end of support an upgrade is due.
const soon = 60 * 24 * time.Hour

// release is the support of a minor release; its end is the last day, YYYY-MM-DD.
type release struct {
	name string
	ends string
}

// kubernetesReleases are the minor releases of Kubernetes, oldest first
// (https://kubernetes.io/releases/patch-releases/, as of 2026-11-21).
func kubernetesReleases() []release {
	return []release{
		{"1.16", "2020-09-02"}, {"1.17", "2021-01-13"}, {"1.18", "2021-06-18"}, {"1.19", "2021-10-28"}, {"1.20", "2022-02-28"}, {"1.21", "2022-06-28"},
		{"1.22", "2022-12-08"}, {"1.23", "2023-02-28"}, {"1.24", "2023-07-28"}, {"1.25", "2023-10-28"}, {"1.26", "2024-02-28"}, {"1.27", "2024-07-16"},
		{"1.28", "2024-10-22"}, {"1.29", "2025-02-28"}, {"1.30", "2025-07-15"}, {"1.31", "2025-11-11"}, {"1.32", "2026-02-28"}, {"1.33", "2026-06-28"},
		{"1.34", "2026-10-27"}, {"1.35", "2027-02-28"}, {"1.36", "2027-06-28"}, {"1.37", "2027-10-28"},
	}
}

// newestMinor is that of the newest release in the table.
const newestMinor = 37

// runtimeReleases are those of containerd (https://containerd.io/releases/, as of
// 2026-11-21; where only a month is named its last day). CRI-O's and cri-dockerd's
// follow Kubernetes.
func runtimeReleases() []release {
	return []release{
		{"1.2", "2020-10-15"}, {"1.3", "2021-03-04"}, {"1.4", "2022-03-03"}, {"1.5", "2023-02-28"}, {"1.6", "2025-08-23"}, {"1.7", "2026-09-30"},
		{"2.0", "2025-11-07"}, {"2.1", "2026-05-05"}, {"2.2", "2026-11-06"}, {"2.3", "2028-04-27"},
	}
}

// kernelReleases are the long-term kernels that kernel.org maintains.
func kernelReleases() []release {
	return []release{
		{"4.4", "2022-02-03"}, {"4.9", "2023-01-07"}, {"4.14", "2024-01-10"}, {"4.19", "2024-12-05"}, {"5.4", "2025-12-31"}, {"5.10", "2026-12-31"},
		{"5.15", "2026-12-31"}, {"6.1", "2027-12-31"}, {"6.6", "2026-12-31"}, {"6.12", "2028-12-31"}, {"6.18", "2028-12-31"},
	}
}

// minorOf reads "v1.29.3+k3s1" as 29; ok is false for what is no version 1.x.
func minorOf(version string) (minor int, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(version, "v"), "1.")
	if !ok {
		return 0, false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	minor, err := strconv.Atoi(rest[:end])
	return minor, err == nil
}

// majorMinor is the first two numbers of a version: "1.7" of "1.7.13-k3s1".
func majorMinor(version string) string {
	major, rest, ok := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if !ok {
		return ""
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	return major + "." + rest[:end]
}

// supported judges a release by its table.
func supported(what, version string, releases []release, now time.Time, field string) []control.Outcome {
	name := majorMinor(version)
	for _, r := range releases {
		if r.name == name {
			return ending(what+" "+version, r.ends, now, field)
		}
	}
	return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: fmt.Sprintf("when support of %s %s ends is not known to this version of Seawall", what, version)}}
}

// ending judges the day support ends.
func ending(what, ends string, now time.Time, field string) []control.Outcome {
	switch today := now.UTC().Format(time.DateOnly); {
	case ends == "" || now.UTC().Add(soon).Format(time.DateOnly) < ends:
		return nil
	case today > ends:
		return []control.Outcome{{Field: field, Evidence: fmt.Sprintf("security support of %s ended on %s", what, ends)}}
	default:
		return []control.Outcome{{Field: field, Severity: seawall.SeverityLow, Evidence: fmt.Sprintf("security support of %s ends on %s", what, ends)}}
	}
}

// kubernetesSupport judges the version of the API server.
func kubernetesSupport(s *control.Subject) []control.Outcome {
	version := s.Config.Data["version"]
	if version == "" {
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "the version is not known"}}
	}
	return supported("Kubernetes", version, kubernetesReleases(), s.Snapshot.Facts.Now, "version")
}

// kubeletSkew judges how far a node's kubelet is from the API server
// (https://kubernetes.io/releases/version-skew-policy/).
func kubeletSkew(s *control.Subject) []control.Outcome {
	node := text(object(s.Map, "status", "nodeInfo"), "kubeletVersion")
	kubelet, known := minorOf(node)
	server, serverKnown := minorOf(s.Snapshot.Setting("kubernetes/version", "version"))
	if !known || !serverKnown {
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "the versions of API server and kubelet are not both known"}}
	}
	allowed := 3
	if server < 28 {
		allowed = 2
	}
	if kubelet > server || server-kubelet > allowed {
		return []control.Outcome{{Field: "status.nodeInfo.kubeletVersion", Evidence: fmt.Sprintf("kubelet 1.%d with an API server 1.%d, which works with 1.%d to 1.%d", kubelet, server, server-allowed, server)}}
	}
	return supported("kubelet", node, kubernetesReleases(), s.Snapshot.Facts.Now, "status.nodeInfo.kubeletVersion")
}

// runtimeSupport judges a node's container runtime.
func runtimeSupport(s *control.Subject) []control.Outcome {
	const field = "status.nodeInfo.containerRuntimeVersion"
	name, version, ok := strings.Cut(text(object(s.Map, "status", "nodeInfo"), "containerRuntimeVersion"), "://")
	now := s.Snapshot.Facts.Now
	switch {
	case !ok:
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "the node does not name its runtime"}}
	case name == "containerd":
		return supported(name, version, runtimeReleases(), now, field)
	case name == "cri-o":
		return supported("CRI-O", version, kubernetesReleases(), now, field)
	case name == "docker":
		if kubelet, known := minorOf(text(object(s.Map, "status", "nodeInfo"), "kubeletVersion")); known && kubelet < 24 {
			return []control.Outcome{{Field: field, Evidence: "dockershim, which has no support any more"}}
		}
	}
	return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "when support of " + name + " " + version + " ends is not known to this version of Seawall"}}
}

// kernelSupport judges a node's kernel where kernel.org, and no distribution, maintains it.
func kernelSupport(s *control.Subject) []control.Outcome {
	version := text(object(s.Map, "status", "nodeInfo"), "kernelVersion")
	plain, suffix, patched := strings.Cut(version, "-")
	if patched && !strings.HasPrefix(suffix, "rc") {
		return []control.Outcome{{Status: seawall.StatusNotApplicable, Reason: "kernel " + version + " is a distribution's, which decides how long it maintains it"}}
	}
	if majorMinor(plain) == "" {
		return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: "the node does not name its kernel"}}
	}
	return supported("Linux", plain, kernelReleases(), s.Snapshot.Facts.Now, "status.nodeInfo.kernelVersion")
}

// osSupport judges a node's operating system by the table of distributions.
func osSupport(s *control.Subject) []control.Outcome {
	image := text(object(s.Map, "status", "nodeInfo"), "osImage")
	if ends, known := lifecycle.Ends(operatingSystem(image)); known {
		return ending(image, ends, s.Snapshot.Facts.Now, "status.nodeInfo.osImage")
	}
	return []control.Outcome{{Status: seawall.StatusNotEvaluated, Reason: fmt.Sprintf("when support of %q ends is not known to this version of Seawall", image)}}
}

// operatingSystem reads PRETTY_NAME, which is all a Node tells.
func operatingSystem(pretty string) seawall.OS {
	os := seawall.OS{Name: pretty}
	for _, known := range [...]struct{ prefix, id string }{
		{"Debian GNU/Linux ", "debian"}, {"Ubuntu ", "ubuntu"}, {"Alpine Linux v", "alpine"}, {"Red Hat Enterprise Linux ", "rhel"}, {"Rocky Linux ", "rocky"},
		{"AlmaLinux ", "almalinux"}, {"CentOS Stream ", "centos"}, {"CentOS Linux ", "centos"}, {"Oracle Linux Server ", "ol"}, {"Amazon Linux ", "amzn"},
		{"Fedora Linux ", "fedora"}, {"openSUSE Leap ", "opensuse-leap"}, {"SUSE Linux Enterprise Server ", "sles"}, {"VMware Photon OS/Linux", "photon"},
		{"CBL-Mariner/Linux", "mariner"}, {"Microsoft Azure Linux ", "azurelinux"},
	} {
		if rest, ok := strings.CutPrefix(pretty, known.prefix); ok {
			os.ID = known.id
			rest = strings.Replace(rest, " SP", ".", 1) // SLES 15 SP5 is 15.5
			if fields := strings.Fields(rest); len(fields) > 0 {
				os.Version = fields[0]
			}
		}
	}
	if os.ID == "amzn" {
		os.Version, _, _ = strings.Cut(os.Version, ".")
	}
	return os
}

// deprecatedTable is what k8s.io/api says of its types (a test holds it against
// them), and what was removed before or lies elsewhere.
//
//go:embed tables/deprecated.csv
var deprecatedTable string

// lifetime is that of one kind of one API version, in minor releases of Kubernetes; removed 0 is never.
type lifetime struct {
	deprecated, removed int
	replacement         string
}

// apiLifetimes are by "apiVersion kind".
var apiLifetimes = sync.OnceValue(func() map[string]lifetime {
	lifetimes := map[string]lifetime{}
	for line := range strings.Lines(deprecatedTable) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if len(f) != 5 || f[0] == "apiVersion" {
			continue
		}
		l := lifetime{replacement: f[4]}
		l.deprecated, _ = strconv.Atoi(f[2])
		l.removed, _ = strconv.Atoi(f[3])
		lifetimes[f[0]+" "+f[1]] = l
	}
	return lifetimes
})

// target is the minor release the objects are for: the cluster's, that of
// --kube-version, or the newest.
func target(s *control.Subject) int {
	if minor, ok := minorOf(s.Snapshot.Setting("kubernetes/version", "version")); ok {
		return minor
	}
	return newestMinor
}

// removedAPIs finds objects of API versions that the target does not serve any more.
func removedAPIs(s *control.Subject) []control.Outcome {
	return byLifetime(s, func(l lifetime, minor int) (string, bool) {
		return fmt.Sprintf("Kubernetes 1.%d does not serve it since 1.%d", minor, l.removed), l.removed > 0 && l.removed <= minor
	})
}

// deprecatedAPIs finds objects of API versions that are still served, but to go.
func deprecatedAPIs(s *control.Subject) []control.Outcome {
	return byLifetime(s, func(l lifetime, minor int) (string, bool) {
		evidence := fmt.Sprintf("deprecated since 1.%d", l.deprecated)
		if l.removed > 0 {
			evidence += fmt.Sprintf(", removed in 1.%d", l.removed)
		}
		return evidence, l.deprecated <= minor && (l.removed == 0 || l.removed > minor)
	})
}

func byLifetime(s *control.Subject, broken func(l lifetime, minor int) (string, bool)) []control.Outcome {
	minor, lifetimes := target(s), apiLifetimes()
	var outcomes []control.Outcome
	objects := s.Snapshot.Facts.Objects
	if len(objects) == 0 {
		return []control.Outcome{{Status: seawall.StatusNotApplicable, Reason: "there are no objects"}}
	}
	for i := range objects {
		o := &objects[i]
		l, ok := lifetimes[o.APIVersion+" "+o.Kind]
		if !ok {
			continue
		}
		evidence, bad := broken(l, minor)
		if !bad {
			continue
		}
		outcome := control.Outcome{Object: o, Field: "apiVersion", Evidence: o.APIVersion + " " + o.Kind + ": " + evidence}
		if l.replacement != "" {
			outcome.Remediation = "Use " + l.replacement + " instead."
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes
}

// deprecatedRequests tells which APIs clients asked for that are to go, as the
// API server counted.
func deprecatedRequests(s *control.Subject) []control.Outcome {
	var outcomes []control.Outcome
	for _, c := range s.Snapshot.Configs("kubernetes/deprecated-api") {
		name := strings.TrimPrefix(c.Data["group"]+"/"+c.Data["version"], "/") + " " + c.Data["resource"]
		evidence := "clients asked for " + name
		if removed := c.Data["removed_release"]; removed != "" {
			evidence += ", removed in " + removed
		}
		outcomes = append(outcomes, control.Outcome{Field: name, Evidence: evidence})
	}
	return outcomes
}
