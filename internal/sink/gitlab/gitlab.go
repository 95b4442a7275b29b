// Package gitlab writes a GitLab security report, schema 15: container scanning
// when the first asset is an image, dependency scanning otherwise. The format
// holds vulnerable packages only, so findings of other kinds and everything
// that could not be judged are said in the scan's messages; suppressed findings
// are left out, as GitLab keeps its own dismissals.
//
// Source: security-report-schemas, dist/container-scanning-report-format.json
// and dist/dependency-scanning-report-format.json.
package gitlab

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

const schemaVersion = "15.0.2"

// Limits of the schema, in characters.
const (
	maxName        = 255
	maxDescription = 1 << 20
	maxSolution    = 7000
)

// New returns the handler of the gitlab format.
func New(w io.Writer) sink.Handler { return sink.Document(w, build) }

func build(r *seawall.Report) report {
	program := program{ID: "seawall", Name: "Seawall", Version: cmp.Or(r.Tool.Version, "unknown"), URL: "https://github.com/seawall-security/seawall", Vendor: vendor{"Seawall"}}
	out := report{
		Version: schemaVersion, Vulnerabilities: []vulnerability{},
		Scan: scan{Analyzer: program, Scanner: program, Type: "dependency_scanning", Status: "success", Start: timestamp(r.Run.Started), End: timestamp(cmp.Or(r.Run.Ended, r.Run.Started))},
	}
	if r.Asset != nil && r.Asset.Kind == seawall.AssetImage {
		out.Scan.Type = "container_scanning"
	} else {
		out.DependencyFiles = dependencyFiles(r)
	}
	assets := make(map[string]*seawall.Asset)
	for _, a := range sink.Assets(r) {
		assets[a.ID] = a
	}
	others := 0
	for i := range r.Findings {
		f := &r.Findings[i]
		switch {
		case f.Status != seawall.StatusFail:
		case f.Vulnerability == nil || f.Package == nil:
			others++
		default:
			out.Vulnerabilities = append(out.Vulnerabilities, vulnerabilityOf(f, assets[f.Asset], out.Scan.Type))
		}
	}
	out.Scan.Messages = messages(r, others)
	for _, c := range r.Collectors {
		if c.Status == seawall.RunFailed {
			out.Scan.Status = "failure"
		}
	}
	return out
}

// messages says what the list of vulnerabilities does not.
func messages(r *seawall.Report, others int) []message {
	list := []message{}
	add := func(format string, args ...any) { list = append(list, message{"warn", fmt.Sprintf(format, args...)}) }
	for _, c := range r.Coverage {
		if c.Status != seawall.CoverageOK {
			add("%s: %s %s: %s", c.Ecosystem, triage.Count(c.Packages, "package"), c.Status, strings.TrimSpace(c.Reason+" "+c.Remedy))
		}
	}
	for _, c := range r.Collectors {
		if c.Status == seawall.RunPartial || c.Status == seawall.RunFailed {
			add("%s %s: %s", c.Name, c.Status, c.Reason)
		}
	}
	if others > 0 {
		add("%s of kinds this report format does not hold: see --format json", triage.Count(others, "finding"))
	}
	return list
}

// timestamp is UTC without a zone, as the schema wants.
func timestamp(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}

// dependencyFiles groups the packages by the file that names them.
func dependencyFiles(r *seawall.Report) []dependencyFile {
	files := []dependencyFile{}
	index := make(map[[2]string]int)
	for i := range r.Packages {
		p := &r.Packages[i]
		if len(p.Locations) == 0 || p.Locations[0].Path == "" {
			continue
		}
		key := [2]string{p.Locations[0].Path, p.Ecosystem}
		n, seen := index[key]
		if !seen {
			n = len(files)
			index[key] = n
			files = append(files, dependencyFile{Path: key[0], Manager: strings.ToLower(cmp.Or(p.Ecosystem, "unknown")), Dependencies: []dependency{}})
		}
		files[n].Dependencies = append(files[n].Dependencies, dependency{packageName{p.Name}, p.Version})
	}
	return files
}

func vulnerabilityOf(f *seawall.Finding, asset *seawall.Asset, scanType string) vulnerability {
	v := f.Vulnerability
	summary := cmp.Or(v.Summary, f.Rule)
	out := vulnerability{
		ID: cmp.Or(f.ID, f.Rule), Name: clip(f.Rule+": "+summary, maxName), Description: clip(f.Title+"\n\n"+summary, maxDescription),
		Severity: severity(f.Severity), Solution: clip(f.Remediation, maxSolution), Identifiers: identifiers(f), Links: []link{},
	}
	if out.Solution == "" && len(v.Fixed) > 0 {
		out.Solution = clip("Upgrade "+f.Package.Name+" to "+v.Fixed[0], maxSolution)
	}
	for _, u := range f.References {
		if sink.IsWebURL(u) {
			out.Links = append(out.Links, link{u})
		}
	}
	out.Location.Dependency = dependency{packageName{f.Package.Name}, f.Package.Version}
	if scanType == "dependency_scanning" {
		out.Location.File = "unknown"
		if f.Location != nil {
			out.Location.File = cmp.Or(f.Location.Path, "unknown")
		}
		return out
	}
	out.Location.OperatingSystem, out.Location.Image = "unknown", f.Asset
	if asset != nil {
		out.Location.Image = cmp.Or(asset.Name, asset.ID)
		if asset.OS != nil {
			out.Location.OperatingSystem = cmp.Or(strings.TrimSpace(asset.OS.ID+":"+asset.OS.Version), "unknown")
		}
	}
	return out
}

// identifiers puts the CVE first: GitLab tracks a vulnerability by the first.
func identifiers(f *seawall.Finding) []identifier {
	ids := []identifier{}
	seen := make(map[string]bool)
	add := func(id string) {
		if id != "" && !seen[id] && len(ids) < 20 {
			seen[id] = true
			prefix, _, _ := strings.Cut(id, "-")
			ids = append(ids, identifier{Type: strings.ToLower(cmp.Or(prefix, "seawall")), Name: id, Value: id, URL: sink.AdvisoryURL(id)})
		}
	}
	names := append([]string{f.Rule, f.Vulnerability.ID}, f.Vulnerability.Aliases...)
	for _, id := range names {
		if strings.HasPrefix(id, "CVE-") {
			add(id)
		}
	}
	for _, id := range names {
		add(id)
	}
	for _, cwe := range f.Vulnerability.CWEs {
		add(cwe)
	}
	return ids
}

func severity(s seawall.Severity) string {
	switch s {
	case seawall.SeverityCritical:
		return "Critical"
	case seawall.SeverityHigh:
		return "High"
	case seawall.SeverityMedium:
		return "Medium"
	case seawall.SeverityLow:
		return "Low"
	case seawall.SeverityNegligible:
		return "Info"
	}
	return "Unknown"
}

// clip keeps a text within a number of characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
