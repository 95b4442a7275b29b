package seawall_test

import (
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
)

func TestEcosystem(t *testing.T) {
	tests := []struct {
		os   seawall.OS
		want string
	}{
		{seawall.OS{}, "Linux"},
		{seawall.OS{ID: "debian", Version: "12"}, "Debian:12"},
		{seawall.OS{ID: "debian", Version: "12.5"}, "Debian:12"},
		{seawall.OS{ID: "debian", Name: "Debian GNU/Linux forky/sid"}, "Debian:sid"},
		{seawall.OS{ID: "ubuntu", Version: "22.04"}, "Ubuntu:22.04"},
		{seawall.OS{ID: "alpine", Version: "3.18.4"}, "Alpine:v3.18"},
		{seawall.OS{ID: "alpine", Version: "3.21.0_alpha20240923"}, "Alpine:edge"},
		{seawall.OS{ID: "wolfi", Version: "20230201"}, "Wolfi"},
		{seawall.OS{ID: "chainguard", Version: "20230214"}, "Chainguard"},
		{seawall.OS{ID: "rhel", Version: "9.3"}, "Red Hat:9"},
		{seawall.OS{ID: "centos", Version: "7", Name: "CentOS Linux 7 (Core)"}, "CentOS:7"},
		{seawall.OS{ID: "centos", Version: "9", Name: "CentOS Stream 9"}, "CentOS Stream:9"},
		{seawall.OS{ID: "rocky", Version: "9.4"}, "Rocky Linux:9"},
		{seawall.OS{ID: "almalinux", Version: "8.10"}, "AlmaLinux:8"},
		{seawall.OS{ID: "ol", Version: "8.9"}, "Oracle Linux:8"},
		{seawall.OS{ID: "amzn", Version: "2023"}, "Amazon Linux:2023"},
		{seawall.OS{ID: "amzn", Version: "2018.03"}, "Amazon Linux:1"},
		{seawall.OS{ID: "fedora", Version: "40"}, "Fedora:40"},
		{seawall.OS{ID: "sles", Version: "15.5"}, "SUSE:15.5"},
		{seawall.OS{ID: "sle-micro", Version: "5.4"}, "SUSE:15.4"},
		{seawall.OS{ID: "sl-micro", Version: "6.0"}, "SUSE Linux Micro:6.0"},
		{seawall.OS{ID: "opensuse-leap", Version: "15.5"}, "openSUSE:15.5"},
		{seawall.OS{ID: "opensuse-tumbleweed", Version: "20240101"}, "openSUSE:Tumbleweed"},
		{seawall.OS{ID: "photon", Version: "4.0"}, "Photon OS:4.0"},
		{seawall.OS{ID: "mariner", Version: "2.0.20240112"}, "Azure Linux:2.0"},
		{seawall.OS{ID: "azurelinux", Version: "3.0"}, "Azure Linux:3.0"},
		{seawall.OS{ID: "arch"}, "Arch"},
		{seawall.OS{ID: "gentoo", Version: "2.15"}, "Gentoo"},
		{seawall.OS{ID: "linuxmint", Version: "21", Name: "Linux Mint 21 (Vanessa)"}, "Linux Mint:21"},
		{seawall.OS{ID: "bottlerocket", Version: "1.20.0", Name: "Bottlerocket OS 1.20.0 (aws-k8s-1.29)"}, "Bottlerocket OS:1.20.0"},
		{seawall.OS{ID: "homegrown"}, "homegrown"},
	}
	for _, tc := range tests {
		if got := tc.os.Ecosystem(); got != tc.want {
			t.Errorf("%+v.Ecosystem() = %q, want %q", tc.os, got, tc.want)
		}
	}
}
