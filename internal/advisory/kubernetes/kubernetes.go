// Package kubernetes imports CVEs of Kubernetes components in the YAML format of
// stackrox/k8s-cves, one file per CVE. (The official feed is OSV.)
//
// Data flows: each range with its fixed version -> ranges, said of every
// component the file names; a file that names none is about all of Kubernetes.
package kubernetes

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads one CVE.
type Importer struct{}

type entry struct {
	CVE         string         `yaml:"cve"`
	URL         document.Word  `yaml:"url"`
	IssueURL    document.Word  `yaml:"issueUrl"`
	Published   document.Word  `yaml:"published"`
	Description document.Word  `yaml:"description"`
	Components  document.Words `yaml:"components"`
	CVSS        map[string]struct {
		Vector3 document.Word `yaml:"vectorV3"`
	} `yaml:"cvss"`
	Affected []struct {
		Range   string        `yaml:"range"`
		FixedBy document.Word `yaml:"fixedBy"`
	} `yaml:"affected"`
}

// Name implements advisory.Importer.
func (Importer) Name() string { return "k8s-cves" }

// Recognizes implements advisory.Importer.
func (Importer) Recognizes(_ string, head []byte) bool {
	return !document.IsJSON(head) && document.Has(head, "cve", "affected", "cvss", "published")
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	var e entry
	if err := document.Decode(r, document.MaxSize, &e); err != nil {
		return err
	}
	if !strings.HasPrefix(e.CVE, "CVE-") || len(e.Affected) == 0 {
		return fmt.Errorf("no CVE or no affected range: %w", seawall.ErrCorrupt)
	}
	a := &advisory.Advisory{
		ID: e.CVE, Source: "k8s-cves",
		Published: document.Time(string(e.Published)),
	}
	a.Summary, _, _ = strings.Cut(string(e.Description), "\n")
	for _, scorer := range [...]string{"kubernetes", "nvd"} {
		if c, ok := document.CVSS(scorer, string(e.CVSS[scorer].Vector3)); ok {
			a.CVSS = append(a.CVSS, c)
		}
	}
	for _, url := range [...]document.Word{e.IssueURL, e.URL} {
		if url != "" {
			a.References = append(a.References, string(url))
		}
	}
	ranges, err := e.ranges()
	if err != nil {
		return err
	}
	names := e.Components
	if len(names) == 0 {
		names = []string{"kubernetes"}
	}
	for _, name := range names {
		a.Affected = append(a.Affected, advisory.Affected{
			Ecosystem: "Kubernetes", Name: advisory.Canonical("Kubernetes", name),
			Ranges: ranges, State: advisory.StateOf(ranges),
		})
	}
	return emit(advisory.Record{Advisory: a})
}

// ranges: "<= 1.22.15" fixed by 1.22.16 is everything below 1.22.16, so that the
// fixed version is known and what lies between is not left out.
func (e *entry) ranges() ([]advisory.Range, error) {
	all := version.None(version.Semver)
	for i, f := range e.Affected {
		set, err := version.ParseComparators(version.Semver, f.Range)
		if err != nil {
			return nil, fmt.Errorf("affected %d: %w: %w", i, seawall.ErrCorrupt, err)
		}
		if f.FixedBy != "" {
			below, err := version.Between(version.Semver, "", string(f.FixedBy))
			if err != nil {
				return nil, fmt.Errorf("affected %d: fixedBy: %w: %w", i, seawall.ErrCorrupt, err)
			}
			open, err := openEnded(f.Range)
			if err != nil {
				return nil, fmt.Errorf("affected %d: %w: %w", i, seawall.ErrCorrupt, err)
			}
			if extended := open.Intersect(below); !extended.Empty() {
				set = extended
			}
		}
		all = all.Union(set)
	}
	ranges := all.Ranges()
	if len(ranges) == 0 {
		return nil, fmt.Errorf("its ranges hold no version: %w", seawall.ErrCorrupt)
	}
	return ranges, nil
}

// openEnded is a range without its upper bounds; a single version is where it starts.
func openEnded(expression string) (version.Set, error) {
	out := version.All(version.Semver)
	for part := range strings.SplitSeq(expression, ",") {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, "<") {
			continue
		}
		set, err := version.ParseComparators(version.Semver, ">= "+strings.TrimLeft(part, "<>= "))
		if err != nil {
			return set, err
		}
		out = out.Intersect(set)
	}
	return out, nil
}
