package osv

import (
	"encoding/json"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Encode writes an advisory as an OSV document on one line: what `db export`
// prints. What the schema has no place for goes under "seawall" in
// database_specific and ecosystem_specific, where Import finds it again.
func Encode(a *advisory.Advisory) ([]byte, error) {
	d := exported{
		SchemaVersion: "1.7.0", ID: a.ID, Modified: a.Modified, Published: a.Published, Withdrawn: a.Withdrawn,
		Aliases: a.Aliases, Upstream: a.Upstream, Related: a.Related, Summary: a.Summary,
		Severity: exportScores(a.CVSS),
		Database: &exportedSpecific{CWEs: a.CWEs, Severity: severityWord(a.Severity), Seawall: &extension{Source: a.Source, Notice: a.Notice, CVSS: foreignScores(a.CVSS, a.Source)}},
	}
	if d.Modified == "" {
		d.Modified = unknownTime
	}
	for _, url := range a.References {
		d.References = append(d.References, exportedReference{"WEB", url})
	}
	for i := range a.Affected {
		d.Affected = append(d.Affected, exportAffected(&a.Affected[i], a.Source))
	}
	return json.Marshal(d)
}

// unknownTime stands where the schema requires a time and none is known; document.Time reads it as "".
const unknownTime = "0001-01-01T00:00:00Z"

type exported struct {
	SchemaVersion string              `json:"schema_version"`
	ID            string              `json:"id"`
	Modified      string              `json:"modified"`
	Published     string              `json:"published,omitempty"`
	Withdrawn     string              `json:"withdrawn,omitempty"`
	Aliases       []string            `json:"aliases,omitempty"`
	Upstream      []string            `json:"upstream,omitempty"`
	Related       []string            `json:"related,omitempty"`
	Summary       string              `json:"summary,omitempty"`
	Severity      []exportedScore     `json:"severity,omitempty"`
	Affected      []exportedAffected  `json:"affected"`
	References    []exportedReference `json:"references,omitempty"`
	Database      *exportedSpecific   `json:"database_specific"`
}

type exportedScore struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type exportedReference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type exportedAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity  []exportedScore   `json:"severity,omitempty"`
	Ranges    []exportedRange   `json:"ranges,omitempty"`
	Versions  []string          `json:"versions,omitempty"`
	Ecosystem *exportedSpecific `json:"ecosystem_specific,omitempty"`
}

type exportedRange struct {
	Type   string                `json:"type"`
	Events []advisory.RangeEvent `json:"events"`
}

type exportedSpecific struct {
	CWEs     []string   `json:"cwe_ids,omitempty"`
	Severity string     `json:"severity,omitempty"`
	Seawall  *extension `json:"seawall,omitempty"`
}

// extension is what the model holds and the schema does not.
type extension struct {
	Source string `json:"source,omitempty"`
	Notice string `json:"notice,omitempty"`
	// CVSS replaces the severity list where scores lack a vector or come from others.
	CVSS       []seawall.CVSS             `json:"cvss,omitempty"`
	State      seawall.VulnerabilityState `json:"state,omitempty"`
	Unaffected bool                       `json:"unaffected,omitempty"`
	FixedAt    string                     `json:"fixedAt,omitempty"`
	Module     string                     `json:"module,omitempty"`
	Arches     []string                   `json:"arches,omitempty"`
	Symbols    []string                   `json:"symbols,omitempty"`
}

// apply completes a statement read from an exported document.
func (x *extension) apply(f *advisory.Affected) {
	if x.Unaffected {
		f.Ranges = nil
	}
	f.State, f.Unaffected, f.FixedAt, f.Module, f.Arches, f.Symbols = x.State, x.Unaffected, x.FixedAt, x.Module, x.Arches, x.Symbols
	if x.CVSS != nil {
		f.CVSS = x.CVSS
	}
}

func exportAffected(f *advisory.Affected, source string) exportedAffected {
	var out exportedAffected
	out.Package.Ecosystem, out.Package.Name = f.Ecosystem, f.Name
	out.Severity, out.Versions = exportScores(f.CVSS), f.Versions
	for _, r := range f.Ranges {
		kind := "ECOSYSTEM"
		if r.Type == advisory.RangeSemver {
			kind = "SEMVER"
		}
		out.Ranges = append(out.Ranges, exportedRange{kind, r.Events})
	}
	if f.Unaffected {
		// For readers that do not know the extension: a range that holds nothing.
		out.Ranges = []exportedRange{{"ECOSYSTEM", []advisory.RangeEvent{{Introduced: "0"}, {Fixed: "0"}}}}
	}
	out.Ecosystem = &exportedSpecific{Severity: severityWord(f.Severity), Seawall: &extension{
		State: f.State, Unaffected: f.Unaffected, FixedAt: f.FixedAt, Module: f.Module, Arches: f.Arches, Symbols: f.Symbols,
		CVSS: foreignScores(f.CVSS, source),
	}}
	return out
}

func exportScores(list []seawall.CVSS) []exportedScore {
	var out []exportedScore
	for _, c := range list {
		if major, _, ok := strings.Cut(c.Version, "."); ok && c.Vector != "" {
			out = append(out, exportedScore{"CVSS_V" + major, c.Vector})
		}
	}
	return out
}

// foreignScores returns the whole list when the schema's form would lose some of it.
func foreignScores(list []seawall.CVSS, source string) []seawall.CVSS {
	for _, c := range list {
		if c.Vector == "" || c.Source != source || c.Score != 0 {
			return list
		}
	}
	return nil
}

func severityWord(s seawall.Severity) string {
	if s == seawall.SeverityUnknown {
		return ""
	}
	return s.String()
}
