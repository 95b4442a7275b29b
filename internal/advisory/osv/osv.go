// Package osv imports advisories in the OSV format, JSON or YAML: OSV.dev's
// archives and every database that publishes it (Go, PyPA, RustSec, GitHub,
// Bitnami, AlmaLinux, Rocky, Red Hat, SUSE, Ubuntu, Debian, Kubernetes, …).
//
// Data flows: one document -> entry (schema 1.7, loosely typed where databases
// differ) -> advisory.Advisory with our ecosystem and package spellings. Commit
// ranges are counted and left out; erratum entries carry their CVEs as Upstream;
// vendor words for severity are read from wherever the database puts them.
package osv

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads one OSV document.
type Importer struct{}

// Name implements advisory.Importer.
func (Importer) Name() string { return "osv" }

// Recognizes implements advisory.Importer: an "id" and one more key only OSV has at the top.
func (Importer) Recognizes(_ string, head []byte) bool {
	id, more := false, false
	for key := range document.Keys(head) {
		switch key {
		case "id":
			id = true
		case "affected", "modified", "schema_version", "withdrawn", "database_specific":
			more = true
		case "package", "packages", "document", "advisories":
			return false
		}
		if id && more {
			return true
		}
	}
	return false
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	var e entry
	if err := document.Decode(r, document.MaxSize, &e); err != nil {
		return err
	}
	if e.ID == "" {
		return fmt.Errorf("no id: %w", seawall.ErrCorrupt)
	}
	a, skipped, err := e.advisory()
	if err != nil {
		return fmt.Errorf("%s: %w", e.ID, err)
	}
	for _, reason := range skipped {
		if err := emit(advisory.Record{Skipped: reason}); err != nil {
			return err
		}
	}
	return emit(advisory.Record{Advisory: a})
}

// advisory converts the entry; skipped names the parts left out.
func (e *entry) advisory() (a *advisory.Advisory, skipped []string, err error) {
	a = &advisory.Advisory{
		ID:        e.ID,
		Source:    source(e),
		Aliases:   e.Aliases,
		Upstream:  e.Upstream,
		Related:   e.Related,
		Summary:   string(e.Summary),
		Published: document.Time(string(e.Published)),
		Modified:  document.Time(string(e.Modified)),
		Withdrawn: document.Time(string(e.Withdrawn)),
		CWEs:      e.Database.CWEs,
		Severity:  word(e.Database),
	}
	if isErratum(e.ID) {
		moveCVEs(a)
	}
	a.CVSS, a.Severity = scores(e.Severity, a.Source, a.Severity)
	if a.Severity == seawall.SeverityUnknown {
		a.Severity = leadingWord(a.Summary)
	}
	for _, ref := range e.References {
		if ref.URL != "" {
			a.References = append(a.References, string(ref.URL))
		}
	}
	for i := range e.Affected {
		list, dropped, err := e.Affected[i].convert(a)
		if err != nil {
			return nil, nil, fmt.Errorf("affected %d: %w", i, err)
		}
		a.Affected = append(a.Affected, list...)
		skipped = append(skipped, dropped...)
		if notice := e.Affected[i].Database.Informational; notice != "" {
			a.Kind, a.Notice = advisory.KindNotice, string(notice)
		}
	}
	switch {
	case strings.HasPrefix(e.ID, "MAL-"):
		a.Kind = advisory.KindMalware
	case isErratum(e.ID) && !isSecurity(e.ID) && len(a.Upstream) == 0:
		a.Kind, a.Notice = advisory.KindNotice, "update"
	}
	if x := e.Database.Seawall; x != nil {
		if a.Source = cmp.Or(x.Source, a.Source); x.CVSS != nil {
			a.CVSS = x.CVSS
		}
		if a.Notice = x.Notice; x.Notice != "" {
			a.Kind = advisory.KindNotice
		}
	}
	return a, skipped, nil
}

// convert returns the statements of one "affected" object: several only when an
// erratum covers several module streams.
func (f *affected) convert(a *advisory.Advisory) (list []advisory.Affected, skipped []string, err error) {
	ecosystem := advisory.NormalizeEcosystem(f.Package.Ecosystem)
	out := advisory.Affected{
		Ecosystem: ecosystem,
		Name:      advisory.Canonical(ecosystem, f.Package.Name),
		Versions:  f.Versions,
		Severity:  word(f.Ecosystem),
		Symbols:   symbols(f.Ecosystem.Imports),
	}
	if out.Severity == seawall.SeverityUnknown {
		out.Severity = word(f.Database)
	}
	out.CVSS, out.Severity = scores(f.Severity, a.Source, out.Severity)
	for _, r := range f.Ranges {
		if r.Type == "GIT" {
			skipped = append(skipped, "git range")
			continue
		}
		converted, err := r.convert()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Package.Name, err)
		}
		out.Ranges = append(out.Ranges, converted)
	}
	if ecosystem == "" || out.Name == "" {
		return nil, append(skipped, "entry without a package"), nil
	}
	if len(out.Ranges) == 0 && len(out.Versions) == 0 && len(f.Ranges) > 0 {
		return nil, append(skipped, "package with git ranges only"), nil
	}
	out.State = advisory.StateOf(out.Ranges)
	if f.Ecosystem.Urgency == "end-of-life" {
		out.State = seawall.StateEndOfLife
	}
	if x := f.Ecosystem.Seawall; x != nil {
		x.apply(&out)
		return []advisory.Affected{out}, skipped, nil
	}
	return withModules(out, a.Summary), skipped, nil
}

func (r versionRange) convert() (advisory.Range, error) {
	var out advisory.Range
	switch r.Type {
	case "SEMVER":
		out.Type = advisory.RangeSemver
	case "ECOSYSTEM":
	default:
		return out, fmt.Errorf("range type %q: %w", r.Type, seawall.ErrCorrupt)
	}
	for _, e := range r.Events {
		events := [...]advisory.RangeEvent{
			{Introduced: string(e.Introduced)}, {Fixed: string(e.Fixed)},
			{LastAffected: string(e.LastAffected)}, {Limit: string(e.Limit)},
		}
		for _, one := range events {
			if one != (advisory.RangeEvent{}) && one.Limit != "*" {
				out.Events = append(out.Events, one)
			}
		}
	}
	if len(out.Events) == 0 {
		return out, fmt.Errorf("range without events: %w", seawall.ErrCorrupt)
	}
	return out, nil
}

// word reads the severity word of a database's own part.
func word(s specific) seawall.Severity {
	for _, w := range [...]document.Word{s.Severity, s.Urgency, s.Priority} {
		if v, err := seawall.ParseSeverity(string(w)); err == nil && v != seawall.SeverityUnknown {
			return v
		}
	}
	return seawall.SeverityUnknown
}

// scores separates CVSS vectors from words ("Ubuntu": "medium"), which replace an unknown severity.
func scores(list []severity, source string, v seawall.Severity) ([]seawall.CVSS, seawall.Severity) {
	var cvss []seawall.CVSS
	for _, s := range list {
		if !strings.HasPrefix(string(s.Type), "CVSS_") {
			if w, err := seawall.ParseSeverity(string(s.Score)); err == nil && v == seawall.SeverityUnknown {
				v = w
			}
			continue
		}
		if c, ok := document.CVSS(source, string(s.Score)); ok {
			cvss = append(cvss, c)
		}
	}
	return cvss, v
}

// leadingWord reads "Important: kernel security update".
func leadingWord(summary string) seawall.Severity {
	first, _, ok := strings.Cut(summary, ":")
	if !ok {
		return seawall.SeverityUnknown
	}
	v, err := seawall.ParseSeverity(first)
	if err != nil {
		return seawall.SeverityUnknown
	}
	return v
}

func symbols(list []goImport) []string {
	var out []string
	for _, imp := range list {
		if len(imp.Symbols) == 0 && imp.Path != "" {
			out = append(out, string(imp.Path))
		}
		for _, s := range imp.Symbols {
			out = append(out, string(imp.Path)+"#"+s)
		}
	}
	return out
}

var moduleStream = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b([A-Za-z0-9][A-Za-z0-9_.-]*):([A-Za-z0-9][A-Za-z0-9_.-]*)`)
})

// withModules repeats a statement whose fix was built in a module (".module" in
// its release) for every module stream the erratum's title names. The title is
// the only place OSV entries of the RHEL family name the stream.
func withModules(a advisory.Affected, summary string) []advisory.Affected {
	if !isModular(&a) {
		return []advisory.Affected{a}
	}
	var out []advisory.Affected
	for _, stream := range moduleStream().FindAllString(summary, -1) {
		one := a
		one.Module = stream
		out = append(out, one)
	}
	if out == nil {
		return []advisory.Affected{a}
	}
	return out
}

func isModular(a *advisory.Affected) bool {
	switch family, _, _ := strings.Cut(a.Ecosystem, ":"); family {
	case "AlmaLinux", "Rocky Linux", "Red Hat", "Oracle Linux":
	default:
		return false
	}
	return slices.ContainsFunc(a.Ranges, func(r advisory.Range) bool {
		return slices.ContainsFunc(r.Events, func(e advisory.RangeEvent) bool {
			return strings.Contains(e.Fixed, ".module")
		})
	})
}

// moveCVEs turns the CVEs an erratum mends, which databases list as aliases or
// related, into Upstream.
func moveCVEs(a *advisory.Advisory) {
	isCVE := func(id string) bool { return strings.HasPrefix(id, "CVE-") }
	for _, list := range [...]*[]string{&a.Aliases, &a.Related} {
		var rest []string
		for _, id := range *list {
			switch {
			case !isCVE(id):
				rest = append(rest, id)
			case !slices.Contains(a.Upstream, id):
				a.Upstream = append(a.Upstream, id)
			}
		}
		*list = rest
	}
}
