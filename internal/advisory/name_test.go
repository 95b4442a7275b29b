package advisory_test

import (
	"testing"

	"github.com/seawall-security/seawall/internal/advisory"
)

func TestNormalizeEcosystem(t *testing.T) {
	for in, want := range map[string]string{
		"Ubuntu:22.04:LTS":                                   "Ubuntu:22.04",
		"Ubuntu:24.10":                                       "Ubuntu:24.10",
		"Ubuntu:Pro:22.04:LTS":                               "Ubuntu:Pro:22.04",
		"Ubuntu:Pro:FIPS-updates:20.04:LTS":                  "Ubuntu:Pro:FIPS-updates:20.04",
		"Red Hat:enterprise_linux:9::appstream":              "Red Hat:9",
		"Red Hat:enterprise_linux:10.0":                      "Red Hat:10",
		"Red Hat:rhel_eus:9.2::baseos":                       "Red Hat:rhel_eus:9.2",
		"SUSE:Linux Enterprise Server 15 SP5":                "SUSE:15.5",
		"SUSE:Linux Enterprise Module for Basesystem 15 SP5": "SUSE:15.5",
		"SUSE:Linux Enterprise Server 12 SP5-LTSS":           "SUSE:12.5",
		"SUSE:Linux Enterprise Server 15":                    "SUSE:15",
		"SUSE:Linux Enterprise Micro 5.3":                    "SUSE:5.3",
		"SUSE:Manager Server 4.3":                            "SUSE:Manager Server 4.3",
		"openSUSE:Leap 15.5":                                 "openSUSE:15.5",
		"openSUSE:Leap Micro 5.5":                            "openSUSE:Leap Micro 5.5",
		"openSUSE:Tumbleweed":                                "openSUSE:Tumbleweed",
		"Debian:12":                                          "Debian:12",
		"Alpine:v3.18":                                       "Alpine:v3.18",
		"AlmaLinux:9":                                        "AlmaLinux:9",
		"Rocky Linux:8":                                      "Rocky Linux:8",
		"Azure Linux:3":                                      "Azure Linux:3.0",
		"kubernetes":                                         "Kubernetes",
		"Maven:https://repo.example.org/releases":            "Maven",
		"GIT":      "",
		"":         "",
		"Mageia:9": "Mageia:9",
	} {
		if got := advisory.NormalizeEcosystem(in); got != want {
			t.Errorf("NormalizeEcosystem(%q) = %q, want %q", in, got, want)
		}
		if want != "" && advisory.NormalizeEcosystem(want) != want {
			t.Errorf("NormalizeEcosystem(%q) is not a fixed point: %q", want, advisory.NormalizeEcosystem(want))
		}
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ ecosystem, in, want string }{
		{"PyPI", "Zope.Interface__x", "zope-interface-x"},
		{"npm", "@Scope/Name", "@Scope/Name"},
		{"Packagist", "Symfony/HTTP-Kernel", "symfony/http-kernel"},
		{"Go", "github.com/Masterminds/semver", "github.com/Masterminds/semver"},
		{"Maven", "org.Apache:Foo", "org.Apache:Foo"},
		{"SwiftURL", "https://GitHub.com/apple/swift-nio.git", "github.com/apple/swift-nio"},
		{"Kubernetes", "k8s.io/apiserver", "kube-apiserver"},
		{"Kubernetes", "k8s.io/controller-manager", "kube-controller-manager"},
		{"Kubernetes", "sigs.k8s.io/secrets-store-csi-driver", "secrets-store-csi-driver"},
		{"Kubernetes", "kubelet", "kubelet"},
		{"Debian:12", "libXfont", "libXfont"},
	} {
		if got := advisory.Canonical(c.ecosystem, c.in); got != c.want {
			t.Errorf("Canonical(%q, %q) = %q, want %q", c.ecosystem, c.in, got, c.want)
		}
	}
}

func FuzzNormalizeEcosystem(f *testing.F) {
	for _, s := range []string{"openSUSE:Leap ", "Red Hat:", "Ubuntu:", "SUSE:Linux Enterprise 9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := advisory.NormalizeEcosystem(s)
		if twice := advisory.NormalizeEcosystem(once); twice != once && once != "" {
			t.Errorf("%q -> %q -> %q", s, once, twice)
		}
	})
}
