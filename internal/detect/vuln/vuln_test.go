package vuln

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

// database writes records and opens the file: the tests go through the real thing.
func database(t testing.TB, list ...advisory.Record) *db.Reader {
	t.Helper()
	w := db.NewWriter(db.Options{})
	for _, r := range list {
		feed := "scores"
		if r.Advisory != nil {
			feed = r.Advisory.Source
		}
		if err := w.Add(feed, r); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	r, err := db.New(b.Bytes(), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// adv makes an advisory with one statement; edit changes them.
func adv(source, id, ecosystem, name, fixed string, edit ...func(*advisory.Advisory, *advisory.Affected)) advisory.Record {
	a := &advisory.Advisory{ID: id, Source: source, Affected: []advisory.Affected{{
		Ecosystem: ecosystem, Name: name, Ranges: []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, fixed)},
	}}}
	for _, e := range edit {
		e(a, &a.Affected[0])
	}
	return advisory.Record{Advisory: a}
}

func aliases(ids ...string) func(*advisory.Advisory, *advisory.Affected) {
	return func(a *advisory.Advisory, _ *advisory.Affected) { a.Aliases = ids }
}

func upstream(ids ...string) func(*advisory.Advisory, *advisory.Affected) {
	return func(a *advisory.Advisory, _ *advisory.Affected) { a.Upstream = ids }
}

func statementOf(edit func(*advisory.Affected)) func(*advisory.Advisory, *advisory.Affected) {
	return func(_ *advisory.Advisory, f *advisory.Affected) { edit(f) }
}

func branches(versions ...string) func(*advisory.Advisory, *advisory.Affected) {
	return func(_ *advisory.Advisory, f *advisory.Affected) {
		var events []advisory.RangeEvent
		for i := 0; i < len(versions); i += 2 {
			events = append(events, advisory.RangeEvent{Introduced: versions[i]})
			if versions[i+1] != "" {
				events = append(events, advisory.RangeEvent{Fixed: versions[i+1]})
			}
		}
		f.Ranges = []advisory.Range{{Events: events}}
	}
}

func pkg(ecosystem, name, version string) seawall.Package {
	return seawall.Package{Ecosystem: ecosystem, Name: name, Version: version, PURL: "pkg:x/" + name + "@" + version}
}

func run1(t testing.TB, r advisory.Lookup, packages ...seawall.Package) detect.Result {
	t.Helper()
	result, err := New(r).Detect(t.Context(), detect.Facts{Packages: packages})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// titles is what a user reads first: rule, package, state.
func titles(result detect.Result) []string {
	list := []string{}
	for _, f := range result.Findings {
		list = append(list, f.Title)
	}
	return list
}

func TestMatching(t *testing.T) {
	for name, test := range map[string]struct {
		records  []advisory.Record
		packages []seawall.Package
		want     []string
	}{
		"debian source package": {
			[]advisory.Record{adv("debian", "CVE-2023-5678", "Debian:12", "openssl", "3.0.15-1~deb12u1")},
			[]seawall.Package{
				{Ecosystem: "Debian:12", Name: "libssl3", Version: "3.0.11-1~deb12u2+b1", Source: "openssl", SourceVersion: "3.0.11-1~deb12u2"},
				{Ecosystem: "Debian:12", Name: "openssl", Version: "3.0.15-1~deb12u1"},
				{Ecosystem: "Debian:11", Name: "openssl", Version: "1.1.1-1"},
			},
			[]string{"libssl3 3.0.11-1~deb12u2+b1: CVE-2023-5678, fixed in 3.0.15-1~deb12u1"},
		},
		"binary version is not the source version": {
			[]advisory.Record{adv("debian", "CVE-2023-1", "Debian:12", "gcc-defaults", "1.200")},
			[]seawall.Package{{Ecosystem: "Debian:12", Name: "gcc", Version: "4:12.2.0-3", Source: "gcc-defaults", SourceVersion: "1.203"}},
			[]string{},
		},
		"epoch": {
			[]advisory.Record{adv("almalinux", "ALSA-2024:1", "AlmaLinux:9", "bind", "32:9.16.23-14.el9", upstream("CVE-2023-1"))},
			[]seawall.Package{pkg("AlmaLinux:9", "bind", "32:9.16.23-11.el9"), pkg("AlmaLinux:9", "bind", "33:9.0-1.el9")},
			[]string{"bind 32:9.16.23-11.el9: CVE-2023-1, fixed in 32:9.16.23-14.el9"},
		},
		"alpine origin": {
			[]advisory.Record{adv("alpine", "CVE-2022-1", "Alpine:v3.18", "busybox", "1.36.1-r1")},
			[]seawall.Package{{Ecosystem: "Alpine:v3.18", Name: "ssl_client", Version: "1.36.1-r0", Source: "busybox", SourceVersion: "1.36.1-r0"}},
			[]string{"ssl_client 1.36.1-r0: CVE-2022-1, fixed in 1.36.1-r1"},
		},
		"an erratum is a finding per CVE": {
			[]advisory.Record{
				adv("almalinux", "ALSA-2024:1", "AlmaLinux:9", "curl", "7.2-1.el9", upstream("CVE-2024-1", "CVE-2024-2")),
				adv("almalinux", "ALSA-2024:2", "AlmaLinux:9", "curl", "7.3-1.el9", upstream("CVE-2024-2")),
				adv("almalinux", "ALSA-2024:3", "AlmaLinux:9", "curl", "7.4-1.el9"),
			},
			[]seawall.Package{pkg("AlmaLinux:9", "curl", "7.1-1.el9")},
			[]string{
				"curl 7.1-1.el9: ALSA-2024:3, fixed in 7.4-1.el9",
				"curl 7.1-1.el9: CVE-2024-1, fixed in 7.2-1.el9",
				"curl 7.1-1.el9: CVE-2024-2, fixed in 7.3-1.el9",
			},
		},
		"a bug fix erratum is no finding": {
			[]advisory.Record{adv("almalinux", "ALBA-2024:1", "AlmaLinux:9", "curl", "9", func(a *advisory.Advisory, _ *advisory.Affected) {
				a.Kind, a.Notice = advisory.KindNotice, "update"
			})},
			[]seawall.Package{pkg("AlmaLinux:9", "curl", "7.1-1.el9")},
			[]string{},
		},
		"centos by red hat": {
			[]advisory.Record{adv("redhat", "RHSA-2024:1", "Red Hat:7", "sudo", "0:1.8.23-10.el7_9.3", upstream("CVE-2023-22809"))},
			[]seawall.Package{pkg("CentOS:7", "sudo", "1.8.23-10.el7_9.2")},
			[]string{"sudo 1.8.23-10.el7_9.2: CVE-2023-22809, fixed in 0:1.8.23-10.el7_9.3"},
		},
		"module stream": {
			[]advisory.Record{
				adv("almalinux", "ALSA-2023:16", "AlmaLinux:8", "nodejs", "1:16.20.1-1.module_el8+1", upstream("CVE-2023-16"), statementOf(func(f *advisory.Affected) { f.Module = "nodejs:16" })),
				adv("almalinux", "ALSA-2023:18", "AlmaLinux:8", "nodejs", "1:18.16.1-1.module_el8+2", upstream("CVE-2023-18"), statementOf(func(f *advisory.Affected) { f.Module = "nodejs:18" })),
			},
			[]seawall.Package{
				{Ecosystem: "AlmaLinux:8", Name: "nodejs", Version: "1:16.19.0-1.module_el8+0", Module: "nodejs:16"},
				pkg("AlmaLinux:8", "nodejs", "1:16.19.1-1.module_el8+0"), // its module is not known
				pkg("AlmaLinux:8", "nodejs", "1:10.1.0-1.el8"),           // of no module
			},
			[]string{
				"nodejs 1:16.19.0-1.module_el8+0: CVE-2023-16, fixed in 1:16.20.1-1.module_el8+1",
				"nodejs 1:16.19.1-1.module_el8+0: CVE-2023-16, fixed in 1:16.20.1-1.module_el8+1",
			},
		},
		"module builds and plain builds apart": {
			[]advisory.Record{
				adv("almalinux", "ALSA-1", "AlmaLinux:8", "php", "7.4.33-1.module_el8+1", upstream("CVE-2023-1")),
				adv("almalinux", "ALSA-2", "AlmaLinux:8", "php", "8.0.30-1.el8", upstream("CVE-2023-2")),
			},
			[]seawall.Package{pkg("AlmaLinux:8", "php", "7.4.1-1.module_el8+0"), pkg("AlmaLinux:8", "php", "8.0.1-1.el8")},
			[]string{"php 7.4.1-1.module_el8+0: CVE-2023-1, fixed in 7.4.33-1.module_el8+1", "php 8.0.1-1.el8: CVE-2023-2, fixed in 8.0.30-1.el8"},
		},
		"architecture": {
			[]advisory.Record{adv("redhat", "RHSA-1", "Red Hat:9", "a", "2-1", upstream("CVE-2023-1"), statementOf(func(f *advisory.Affected) { f.Arches = []string{"s390x"} }))},
			[]seawall.Package{{Ecosystem: "Red Hat:9", Name: "a", Version: "1-1", Arch: "x86_64"}, {Ecosystem: "Red Hat:9", Name: "a", Version: "1-2", Arch: "s390x"}},
			[]string{"a 1-2: CVE-2023-1, fixed in 2-1"},
		},
		"aliases are one finding, by the language's own id": {
			[]advisory.Record{
				adv("ghsa", "GHSA-a", "PyPI", "django", "3.2.15", aliases("CVE-2022-1", "PYSEC-1")),
				adv("pypi", "PYSEC-1", "PyPI", "django", "3.2.15", aliases("CVE-2022-1")),
				adv("other", "X-1", "PyPI", "django", "3.2.15", aliases("GHSA-a")),
			},
			[]seawall.Package{pkg("PyPI", "Django", "3.2.1")},
			[]string{"Django 3.2.1: PYSEC-1, fixed in 3.2.15"},
		},
		"the fix of the installed branch first": {
			[]advisory.Record{adv("pypi", "PYSEC-1", "PyPI", "django", "", branches("2.2", "2.2.28", "3.2", "3.2.15", "4.0", "4.0.7"))},
			[]seawall.Package{pkg("PyPI", "django", "3.2.1")},
			[]string{"django 3.2.1: PYSEC-1, fixed in 3.2.15"},
		},
		"not affected wins over the distribution's other sources": {
			[]advisory.Record{
				adv("wolfi", "CGA-1", "Wolfi", "vault", "", aliases("CVE-2023-1"), statementOf(func(f *advisory.Affected) { f.Ranges, f.Unaffected = nil, true })),
				adv("wolfi-secdb", "CVE-2023-1", "Wolfi", "vault", "9-r0"),
				adv("wolfi-secdb", "CVE-2023-2", "Wolfi", "vault", "9-r0"),
			},
			[]seawall.Package{pkg("Wolfi", "vault", "1.0-r0")},
			[]string{"vault 1.0-r0: CVE-2023-2, fixed in 9-r0"},
		},
		"not affected by one language source does not silence another": {
			[]advisory.Record{
				adv("a", "GHSA-1", "npm", "x", "", statementOf(func(f *advisory.Affected) { f.Ranges, f.Unaffected = nil, true })),
				adv("b", "X-1", "npm", "x", "2.0.0", aliases("GHSA-1")),
			},
			[]seawall.Package{pkg("npm", "x", "1.0.0")},
			[]string{"x 1.0.0: GHSA-1, fixed in 2.0.0"},
		},
		"vendor states": {
			[]advisory.Record{
				adv("debian", "CVE-2023-1", "Debian:12", "a", "", statementOf(func(f *advisory.Affected) { f.State = seawall.StateWillNotFix })),
				adv("debian", "CVE-2023-2", "Debian:12", "a", "", statementOf(func(f *advisory.Affected) { f.State = seawall.StateDeferred })),
				adv("debian", "CVE-2023-3", "Debian:12", "a", "", statementOf(func(f *advisory.Affected) { f.State = seawall.StateEndOfLife })),
				adv("debian", "CVE-2023-4", "Debian:12", "a", "", statementOf(func(f *advisory.Affected) { f.State = seawall.StateUnderInvestigation })),
				adv("debian", "CVE-2023-5", "Debian:12", "a", ""),
			},
			[]seawall.Package{pkg("Debian:12", "a", "1")},
			[]string{
				"a 1: CVE-2023-1, will not be fixed", "a 1: CVE-2023-2, fix deferred", "a 1: CVE-2023-3, no fix, end of life",
				"a 1: CVE-2023-4, under investigation", "a 1: CVE-2023-5, no fix yet",
			},
		},
		"go standard library": {
			[]advisory.Record{
				adv("go", "GO-2024-1", "Go", "stdlib", "", branches("0", "1.21.8", "1.22.0-0", "1.22.1"), aliases("CVE-2024-1")),
				adv("go", "GO-2024-2", "Go", "toolchain", "1.23.0"),
			},
			[]seawall.Package{pkg("Go", "stdlib", "1.22rc1"), pkg("Go", "stdlib", "1.22.1"), pkg("Go", "stdlib", "1.21.5 X:boringcrypto"), pkg("generic", "go", "1.22.1")},
			[]string{
				"stdlib 1.21.5 X:boringcrypto: GO-2024-1, fixed in 1.21.8",
				"stdlib 1.22rc1: GO-2024-1, fixed in 1.22.1",
				"go 1.22.1: GO-2024-2, fixed in 1.23.0",
			},
		},
		"go pseudo-version": {
			[]advisory.Record{adv("go", "GO-2022-1", "Go", "golang.org/x/crypto", "0.0.0-20220314234659-1baeb1ce4c0b")},
			[]seawall.Package{pkg("Go", "golang.org/x/crypto", "v0.0.0-20210921155107-089bfa567519"), pkg("Go", "golang.org/x/crypto", "v0.1.0")},
			[]string{"golang.org/x/crypto v0.0.0-20210921155107-089bfa567519: GO-2022-1, fixed in 0.0.0-20220314234659-1baeb1ce4c0b"},
		},
		"kubernetes component and the whole": {
			[]advisory.Record{
				adv("kubernetes", "CVE-2023-1", "Kubernetes", "kubelet", "1.27.4"), adv("kubernetes", "CVE-2023-2", "Kubernetes", "kubernetes", "1.27.4"),
				adv("kubernetes", "CVE-2023-3", "Kubernetes", "kube-apiserver", "1.27.4"),
			},
			[]seawall.Package{pkg("Kubernetes", "kubelet", "v1.27.3")},
			[]string{"kubelet v1.27.3: CVE-2023-1, fixed in 1.27.4", "kubelet v1.27.3: CVE-2023-2, fixed in 1.27.4"},
		},
		"software without a package manager": {
			[]advisory.Record{
				adv("bitnami", "BIT-nginx-2023-1", "Bitnami", "nginx", "1.25.3", aliases("CVE-2023-1")),
				adv("nodejs", "NODE-1", "Node.js", "node", "", branches("18.0.0", "18.18.2"), aliases("CVE-2023-2")),
				adv("bitnami", "BIT-node-2023-2", "Bitnami", "node", "18.18.2", aliases("CVE-2023-2")),
				adv("go", "GO-1", "Go", "github.com/opencontainers/runc", "1.1.12", aliases("CVE-2024-21626")),
			},
			[]seawall.Package{pkg("generic", "nginx", "1.25.1"), pkg("generic", "node", "18.1.0"), pkg("generic", "runc", "1.1.11"), pkg("Bitnami", "nginx", "1.25.3-4")},
			[]string{"nginx 1.25.1: CVE-2023-1, fixed in 1.25.3", "node 18.1.0: CVE-2023-2, fixed in 18.18.2", "runc 1.1.11: GO-1, fixed in 1.1.12"},
		},
		"malware": {
			[]advisory.Record{adv("malicious-packages", "MAL-2024-1", "npm", "evil", "", func(a *advisory.Advisory, f *advisory.Affected) { a.Kind, f.Ranges = advisory.KindMalware, nil })},
			[]seawall.Package{pkg("npm", "evil", "1.0.0")},
			[]string{"evil 1.0.0: MAL-2024-1, malicious package"},
		},
		"malware needs no version": {
			[]advisory.Record{adv("malicious-packages", "MAL-2024-1", "npm", "evil", "", func(a *advisory.Advisory, f *advisory.Affected) { a.Kind, f.Ranges = advisory.KindMalware, nil })},
			[]seawall.Package{pkg("npm", "evil", "")},
			[]string{"evil: MAL-2024-1, malicious package"},
		},
		"judged by its owner": {
			[]advisory.Record{adv("pypi", "PYSEC-1", "PyPI", "requests", "9")},
			[]seawall.Package{{Ecosystem: "PyPI", Name: "requests", Version: "2.0", Owner: "python3-requests"}},
			[]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, titles(run1(t, database(t, test.records...), test.packages...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFinding compares one finding with every field.
func TestFinding(t *testing.T) {
	at := "2024-03-01T00:00:00Z"
	r := database(t,
		adv("ghsa", "GHSA-a", "PyPI", "django", "3.2.15", aliases("CVE-2022-1"), func(a *advisory.Advisory, f *advisory.Affected) {
			a.Summary, a.Published, a.Modified, a.CWEs = "text", "2022-02-02T00:00:00Z", "2024-01-01T00:00:00Z", []string{"CWE-89", "CWE-20"}
			a.CVSS = []seawall.CVSS{{Source: "ghsa", Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}
			a.References = []string{"https://example.org/a"}
			f.FixedAt, f.Symbols = at, []string{"django.db#extra"}
		}),
		adv("pypi", "PYSEC-1", "PyPI", "django", "3.2.15", aliases("CVE-2022-1"), func(a *advisory.Advisory, _ *advisory.Affected) {
			a.Published, a.Modified = "2022-01-01T00:00:00Z", "2023-01-01T00:00:00Z"
		}),
		advisory.Record{CVE: "CVE-2022-1", Exploitation: &advisory.Exploitation{KEV: true, EPSS: &seawall.EPSS{Score: 0.5, Percentile: 0.9}}},
	)
	one := seawall.Package{Ecosystem: "PyPI", Name: "Django", Version: "3.2.1", PURL: "pkg:pypi/django@3.2.1", Dev: true, Declared: true, Locations: []seawall.Location{{Path: "a/requirements.txt"}}}
	two := one
	two.Dev, two.Locations = true, []seawall.Location{{Path: "b/requirements.txt"}}
	got := run1(t, r, one, two).Findings
	want := []seawall.Finding{{
		Kind: seawall.KindVulnerability, Rule: "PYSEC-1", Title: "Django 3.2.1: PYSEC-1, fixed in 3.2.15",
		Severity: seawall.SeverityCritical, SeveritySource: "ghsa", Status: seawall.StatusFail,
		Location:  &seawall.Location{Path: "a/requirements.txt"},
		Locations: []seawall.Location{{Path: "a/requirements.txt"}, {Path: "b/requirements.txt"}},
		Package:   &seawall.PackageRef{Name: "Django", Version: "3.2.1", Ecosystem: "PyPI", PURL: "pkg:pypi/django@3.2.1"},
		Vulnerability: &seawall.Vulnerability{
			ID: "PYSEC-1", Aliases: []string{"CVE-2022-1", "GHSA-a"}, State: seawall.StateFixed, Fixed: []string{"3.2.15"}, FixedAt: &at,
			Published: "2022-01-01T00:00:00Z", Modified: "2024-01-01T00:00:00Z", Summary: "text",
			CVSS: []seawall.CVSS{{Source: "ghsa", Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Score: 9.8}},
			CWEs: []string{"CWE-20", "CWE-89"}, EPSS: &seawall.EPSS{Score: 0.5, Percentile: 0.9}, KEV: true,
			Symbols: []string{"django.db#extra"}, Sources: []string{"ghsa", "pypi"},
		},
		Evidence:    "Django 3.2.1 is before 3.2.15, says GHSA-a; development dependency; declared, not seen installed",
		Remediation: "upgrade Django to 3.2.15 or later (pip install 'Django>=3.2.15')",
		References:  []string{"https://osv.dev/vulnerability/PYSEC-1", "https://example.org/a"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSeverity(t *testing.T) {
	v2 := seawall.CVSS{Source: "nvd", Version: "2.0", Vector: "AV:N/AC:L/Au:N/C:C/I:C/A:C"}
	v3 := seawall.CVSS{Source: "nvd", Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:H"}
	scores := func(list ...seawall.CVSS) func(*advisory.Advisory, *advisory.Affected) {
		return func(a *advisory.Advisory, _ *advisory.Affected) { a.CVSS = list }
	}
	word := func(v seawall.Severity) func(*advisory.Advisory, *advisory.Affected) {
		return func(a *advisory.Advisory, _ *advisory.Affected) { a.Severity = v }
	}
	urgency := func(v seawall.Severity) func(*advisory.Advisory, *advisory.Affected) {
		return statementOf(func(f *advisory.Affected) { f.Severity = v })
	}
	for name, test := range map[string]struct {
		record advisory.Record
		want   string
	}{
		"the distribution's word over scores":     {adv("debian", "CVE-1", "Debian:12", "x", "9", scores(v3), urgency(seawall.SeverityNegligible)), "negligible debian"},
		"the word on the package before the rest": {adv("redhat", "CVE-1", "Red Hat:9", "x", "9", word(seawall.SeverityHigh), urgency(seawall.SeverityLow)), "low redhat"},
		"the erratum's word":                      {adv("almalinux", "ALSA-1", "AlmaLinux:9", "x", "9", word(seawall.SeverityHigh), upstream("CVE-1")), "high almalinux"},
		"scores when the distribution is silent":  {adv("alpine", "CVE-1", "Alpine:v3.18", "x", "9", scores(v2, v3)), "medium nvd"},
		"scores over words for languages":         {adv("ghsa", "GHSA-1", "npm", "x", "9", scores(v2, v3), word(seawall.SeverityCritical)), "medium nvd"},
		"words where there is no score":           {adv("ghsa", "GHSA-1", "npm", "x", "9", word(seawall.SeverityCritical)), "critical ghsa"},
		"nothing said":                            {adv("ghsa", "GHSA-1", "npm", "x", "9"), "unknown "},
	} {
		findings := run1(t, database(t, test.record), pkg(test.record.Advisory.Affected[0].Ecosystem, "x", "1")).Findings
		if len(findings) != 1 {
			t.Fatalf("%s: %d findings", name, len(findings))
		}
		if got := findings[0].Severity.String() + " " + findings[0].SeveritySource; got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestBorrowedSeverity: Go's database gives no severity, another source in the file does.
func TestBorrowedSeverity(t *testing.T) {
	r := database(t,
		adv("go", "GO-2024-1", "Go", "stdlib", "1.22.1", aliases("CVE-2024-1")),
		adv("bitnami", "BIT-golang-2024-1", "Bitnami", "golang", "1.22.1", aliases("CVE-2024-1"), statementOf(func(f *advisory.Affected) {
			f.CVSS = []seawall.CVSS{{Source: "bitnami", Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}
		})))
	f := run1(t, r, pkg("Go", "stdlib", "1.22.0")).Findings
	if len(f) != 1 || f[0].Severity != seawall.SeverityCritical || f[0].SeveritySource != "bitnami" || f[0].Rule != "GO-2024-1" {
		t.Errorf("%+v", f)
	}
}

func TestNotices(t *testing.T) {
	notice := func(what string) func(*advisory.Advisory, *advisory.Affected) {
		return func(a *advisory.Advisory, _ *advisory.Affected) { a.Kind, a.Notice = advisory.KindNotice, what }
	}
	r := database(t, adv("rustsec", "RUSTSEC-1", "crates.io", "a", "", notice("unmaintained")), adv("rustsec", "RUSTSEC-2", "crates.io", "a", "2.0.0", notice("unsound")))
	var got []string
	for _, f := range run1(t, r, pkg("crates.io", "a", "1.0.0")).Findings {
		got = append(got, fmt.Sprintf("%s %s %s", f.Kind, f.Severity, f.Title))
	}
	want := []string{"lifecycle low a 1.0.0: RUSTSEC-1, unmaintained", "vulnerability low a 1.0.0: RUSTSEC-2, fixed in 2.0.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestUpgrade: the advice mends everything there is a fix for, and says so.
func TestUpgrade(t *testing.T) {
	r := database(t,
		adv("ghsa", "GHSA-1", "npm", "x", "", branches("1.0.0", "1.2.0", "2.0.0", "2.3.0")),
		adv("ghsa", "GHSA-2", "npm", "x", "", branches("1.0.0", "1.4.0")),
		adv("ghsa", "GHSA-3", "npm", "x", "", branches("1.0.0", "2.1.0")), // only fixed where GHSA-1 is back
		adv("ghsa", "GHSA-4", "npm", "x", ""),
	)
	got := run1(t, r, pkg("npm", "x", "1.0.0")).Findings
	want := "upgrade x to 2.3.0 or later: the smallest upgrade that fixes the 3 of 4 findings of this package with a fix (npm install x@2.3.0)"
	for _, f := range got[:3] {
		if f.Remediation != want {
			t.Errorf("%s: %s", f.Rule, f.Remediation)
		}
	}
	if got[3].Remediation != "" {
		t.Errorf("no fix, but advice: %s", got[3].Remediation)
	}
}

func TestCoverage(t *testing.T) {
	r := database(t, adv("pypi", "PYSEC-1", "PyPI", "django", "3.2.15"), adv("retirejs", "GHSA-1", "npm", "jquery", "3.5.0"), adv("debian", "CVE-1", "Debian:11", "a", "1"))
	packages := []seawall.Package{
		pkg("PyPI", "django", "not a version"), pkg("PyPI", "flask", "also none"), pkg("PyPI", "requests", "2.0"),
		pkg("npm", "left-pad", "1.0.0"), pkg("Debian:12", "a", "1"), pkg("Debian:12", "b", "1"), pkg("Gentoo", "c", "1"),
		pkg("generic", "frobnicator", "1"), pkg("", "d", "1"),
		{Ecosystem: "RubyGems", Name: "e", Version: "1", Owner: "ruby-e"},
	}
	want := []seawall.Coverage{
		{Packages: 1, Status: seawall.CoverageNotEvaluated, Reason: "1 package that no advisory database covers (d)"},
		{Ecosystem: "Debian:12", Packages: 2, Status: seawall.CoverageNotEvaluated, Reason: "no advisories for Debian:12 in this database", Remedy: "seawall db update --ecosystem Debian:12"},
		{Ecosystem: "Gentoo", Packages: 1, Status: seawall.CoverageNotEvaluated, Reason: "no advisory database for Gentoo is known to this program"},
		{Ecosystem: "PyPI", Packages: 3, Status: seawall.CoveragePartial, Reason: "1 package with advisories but a version that cannot be ordered (django not a version)"},
		{Ecosystem: "RubyGems", Packages: 1, Status: seawall.CoverageNotEvaluated, Reason: "brought by Debian:12 packages, for which this database has no advisories", Remedy: "seawall db update --ecosystem Debian:12"},
		{Ecosystem: "generic", Packages: 1, Status: seawall.CoverageNotEvaluated, Reason: "1 package that no advisory database covers (frobnicator)"},
		{Ecosystem: "npm", Packages: 1, Status: seawall.CoveragePartial, Reason: "1 package judged only by what this database has for npm: advisories on some of its packages", Remedy: "seawall db update --ecosystem npm"},
	}
	if diff := cmp.Diff(want, run1(t, r, packages...).Coverage); diff != "" {
		t.Error(diff)
	}
	owned := []seawall.Package{pkg("Debian:11", "a", "2"), {Ecosystem: "PyPI", Name: "django", Version: "1", Owner: "python3-django"}}
	want = []seawall.Coverage{
		{Ecosystem: "Debian:11", Packages: 1, Status: seawall.CoverageOK},
		{Ecosystem: "PyPI", Packages: 1, Status: seawall.CoverageOK, Reason: "1 package judged by the operating-system package they belong to"},
	}
	if diff := cmp.Diff(want, run1(t, r, owned...).Coverage); diff != "" {
		t.Error(diff)
	}
}

// TestStaleAdvisories: an ecosystem whose newest source is old is judged in part;
// one recent source, or one without a date, is enough not to say so.
func TestStaleAdvisories(t *testing.T) {
	dated := func(source, updated string) advisory.Record {
		return advisory.Record{Source: &seawall.DatabaseSource{Name: source, Updated: updated}}
	}
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		sources []advisory.Record
		want    seawall.CoverageStatus
	}{
		{"old", []advisory.Record{dated("pypi", "2024-10-10T00:00:00Z")}, seawall.CoveragePartial},
		{"half a year", []advisory.Record{dated("pypi", "2026-06-01T00:00:00Z")}, seawall.CoverageOK},
		{"undated", []advisory.Record{dated("pypi", "")}, seawall.CoverageOK},
	} {
		w := db.NewWriter(db.Options{})
		for _, r := range append(tt.sources, adv("pypi", "PYSEC-1", "PyPI", "django", "3.2.15")) {
			if err := w.Add("pypi", r); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if _, err := w.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		r, err := db.New(b.Bytes(), "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := New(r).Detect(context.Background(), detect.Facts{Now: now, Packages: []seawall.Package{pkg("PyPI", "django", "3.2.15")}})
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Coverage[0]; got.Status != tt.want || (tt.want == seawall.CoveragePartial) != strings.Contains(got.Reason, "2024-10-10") {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

// TestDeterministic: the order of the packages does not matter.
func TestDeterministic(t *testing.T) {
	r := database(t, adv("ghsa", "GHSA-1", "npm", "a", "2.0.0"), adv("ghsa", "GHSA-2", "npm", "b", "2.0.0"), adv("ghsa", "GHSA-3", "npm", "a", "3.0.0"))
	a, b, c := pkg("npm", "a", "1.0.0"), pkg("npm", "b", "1.0.0"), pkg("npm", "a", "1.5.0")
	if diff := cmp.Diff(run1(t, r, a, b, c), run1(t, r, c, b, a)); diff != "" {
		t.Error(diff)
	}
}

// TestDamaged: a damaged database is an error, not an empty result.
func TestDamaged(t *testing.T) {
	w := db.NewWriter(db.Options{})
	if err := w.Add("ghsa", adv("ghsa", "GHSA-1", "npm", "a", "2.0.0")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	for i := 64; i < 80; i++ { // in the first block
		b.Bytes()[i] ^= 0x55
	}
	r, err := db.New(b.Bytes(), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(r).Detect(t.Context(), detect.Facts{Packages: []seawall.Package{pkg("npm", "a", "1.0.0")}})
	if err == nil || !strings.Contains(err.Error(), "advisory database: ") {
		t.Errorf("got %v", err)
	}
}
