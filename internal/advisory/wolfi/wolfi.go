// Package wolfi imports Wolfi's and Chainguard's advisories in schema 2, one
// YAML file per package (https://github.com/wolfi-dev/advisories).
//
// Data flows: an advisory is a list of events in time; what the last decisive
// one says holds: fixed, not affected, waiting for upstream, no fix planned. A
// detection alone is "under investigation".
package wolfi

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads the advisories of one package.
type Importer struct{}

type file struct {
	Package struct {
		Name string `yaml:"name"`
	} `yaml:"package"`
	Advisories []struct {
		ID      string         `yaml:"id"`
		Aliases document.Words `yaml:"aliases"`
		Events  []event        `yaml:"events"`
	} `yaml:"advisories"`
}

type event struct {
	Timestamp document.Word `yaml:"timestamp"`
	Type      string        `yaml:"type"`
	Data      struct {
		FixedVersion document.Word `yaml:"fixed-version"`
	} `yaml:"data"`
}

// Name implements advisory.Importer.
func (Importer) Name() string { return "wolfi-advisories" }

// Recognizes implements advisory.Importer.
func (Importer) Recognizes(_ string, head []byte) bool {
	return !document.IsJSON(head) && document.Has(head, "schema-version", "package", "advisories")
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	var f file
	if err := document.Decode(r, document.MaxSize, &f); err != nil {
		return err
	}
	if f.Package.Name == "" {
		return fmt.Errorf("no package name: %w", seawall.ErrCorrupt)
	}
	for _, entry := range f.Advisories {
		if entry.ID == "" || len(entry.Events) == 0 {
			return fmt.Errorf("advisory %q without id or events: %w", entry.ID, seawall.ErrCorrupt)
		}
		affected, err := judge(entry.Events)
		if err != nil {
			return fmt.Errorf("%s: %w", entry.ID, err)
		}
		affected.Ecosystem, affected.Name = "Wolfi", advisory.Canonical("Wolfi", f.Package.Name)
		a := &advisory.Advisory{
			ID: entry.ID, Aliases: entry.Aliases, Source: "wolfi",
			Published: document.Time(string(entry.Events[0].Timestamp)),
			Modified:  document.Time(string(entry.Events[len(entry.Events)-1].Timestamp)),
			Affected:  []advisory.Affected{affected},
		}
		if i := slices.IndexFunc(entry.Aliases, func(s string) bool { return strings.HasPrefix(s, "CVE-") }); i >= 0 {
			// The CVE is the vulnerability's own name. The CGA number names Chainguard's
			// record of it for this one package; with hundreds of packages per CVE it is no alias.
			a.ID, a.Aliases = entry.Aliases[i], slices.Delete(slices.Clone([]string(entry.Aliases)), i, i+1)
		}
		if err := emit(advisory.Record{Advisory: a}); err != nil {
			return err
		}
	}
	return nil
}

// judge orders the events by time and lets the last decisive one decide; a
// scanner's detection decides nothing. It leaves the sorted order in place.
func judge(events []event) (advisory.Affected, error) {
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Compare(document.Time(string(a.Timestamp)), document.Time(string(b.Timestamp)))
	})
	everything := []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, "")}
	out := advisory.Affected{State: seawall.StateUnderInvestigation, Ranges: everything}
	for _, e := range events {
		decided := advisory.Affected{Ranges: everything}
		switch e.Type {
		case "detection":
			continue
		case "fixed":
			if e.Data.FixedVersion == "" {
				return out, fmt.Errorf("fixed without fixed-version: %w", seawall.ErrCorrupt)
			}
			decided.State, decided.FixedAt = seawall.StateFixed, document.Time(string(e.Timestamp))
			decided.Ranges = []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, string(e.Data.FixedVersion))}
			if e.Data.FixedVersion == "0" {
				decided = advisory.Affected{Unaffected: true}
			}
		case "false-positive-determination":
			decided = advisory.Affected{Unaffected: true}
		case "pending-upstream-fix":
			decided.State = seawall.StateDeferred
		case "fix-not-planned":
			decided.State = seawall.StateWillNotFix
		case "true-positive-determination", "analysis-not-planned":
			decided.State = seawall.StateAffected
		default:
			return out, fmt.Errorf("event type %q: %w", e.Type, seawall.ErrCorrupt)
		}
		out = decided
	}
	return out, nil
}
