package search_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/search"
	"github.com/seawall-security/seawall/internal/seawall"
)

func database(t *testing.T) *db.Reader {
	t.Helper()
	w := db.NewWriter(db.Options{Built: "2026-01-01T00:00:00Z"})
	semver := func(name, fixed string) advisory.Affected {
		return advisory.Affected{Ecosystem: "npm", Name: name, Ranges: []advisory.Range{advisory.FixedIn(advisory.RangeSemver, fixed)}}
	}
	debian := func(release, fixed string) advisory.Affected {
		return advisory.Affected{Ecosystem: "Debian:" + release, Name: "curl", Ranges: []advisory.Range{advisory.FixedIn(0, fixed)}}
	}
	for _, a := range []advisory.Advisory{
		{ID: "GHSA-1", Source: "ghsa", Aliases: []string{"CVE-2024-1"}, Affected: []advisory.Affected{semver("@scope/lib", "2.0.0"), semver("other", "1.0.0")}},
		{ID: "DSA-1-1", Source: "debian", Upstream: []string{"CVE-2024-1"}, Affected: []advisory.Affected{debian("11", "7.1-1"), debian("12", "8.1-1")}},
		{ID: "CVE-2024-2", Source: "debian", Affected: []advisory.Affected{{Ecosystem: "Debian:12", Name: "curl", Unaffected: true}}},
	} {
		if err := w.Add(a.Source, advisory.Record{Advisory: &a}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add("kev", advisory.Record{CVE: "CVE-2024-1", Exploitation: &advisory.Exploitation{KEV: true}}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := w.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	r, err := db.New(out.Bytes(), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFind(t *testing.T) {
	r := database(t)
	for query, want := range map[string][]string{
		"cve-2024-1":                                   {"DSA-1-1 Debian:11 Debian:12 kev", "GHSA-1 npm npm kev"},
		"GHSA-1":                                       {"GHSA-1 npm npm kev"},
		"CVE-2099-1":                                   nil,
		"pkg:npm/%40scope/lib":                         {"GHSA-1 npm kev"},
		"pkg:npm/%40scope/lib@1.9.9":                   {"GHSA-1 npm kev"},
		"pkg:npm/%40scope/lib@2.0.0":                   nil,
		"pkg:npm/%40scope/lib@one":                     {"GHSA-1 npm kev unjudged"},
		"pkg:deb/debian/curl":                          {"CVE-2024-2 Debian:12", "DSA-1-1 Debian:11 kev", "DSA-1-1 Debian:12 kev"},
		"pkg:deb/debian/curl@8.0-1?distro=debian-12":   {"DSA-1-1 Debian:12 kev"},
		"pkg:deb/debian/curl@8.0-1?distro=debian-12.5": {"DSA-1-1 Debian:12 kev"},
		"pkg:deb/debian/curl@7.0-1?distro=debian-1":    nil,
	} {
		hits, err := search.Find(r, query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		var got []string
		for _, h := range hits {
			line := h.Advisory.ID
			for _, f := range h.Advisory.Affected {
				line += " " + f.Ecosystem
			}
			if h.Exploitation.KEV {
				line += " kev"
			}
			if h.Unjudged != "" {
				line += " unjudged"
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	for _, query := range []string{"", "pkg:", "pkg:nonsense/a", "pkg:deb/nobody/a"} {
		if _, err := search.Find(r, query); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("%q: %v", query, err)
		}
	}
}
