package lifecycle

import (
	"context"
	"encoding/csv"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

func day(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return d.Add(12 * time.Hour)
}

func TestDetect(t *testing.T) {
	type outcome struct {
		Status               seawall.Status
		Severity             seawall.Severity
		Evidence, Reason, Do string
	}
	debian10 := &seawall.OS{ID: "debian", Version: "10"}
	tests := []struct {
		name      string
		os        *seawall.OS
		packages  []seawall.Package
		now       string
		want      *outcome
		endOfLife string
	}{
		{"no operating system", nil, nil, "2026-11-21", nil, ""},
		{"unnamed", nil, []seawall.Package{{Kind: "os"}}, "2026-11-21",
			&outcome{Status: seawall.StatusNotEvaluated, Reason: "no file names the distribution"}, ""},
		{"long before", debian10, nil, "2024-03-31", nil, "2024-06-30"},
		{"90 days before", debian10, nil, "2024-04-01",
			&outcome{seawall.StatusFail, seawall.SeverityLow, "security support of Debian 10 ends on 2024-06-30", "", "upgrade to Debian 13"}, "2024-06-30"},
		{"the last day", debian10, nil, "2024-06-30",
			&outcome{seawall.StatusFail, seawall.SeverityLow, "security support of Debian 10 ends on 2024-06-30", "", "upgrade to Debian 13"}, "2024-06-30"},
		{"the day after", debian10, nil, "2024-07-01",
			&outcome{seawall.StatusFail, seawall.SeverityHigh, "security support of Debian 10 ended on 2024-06-30", "", "upgrade to Debian 13"}, "2024-06-30"},
		{"extension", &seawall.OS{ID: "ubuntu", Version: "20.04"}, nil, "2026-11-21",
			&outcome{seawall.StatusFail, seawall.SeverityHigh,
				"security support of Ubuntu 20.04 ended on 2025-05-29; Ubuntu Pro (ESM), for subscribers, goes on until 2030-04-23", "", "upgrade to Ubuntu 26.04"}, "2025-05-29"},
		{"family without a future", &seawall.OS{ID: "centos", Version: "7"}, nil, "2026-11-21",
			&outcome{seawall.StatusFail, seawall.SeverityHigh, "security support of CentOS 7 ended on 2024-06-30", "",
				"move to AlmaLinux, Rocky Linux or Red Hat Enterprise Linux"}, "2024-06-30"},
		{"newest ended too", &seawall.OS{ID: "azurelinux", Version: "3.0"}, nil, "2028-01-01",
			&outcome{seawall.StatusFail, seawall.SeverityHigh, "security support of Azure Linux 3.0 ended on 2027-08-31", "",
				"upgrade to a release newer than Azure Linux 3.0"}, "2027-08-31"},
		{"rolling", &seawall.OS{ID: "wolfi", Version: "20230201"}, nil, "2026-11-21", nil, ""},
		{"not announced", &seawall.OS{ID: "alpine", Version: "3.24.1"}, nil, "2026-11-21", nil, ""},
		{"not announced, table outdated", &seawall.OS{ID: "alpine", Version: "3.24.1"}, nil, "2027-11-22",
			&outcome{Status: seawall.StatusNotEvaluated, Reason: "the end of its support was not announced by 2026-11-21"}, ""},
		{"unknown release", &seawall.OS{ID: "debian", Version: "99"}, nil, "2026-11-21",
			&outcome{Status: seawall.StatusNotEvaluated, Reason: "the end of its support is not known"}, ""},
		{"another life than its packages", &seawall.OS{ID: "sle-micro", Version: "5.5"}, nil, "2026-11-21",
			&outcome{Status: seawall.StatusNotEvaluated, Reason: "the end of its support is not known"}, ""},
		{"unknown distribution", &seawall.OS{ID: "linuxmint", Version: "21"}, nil, "2026-11-21",
			&outcome{Status: seawall.StatusNotEvaluated, Reason: "the end of its support is not known"}, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			res, err := Detector{}.Detect(context.Background(), detect.Facts{
				Asset:    seawall.Asset{ID: "a", OS: tc.os},
				Packages: tc.packages,
				Configs:  []seawall.ConfigFact{{Kind: "os-release", Path: "etc/os-release"}},
				Now:      day(t, tc.now),
			})
			if err != nil {
				t.Fatal(err)
			}
			var got *outcome
			if len(res.Findings) > 0 {
				f := res.Findings[0]
				got = &outcome{f.Status, f.Severity, f.Evidence, f.Reason, f.Remediation}
				if f.Rule != RuleEndOfLife || f.Kind != seawall.KindLifecycle || f.Location.Path != "etc/os-release" {
					t.Errorf("finding %+v", f)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if res.EndOfLife != tc.endOfLife {
				t.Errorf("end of life %q, want %q", res.EndOfLife, tc.endOfLife)
			}
		})
	}
}

// TestTable: dates are dates, releases are listed once, newest first where
// versions are dates too.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, fam := range families {
		if !strings.HasPrefix(fam.source, "https://") || len(fam.releases) == 0 {
			t.Errorf("%s has no source or no releases", fam.name)
		}
		for _, r := range fam.releases {
			key := fam.name + ":" + r.version
			if seen[key] {
				t.Errorf("%s is listed twice", key)
			}
			seen[key] = true
			for _, d := range []string{r.ends, r.extended} {
				if d != "" {
					day(t, d)
				}
			}
			if r.extended != "" && (r.extended <= r.ends || fam.extension == "") {
				t.Errorf("%s: extended until %s, ends %s, extension %q", key, r.extended, r.ends, fam.extension)
			}
		}
	}
}

// TestAgainstDistroInfo compares Debian and Ubuntu with the facts this machine's
// distribution ships. Those change with time, so it is asked for when the table
// is brought up to date: SEAWALL_LONG=1.
func TestAgainstDistroInfo(t *testing.T) {
	if os.Getenv("SEAWALL_LONG") == "" {
		t.Skip("SEAWALL_LONG is not set")
	}
	for _, tc := range []struct{ file, family, ends, extended string }{
		{"debian.csv", "Debian", "eol-lts", ""},
		{"ubuntu.csv", "Ubuntu", "eol", "eol-esm"},
	} {
		f, err := os.Open("/usr/share/distro-info/" + tc.file)
		if err != nil {
			t.Skipf("distro-info-data is not installed: %v", err)
		}
		defer f.Close()
		r := csv.NewReader(f)
		r.FieldsPerRecord = -1
		rows, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		column := func(row []string, name string) string {
			for i, head := range rows[0] {
				if head == name && i < len(row) {
					return row[i]
				}
			}
			return ""
		}
		compared := 0
		for _, row := range rows[1:] {
			version, _, _ := strings.Cut(row[0], " ")
			_, rel := lookup(tc.family + ":" + strings.TrimSuffix(version, ".0"))
			if rel == nil {
				continue
			}
			ends := column(row, tc.ends)
			if ends == "" {
				ends = column(row, "eol") // before there was long-term support
			}
			if rel.ends != ends || rel.extended != column(row, tc.extended) {
				t.Errorf("%s %s: %+v, distro-info says %s and %s", tc.family, version, *rel, ends, column(row, tc.extended))
			}
			compared++
		}
		if compared < 8 {
			t.Errorf("%s: only %d releases compared", tc.family, compared)
		}
	}
}
