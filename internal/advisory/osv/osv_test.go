package osv_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/osv"
	"github.com/seawall-security/seawall/internal/advisory/starter"
	"github.com/seawall-security/seawall/internal/seawall"
)

func read(t testing.TB, text string) (*advisory.Advisory, []string) {
	t.Helper()
	if !(osv.Importer{}).Recognizes("x", []byte(text)) {
		t.Fatalf("not recognised: %.200s", text)
	}
	var a *advisory.Advisory
	var skipped []string
	err := osv.Importer{}.Import(context.Background(), "x", strings.NewReader(text), func(r advisory.Record) error {
		if r.Skipped != "" {
			skipped = append(skipped, r.Skipped)
		} else {
			a = r.Advisory
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, skipped
}

func events(list ...advisory.RangeEvent) []advisory.RangeEvent { return list }

func introduced(v string) advisory.RangeEvent { return advisory.RangeEvent{Introduced: v} }
func fixed(v string) advisory.RangeEvent      { return advisory.RangeEvent{Fixed: v} }

func TestImport(t *testing.T) {
	for name, test := range map[string]struct {
		text    string
		want    advisory.Advisory
		skipped []string
	}{
		"Go, with symbols": {
			text: `{"id":"GO-2024-1","modified":"0001-01-01T00:00:00Z","published":"2024-04-03T21:00:00.5Z","aliases":["CVE-2024-1"],
				"affected":[{"package":{"name":"stdlib","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.21.9"},{"introduced":"1.22.0-0"},{"fixed":"1.22.2"}]}],
				"ecosystem_specific":{"imports":[{"path":"net/http","symbols":["Get","Server.Serve"]},{"path":"net/url"}]}}]}`,
			want: advisory.Advisory{ID: "GO-2024-1", Source: "go", Published: "2024-04-03T21:00:00Z", Aliases: []string{"CVE-2024-1"},
				Affected: []advisory.Affected{{Ecosystem: "Go", Name: "stdlib", State: seawall.StateFixed,
					Symbols: []string{"net/http#Get", "net/http#Server.Serve", "net/url"},
					Ranges:  []advisory.Range{{Type: advisory.RangeSemver, Events: events(introduced("0"), fixed("1.21.9"), introduced("1.22.0-0"), fixed("1.22.2"))}}}}},
		},
		"GitHub: word, CWEs, vectors, last_affected": {
			text: `{"schema_version":"1.4.0","id":"GHSA-aaaa","modified":"2024-01-02T00:00:00Z","database_specific":{"severity":"MODERATE","cwe_ids":["CWE-79"]},
				"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"},{"type":"CVSS_V4","score":"not a vector"}],
				"references":[{"type":"WEB","url":"https://example.org/a"}],
				"affected":[{"package":{"ecosystem":"PyPI","name":"Some_Thing"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"1"},{"last_affected":"2.0"}]}],"versions":["1.5"]}]}`,
			want: advisory.Advisory{ID: "GHSA-aaaa", Source: "ghsa", Modified: "2024-01-02T00:00:00Z", Severity: seawall.SeverityMedium, CWEs: []string{"CWE-79"},
				CVSS:       []seawall.CVSS{{Source: "ghsa", Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"}},
				References: []string{"https://example.org/a"},
				Affected: []advisory.Affected{{Ecosystem: "PyPI", Name: "some-thing", State: seawall.StateAffected, Versions: []string{"1.5"},
					Ranges: []advisory.Range{{Events: events(introduced("1"), advisory.RangeEvent{LastAffected: "2.0"})}}}}},
		},
		"PyPA in YAML: commit range counted, numbers stay text": {
			text: "id: PYSEC-2019-26\nmodified: 2019-07-31T19:44:00Z\naffected:\n- package: {name: Zope, ecosystem: PyPI}\n  ranges:\n" +
				"  - {type: GIT, repo: https://example.org/z, events: [{introduced: \"0\"}]}\n  - type: ECOSYSTEM\n    events:\n    - introduced: \"0\"\n    - fixed: 1.10\n  versions: [1.0, \"1.9\"]\n",
			want: advisory.Advisory{ID: "PYSEC-2019-26", Source: "pypi", Modified: "2019-07-31T19:44:00Z",
				Affected: []advisory.Affected{{Ecosystem: "PyPI", Name: "zope", State: seawall.StateFixed, Versions: []string{"1.0", "1.9"},
					Ranges: []advisory.Range{{Events: events(introduced("0"), fixed("1.10"))}}}}},
			skipped: []string{"git range"},
		},
		"commit ranges only": {
			text:    `{"id":"OSV-2020-1","modified":"2024-01-02T00:00:00Z","affected":[{"package":{"ecosystem":"OSS-Fuzz","name":"z"},"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]}]}`,
			want:    advisory.Advisory{ID: "OSV-2020-1", Source: "oss-fuzz", Modified: "2024-01-02T00:00:00Z"},
			skipped: []string{"git range", "package with git ranges only"},
		},
		"an erratum's CVEs are upstream, its title tells severity and modules": {
			text: `{"id":"ALSA-2023:1","modified":"2023-01-02T00:00:00Z","summary":"Important: virt:rhel and virt-devel:rhel security update","related":["CVE-2023-1","ALSA-2022:1"],
				"affected":[{"package":{"ecosystem":"AlmaLinux:8","name":"qemu"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"15:6.2-1.module_el8.9.0+1+a"}]}]},
				{"package":{"ecosystem":"AlmaLinux:8","name":"plain"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1-1.el8"}]}]}]}`,
			want: advisory.Advisory{ID: "ALSA-2023:1", Source: "almalinux", Modified: "2023-01-02T00:00:00Z", Summary: "Important: virt:rhel and virt-devel:rhel security update",
				Severity: seawall.SeverityHigh, Upstream: []string{"CVE-2023-1"}, Related: []string{"ALSA-2022:1"},
				Affected: []advisory.Affected{
					{Ecosystem: "AlmaLinux:8", Name: "qemu", Module: "virt:rhel", State: seawall.StateFixed, Ranges: []advisory.Range{advisory.FixedIn(0, "15:6.2-1.module_el8.9.0+1+a")}},
					{Ecosystem: "AlmaLinux:8", Name: "qemu", Module: "virt-devel:rhel", State: seawall.StateFixed, Ranges: []advisory.Range{advisory.FixedIn(0, "15:6.2-1.module_el8.9.0+1+a")}},
					{Ecosystem: "AlmaLinux:8", Name: "plain", State: seawall.StateFixed, Ranges: []advisory.Range{advisory.FixedIn(0, "1-1.el8")}},
				}},
		},
		"a bug fix erratum is a notice": {
			text: `{"id":"ALBA-2023:1","modified":"2023-01-02T00:00:00Z","affected":[]}`,
			want: advisory.Advisory{ID: "ALBA-2023:1", Source: "almalinux", Modified: "2023-01-02T00:00:00Z", Kind: advisory.KindNotice, Notice: "update"},
		},
		"Ubuntu: release, priority": {
			text: `{"id":"UBUNTU-CVE-2024-1","modified":"2024-01-02T00:00:00Z","upstream":["CVE-2024-1"],"severity":[{"type":"Ubuntu","score":"low"}],
				"affected":[{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"curl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"ubuntu_priority":"medium"}}]}`,
			want: advisory.Advisory{ID: "UBUNTU-CVE-2024-1", Source: "ubuntu", Modified: "2024-01-02T00:00:00Z", Upstream: []string{"CVE-2024-1"}, Severity: seawall.SeverityLow,
				Affected: []advisory.Affected{{Ecosystem: "Ubuntu:22.04", Name: "curl", State: seawall.StateAffected, Severity: seawall.SeverityMedium,
					Ranges: []advisory.Range{advisory.FixedIn(0, "")}}}},
		},
		"Debian: urgency": {
			text: `{"id":"DEBIAN-CVE-2024-1","modified":"2024-01-02T00:00:00Z","upstream":["CVE-2024-1"],
				"affected":[{"package":{"ecosystem":"Debian:12","name":"curl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"urgency":"unimportant"}},
				{"package":{"ecosystem":"Debian:11","name":"curl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"urgency":"end-of-life"}}]}`,
			want: advisory.Advisory{ID: "DEBIAN-CVE-2024-1", Source: "debian", Modified: "2024-01-02T00:00:00Z", Upstream: []string{"CVE-2024-1"},
				Affected: []advisory.Affected{
					{Ecosystem: "Debian:12", Name: "curl", State: seawall.StateAffected, Severity: seawall.SeverityNegligible, Ranges: []advisory.Range{advisory.FixedIn(0, "")}},
					{Ecosystem: "Debian:11", Name: "curl", State: seawall.StateEndOfLife, Ranges: []advisory.Range{advisory.FixedIn(0, "")}},
				}},
		},
		"malware, withdrawn, odd types where databases differ": {
			text: `{"id":"MAL-2024-1","modified":"2024-01-02T00:00:00Z","withdrawn":"2024-01-03T00:00:00Z","database_specific":{"severity":{"a":1},"imports":"none","cwe_ids":"CWE-506"},
				"affected":[{"package":{"ecosystem":"npm","name":"bad"},"versions":["1.0.0"],"ecosystem_specific":{"imports":[1,2]}}]}`,
			want: advisory.Advisory{ID: "MAL-2024-1", Source: "malicious-packages", Kind: advisory.KindMalware, Modified: "2024-01-02T00:00:00Z", Withdrawn: "2024-01-03T00:00:00Z",
				CWEs:     []string{"CWE-506"},
				Affected: []advisory.Affected{{Ecosystem: "npm", Name: "bad", Versions: []string{"1.0.0"}, State: seawall.StateAffected}}},
		},
		"RustSec notice": {
			text: `{"id":"RUSTSEC-2024-1","modified":"2024-01-02T00:00:00Z","affected":[{"package":{"ecosystem":"crates.io","name":"old"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0.0.0-0"}]}],
				"database_specific":{"informational":"unmaintained","cvss":null}}]}`,
			want: advisory.Advisory{ID: "RUSTSEC-2024-1", Source: "rustsec", Kind: advisory.KindNotice, Notice: "unmaintained", Modified: "2024-01-02T00:00:00Z",
				Affected: []advisory.Affected{{Ecosystem: "crates.io", Name: "old", State: seawall.StateAffected,
					Ranges: []advisory.Range{{Type: advisory.RangeSemver, Events: events(introduced("0.0.0-0"))}}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, skipped := read(t, test.text)
			if diff := cmp.Diff(&test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.Equal(skipped, test.skipped) {
				t.Errorf("skipped %q, want %q", skipped, test.skipped)
			}
		})
	}
}

func TestDamage(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"cut off":             {`{"id":"X-1","modified":"2024-01-02T00:00:00Z",` + "\n" + `"affected":[`, "line 2"},
		"no id":               {`{"modified":"2024-01-02T00:00:00Z"}`, "no id"},
		"a number for a name": {`{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":7}}]}`, "affected.package.name"},
		"range type":          {`{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"LUNAR","events":[{"introduced":"0"}]}]}]}`, "LUNAR"},
		"no events":           {`{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[]}]}]}`, "without events"},
		"yaml":                {"id: [", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := osv.Importer{}.Import(context.Background(), "x", strings.NewReader(test.text), func(advisory.Record) error { return nil })
			if !errors.Is(err, seawall.ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want corrupt with %q", err, test.want)
			}
		})
	}
}

// TestExportRoundTrip: everything in the starter database survives being
// exported and imported again.
func TestExportRoundTrip(t *testing.T) {
	r, err := starter.Open()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for want, err := range r.Select(nil) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := osv.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(text, '\n') {
			t.Fatalf("%s takes more than a line", want.ID)
		}
		got, _ := read(t, string(text))
		again, err := osv.Encode(got)
		if err != nil || !bytes.Equal(text, again) || want.Kind != got.Kind {
			t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(want, got, cmpopts.EquateEmpty()))
		}
		if n%100 == 0 { // slower, and sees what Encode might leave out
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", want.ID, diff)
			}
		}
		n++
	}
	if n < 20_000 {
		t.Errorf("only %d advisories", n)
	}
}

func TestReadIndex(t *testing.T) {
	modified, newest, err := osv.ReadIndex(strings.NewReader("2024-05-01T10:00:00.5Z,GHSA-a\n2024-05-01T12:00:00+03:00,RHSA-2024:1\n\n"))
	if err != nil || newest != "2024-05-01T10:00:00.500000000Z" || modified["RHSA-2024:1"] != "2024-05-01T09:00:00.000000000Z" || len(modified) != 2 {
		t.Errorf("%v %q %v", modified, newest, err)
	}
	for _, bad := range []string{"yesterday,GHSA-a\n", "2024-05-01T10:00:00Z,../../etc/passwd\n", "2024-05-01T10:00:00Z,a..b\n", "2024-05-01T10:00:00Z\n"} {
		if _, _, err := osv.ReadIndex(strings.NewReader(bad)); !errors.Is(err, seawall.ErrCorrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func BenchmarkImport(b *testing.B) {
	text := `{"id":"GHSA-aaaa","modified":"2024-01-02T00:00:00Z","details":"` + strings.Repeat("lorem ipsum ", 100) + `","database_specific":{"severity":"MODERATE","cwe_ids":["CWE-79"]},
		"affected":[{"package":{"ecosystem":"npm","name":"thing"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1"},{"fixed":"2.0.0"}]}]}]}`
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := (osv.Importer{}).Import(context.Background(), "x", strings.NewReader(text), func(advisory.Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzReadIndex: identifiers end up in file names and URLs, so none may leave its directory.
func FuzzReadIndex(f *testing.F) {
	f.Add([]byte("2024-05-01T10:00:00.5Z,GHSA-a\n"))
	f.Add([]byte("2024-05-01T10:00:00Z,../a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		modified, newest, err := osv.ReadIndex(bytes.NewReader(data))
		if (err == nil) != (modified != nil) {
			t.Errorf("%v and %v", modified, err)
		}
		for id, at := range modified {
			if strings.ContainsAny(id, "/\\\x00") || strings.Contains(id, "..") || at > newest {
				t.Errorf("%q at %q, newest %q", id, at, newest)
			}
		}
	})
}
