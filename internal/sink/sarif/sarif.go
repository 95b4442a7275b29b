// Package sarif writes SARIF 2.1.0, shaped so that code-scanning services
// accept it: every rule has a help text and a security-severity, every result a
// rule, a relative artifact URI, a line and a stable fingerprint, and the
// numbers stay below the published limits. Suppressed findings are results with
// a suppression; what could not be judged is a notification of the invocation,
// never a silent gap.
//
// Sources: OASIS SARIF 2.1.0; "SARIF support for code scanning", GitHub docs.
package sarif

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// Limits of code scanning: results and rules of a run, locations of a result, characters of a text.
const (
	maxResults   = 25_000
	maxLocations = 100
	maxText      = 1024
)

// New returns the handler of the sarif format.
func New(w io.Writer) sink.Handler { return sink.Document(w, build) }

func build(r *seawall.Report) sarifLog {
	out := run{
		Tool: tool{driver{
			Name: r.Tool.Name, Version: cmp.Or(r.Tool.Version, "unknown"),
			InformationURI: "https://github.com/seawall-security/seawall", Rules: []rule{},
		}},
		Results:    []result{},
		ColumnKind: "utf16CodeUnits",
	}
	inv := invocation{ExecutionSuccessful: true, StartTimeUTC: r.Run.Started, EndTimeUTC: r.Run.Ended, Notifications: gaps(r)}
	for _, c := range r.Collectors {
		inv.ExecutionSuccessful = inv.ExecutionSuccessful && c.Status != seawall.RunFailed
	}
	index := make(map[string]int)
	names := make(map[string]string)
	for _, a := range sink.Assets(r) {
		names[a.ID] = a.Name
	}
	left := 0
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Status != seawall.StatusFail && f.Status != seawall.StatusSuppressed {
			continue
		}
		if len(out.Results) == maxResults {
			left++
			continue
		}
		n, seen := index[f.Rule]
		if !seen {
			n = len(out.Tool.Driver.Rules)
			index[f.Rule] = n
			out.Tool.Driver.Rules = append(out.Tool.Driver.Rules, ruleOf(f))
		}
		out.Results = append(out.Results, resultOf(f, n, names[f.Asset]))
	}
	if left > 0 {
		inv.Notifications = append(inv.Notifications, warn(fmt.Sprintf("%d less severe findings are left out: code scanning takes %d results", left, maxResults)))
	}
	out.Invocations = []invocation{inv}
	return sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []run{out}}
}

// gaps turns everything that was not judged into notifications.
func gaps(r *seawall.Report) []notification {
	list := []notification{}
	for _, c := range r.Coverage {
		if c.Status != seawall.CoverageOK {
			text := fmt.Sprintf("%s: %d packages %s: %s", c.Ecosystem, c.Packages, c.Status, c.Reason)
			if c.Remedy != "" {
				text += "; mend it with: " + c.Remedy
			}
			list = append(list, warn(text))
		}
	}
	for _, c := range r.Collectors {
		if c.Status == seawall.RunPartial || c.Status == seawall.RunFailed {
			list = append(list, warn(fmt.Sprintf("%s %s: %s", c.Name, c.Status, c.Reason)))
		}
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Status == seawall.StatusNotEvaluated {
			list = append(list, warn(fmt.Sprintf("%s not evaluated: %s", f.Rule, f.Reason)))
		}
	}
	return list
}

func warn(text string) notification { return notification{Level: "warning", Message: message{text}} }

func ruleOf(f *seawall.Finding) rule {
	summary := f.Title
	r := rule{
		ID:            f.Rule,
		Name:          f.Rule,
		Configuration: configuration{levelOf(f.Severity)},
		Properties:    ruleProperties{Tags: []string{"security", string(f.Kind)}, Precision: "very-high", SecuritySeverity: securitySeverity(f)},
	}
	if v := f.Vulnerability; v != nil {
		summary = cmp.Or(v.Summary, f.Rule)
		for _, cwe := range v.CWEs {
			if len(r.Properties.Tags) < 20 {
				r.Properties.Tags = append(r.Properties.Tags, "external/cwe/"+strings.ToLower(cwe))
			}
		}
		if v.KEV {
			r.Properties.Tags = append(r.Properties.Tags[:2], append([]string{"known-exploited"}, r.Properties.Tags[2:min(len(r.Properties.Tags), 19)]...)...)
		}
	}
	r.HelpURI = sink.AdvisoryURL(f.Rule)
	r.Short, r.Full = message{clip(summary)}, message{clip(summary)}
	help := f.Rule + ": " + summary
	if r.HelpURI != "" {
		help += "\n" + r.HelpURI
	}
	r.Help = message{help}
	return r
}

// securitySeverity is the number code scanning derives its own severity from. A
// CVSS score is used where it says the same as the finding's severity; where the
// vendor's word differs, a number of the vendor's band stands for it.
func securitySeverity(f *seawall.Finding) string {
	if v := f.Vulnerability; v != nil {
		for _, c := range v.CVSS {
			if c.Score > 0 && seawall.SeverityOfScore(c.Version, c.Score) == f.Severity {
				return strconv.FormatFloat(c.Score, 'f', 1, 64)
			}
		}
	}
	switch f.Severity {
	case seawall.SeverityCritical:
		return "9.5"
	case seawall.SeverityHigh:
		return "8.0"
	case seawall.SeverityMedium:
		return "5.5"
	case seawall.SeverityLow:
		return "2.0"
	case seawall.SeverityNegligible:
		return "0.1"
	}
	return ""
}

func levelOf(s seawall.Severity) string {
	switch s {
	case seawall.SeverityCritical, seawall.SeverityHigh:
		return "error"
	case seawall.SeverityMedium:
		return "warning"
	}
	return "note"
}

func resultOf(f *seawall.Finding, ruleIndex int, asset string) result {
	text := f.Title
	for _, more := range []string{f.Evidence, f.Remediation} {
		if more != "" {
			text += "\n" + more
		}
	}
	res := result{
		RuleID: f.Rule, RuleIndex: ruleIndex, Kind: "fail", Level: levelOf(f.Severity), Message: message{text},
		Fingerprints: map[string]string{"seawall/v1": f.ID, "primaryLocationLineHash": f.ID + ":1"},
		Properties:   resultProperties{Asset: asset, Severity: f.Severity},
	}
	if f.Layer != nil {
		res.Properties.Layer = f.Layer.Digest
	}
	if p := f.Package; p != nil {
		res.Properties.PURL = p.PURL
	}
	places := sink.Places(f)
	if len(places) == 0 {
		places = []seawall.Location{{Path: asset}}
	}
	for _, l := range places[:min(len(places), maxLocations)] {
		res.Locations = append(res.Locations, locationOf(l, asset))
	}
	if f.Status == seawall.StatusSuppressed {
		res.Suppressions = []suppression{{Kind: "external", Status: "accepted", Justification: f.Reason}}
	}
	return res
}

func locationOf(l seawall.Location, asset string) location {
	loc := location{Physical: physical{Artifact: artifact{relativeURI(cmp.Or(l.Path, asset))}, Region: region{max(l.Line, 1)}}}
	switch {
	case l.Resource != "":
		loc.Logical = []logical{{l.Resource, "resource"}}
	case l.Inner != "":
		loc.Logical = []logical{{l.Inner, "member"}}
	}
	return loc
}

// relativeURI makes a path a relative reference (RFC 3986 section 4.2).
func relativeURI(path string) string {
	path = strings.TrimLeft(strings.ToValidUTF8(path, "\ufffd"), "/")
	return (&url.URL{Path: cmp.Or(path, ".")}).String()
}

// clip keeps a text under code scanning's limit.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText-len("…")], "") + "…"
}
