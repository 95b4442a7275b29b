package lifecycle

// written is the day the table was last brought up to date. A release without
// a published end counts as supported for a year after it.
const written = "2026-11-21"

// family is one distribution as Ecosystem names it, its releases newest first.
type family struct {
	name string
	// source is the vendor's own page of dates.
	source string
	// successor says where to go when no release of the family is supported.
	successor string
	// extension is what a subscriber can buy beyond the end, "" where there is nothing.
	extension string
	releases  []release
}

// release is the support of one release. Dates are the last day, YYYY-MM-DD.
type release struct {
	version string
	// ends is when security updates for everyone end; "" when not announced yet.
	ends string
	// extended is when the family's extension ends; "" when there is none.
	extended string
}

// rolling are the ecosystems without releases: they are supported as long as
// they are updated.
func rolling(ecosystem string) bool {
	switch ecosystem {
	case "Wolfi", "Chainguard", "Arch", "Gentoo", "openSUSE:Tumbleweed", "Alpine:edge", "Debian:sid", "Fedora:rawhide":
		return true
	}
	return false
}

// families is the table of facts, never changed. Debian's dates are those of long-term
// support, which is free and comes through the same archive. Debian and Ubuntu
// agree with the package distro-info-data 0.58+deb12u6 (a test compares them); the rest
// is from the pages named, seen through endoflife.date in 2026; where a vendor
// names a month only, its last day is meant.
var families = [...]family{
	{name: "Debian", source: "https://wiki.debian.org/LTS", releases: []release{
		{"13", "2030-06-30", ""},
		{"12", "2028-06-30", ""},
		{"11", "2026-08-31", ""},
		{"10", "2024-06-30", ""},
		{"9", "2022-06-30", ""},
		{"8", "2020-06-30", ""},
		{"7", "2018-05-31", ""},
		{"6", "2016-02-29", ""},
		{"5", "2012-02-06", ""},
		{"4", "2010-02-15", ""},
	}},
	{name: "Ubuntu", source: "https://ubuntu.com/about/release-cycle", extension: "Ubuntu Pro (ESM)", releases: []release{
		{"26.04", "2031-05-29", "2036-04-23"},
		{"25.10", "2026-07-09", ""},
		{"25.04", "2026-01-15", ""},
		{"24.10", "2025-07-10", ""},
		{"24.04", "2029-05-31", "2034-04-25"},
		{"23.10", "2024-07-11", ""},
		{"23.04", "2024-01-25", ""},
		{"22.10", "2023-07-20", ""},
		{"22.04", "2027-06-01", "2032-04-21"},
		{"21.10", "2022-07-14", ""},
		{"21.04", "2022-01-20", ""},
		{"20.10", "2021-07-22", ""},
		{"20.04", "2025-05-29", "2030-04-23"},
		{"19.10", "2020-07-17", ""},
		{"19.04", "2020-01-23", ""},
		{"18.10", "2019-07-18", ""},
		{"18.04", "2023-05-31", "2028-04-26"},
		{"17.10", "2018-07-19", ""},
		{"17.04", "2018-01-13", ""},
		{"16.10", "2017-07-20", ""},
		{"16.04", "2021-04-30", "2026-04-23"},
		{"15.10", "2016-07-28", ""},
		{"15.04", "2016-02-04", ""},
		{"14.10", "2015-07-23", ""},
		{"14.04", "2019-04-25", "2024-04-25"},
		{"12.04", "2017-04-28", "2019-04-26"},
	}},
	{name: "Alpine", source: "https://alpinelinux.org/releases/", releases: []release{
		{"v3.24", "", ""},
		{"v3.23", "2027-11-01", ""},
		{"v3.22", "2027-05-01", ""},
		{"v3.21", "2026-11-01", ""},
		{"v3.20", "2026-04-01", ""},
		{"v3.19", "2025-11-01", ""},
		{"v3.18", "2025-05-09", ""},
		{"v3.17", "2024-11-22", ""},
		{"v3.16", "2024-05-23", ""},
		{"v3.15", "2023-11-01", ""},
		{"v3.14", "2023-05-01", ""},
		{"v3.13", "2022-11-01", ""},
		{"v3.12", "2022-05-01", ""},
		{"v3.11", "2021-11-01", ""},
		{"v3.10", "2021-05-01", ""},
		{"v3.9", "2020-11-01", ""},
		{"v3.8", "2020-05-01", ""},
		{"v3.7", "2019-11-01", ""},
		{"v3.6", "2019-05-01", ""},
		{"v3.5", "2018-11-01", ""},
		{"v3.4", "2018-05-01", ""},
		{"v3.3", "2017-11-01", ""},
		{"v3.2", "2017-05-01", ""},
		{"v3.1", "2016-11-01", ""},
		{"v3.0", "2016-05-01", ""},
	}},
	{name: "Red Hat", source: "https://access.redhat.com/support/policy/updates/errata", extension: "Extended Life Cycle Support", releases: []release{
		{"10", "2035-05-31", "2038-05-31"},
		{"9", "2032-05-31", "2035-05-31"},
		{"8", "2029-05-31", "2032-05-31"},
		{"7", "2024-06-30", "2028-06-30"},
		{"6", "2020-11-30", "2024-06-30"},
		{"5", "2017-03-31", "2020-11-30"},
		{"4", "2012-02-29", "2017-03-31"},
	}},
	{name: "CentOS", source: "https://www.centos.org/centos-linux-eol/", successor: "AlmaLinux, Rocky Linux or Red Hat Enterprise Linux", releases: []release{
		{"8", "2021-12-31", ""},
		{"7", "2024-06-30", ""},
		{"6", "2020-11-30", ""},
		{"5", "2017-03-31", ""},
	}},
	{name: "CentOS Stream", source: "https://www.centos.org/cl-vs-cs/", releases: []release{
		{"10", "2030-01-01", ""},
		{"9", "2027-05-31", ""},
		{"8", "2024-05-31", ""},
	}},
	{name: "Rocky Linux", source: "https://wiki.rockylinux.org/rocky/version/", releases: []release{
		{"10", "2035-05-31", ""},
		{"9", "2032-05-31", ""},
		{"8", "2029-05-31", ""},
	}},
	{name: "AlmaLinux", source: "https://wiki.almalinux.org/release-notes/", releases: []release{
		{"10", "2035-05-31", ""},
		{"9", "2032-05-31", ""},
		{"8", "2029-03-01", ""},
	}},
	{name: "Oracle Linux", source: "https://www.oracle.com/a/ocom/docs/elsp-lifetime-069338.pdf", extension: "Extended Support", releases: []release{
		{"10", "2035-06-30", ""},
		{"9", "2032-06-30", "2034-06-30"},
		{"8", "2029-07-31", "2031-07-31"},
		{"7", "2024-12-31", ""},
		{"6", "2021-03-31", ""},
	}},
	{name: "Amazon Linux", source: "https://docs.aws.amazon.com/linux/al2023/ug/release-cadence.html", releases: []release{
		{"2023", "2029-06-30", ""},
		{"2", "2026-06-30", ""},
		{"1", "2023-12-31", ""},
	}},
	{name: "Fedora", source: "https://docs.fedoraproject.org/en-US/releases/lifecycle/", releases: []release{
		{"44", "", ""},
		{"43", "2026-12-09", ""},
		{"42", "2026-05-27", ""},
		{"41", "2025-12-15", ""},
		{"40", "2025-05-13", ""},
		{"39", "2024-11-26", ""},
		{"38", "2024-05-21", ""},
		{"37", "2023-12-05", ""},
		{"36", "2023-05-16", ""},
		{"35", "2022-12-13", ""},
		{"34", "2022-06-07", ""},
		{"33", "2021-11-30", ""},
		{"32", "2021-05-25", ""},
		{"31", "2020-11-24", ""},
		{"30", "2020-05-26", ""},
		{"29", "2019-11-26", ""},
		{"28", "2019-05-28", ""},
		{"27", "2018-11-30", ""},
		{"26", "2018-05-29", ""},
		{"25", "2017-12-12", ""},
	}},
	{name: "SUSE", source: "https://www.suse.com/lifecycle", extension: "Long Term Service Pack Support", releases: []release{
		{"16.0", "2027-11-30", "2030-11-30"},
		{"15.7", "2031-07-31", "2034-07-31"},
		{"15.6", "2025-12-31", "2028-12-31"},
		{"15.5", "2024-12-31", "2027-12-31"},
		{"15.4", "2023-12-31", "2026-12-31"},
		{"15.3", "2022-12-31", "2025-12-31"},
		{"15.2", "2021-12-31", "2024-12-31"},
		{"15.1", "2021-01-31", "2024-01-31"},
		{"15", "2019-12-31", "2022-12-31"},
		{"12.5", "2024-10-31", "2027-10-31"},
		{"12.4", "2020-06-30", "2023-06-30"},
		{"12.3", "2019-06-30", "2022-06-30"},
		{"12.2", "2018-03-31", "2021-03-31"},
		{"12.1", "2017-05-31", "2020-05-31"},
		{"12", "2016-06-30", "2019-07-01"},
		{"11.4", "2019-03-31", "2022-03-31"},
		{"11.3", "2016-01-31", "2019-01-30"},
	}},
	{name: "openSUSE", source: "https://en.opensuse.org/Lifetime", releases: []release{
		{"16.0", "2027-10-31", ""},
		{"15.6", "2026-04-30", ""},
		{"15.5", "2024-12-31", ""},
		{"15.4", "2023-12-07", ""},
		{"15.3", "2022-12-31", ""},
		{"15.2", "2022-01-04", ""},
		{"15.1", "2021-02-02", ""},
		{"15.0", "2019-12-03", ""},
		{"42.3", "2019-07-01", ""},
		{"42.2", "2018-01-26", ""},
		{"42.1", "2017-05-17", ""},
		{"13.2", "2017-01-17", ""},
		{"13.1", "2016-02-03", ""},
	}},
	{name: "Photon OS", source: "https://github.com/vmware/photon/wiki", releases: []release{
		{"5.0", "", ""},
		{"4.0", "2026-03-01", ""},
		{"3.0", "2024-03-01", ""},
		{"2.0", "2022-12-31", ""},
		{"1.0", "2022-02-28", ""},
	}},
	{name: "Azure Linux", source: "https://learn.microsoft.com/azure/azure-linux/release-cadence-lifecycle", releases: []release{
		{"3.0", "2027-08-31", ""},
		{"2.0", "2025-07-31", ""},
		{"1.0", "2023-08-31", ""},
	}},
}
