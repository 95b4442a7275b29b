// Package retirejs imports the repositories of Retire.js
// (https://github.com/RetireJS/retire.js): jsrepository (libraries recognised
// in web pages, with their npm names) and npmrepository.
//
// Data flows: per component, its version spans grouped by identifier -> one
// advisory each on the npm package; components npm does not have go by their own
// name in the ecosystem "generic".
package retirejs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads a repository file.
type Importer struct{}

type component struct {
	NPMName         string          `json:"npmname"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type vulnerability struct {
	AtOrAbove   string         `json:"atOrAbove"`
	Below       string         `json:"below"`
	Excludes    document.Words `json:"excludes"`
	Severity    document.Word  `json:"severity"`
	CWE         document.Words `json:"cwe"`
	Info        document.Words `json:"info"`
	Identifiers struct {
		Summary document.Word  `json:"summary"`
		CVE     document.Words `json:"CVE"`
		GHSA    document.Words `json:"githubID"`
		RetID   document.Words `json:"retid"`
		Issue   document.Words `json:"issue"`
		Bug     document.Words `json:"bug"`
		PR      document.Words `json:"PR"`
		OSVDB   document.Words `json:"osvdb"`
	} `json:"identifiers"`
}

// Name implements advisory.Importer.
func (Importer) Name() string { return "retirejs" }

// Recognizes implements advisory.Importer: the first component holds vulnerabilities with "below".
func (Importer) Recognizes(_ string, head []byte) bool {
	if !document.IsJSON(head) {
		return false
	}
	inner, ok := document.Inside(head)
	return ok && document.IsJSON(inner) && document.Has(inner, "vulnerabilities") && bytes.Contains(inner, []byte(`"below"`))
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	components := map[string]component{}
	if err := document.Decode(r, document.MaxSize, &components); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(components)) {
		if name == "retire-example" || name == "dont check" {
			if err := emit(advisory.Record{Skipped: "retire.js component that stands for none"}); err != nil {
				return err
			}
			continue
		}
		if name == "" {
			return fmt.Errorf("a component without a name: %w", seawall.ErrCorrupt)
		}
		list, err := convert(name, components[name])
		if err != nil {
			return fmt.Errorf("component %s: %w", name, err)
		}
		for _, a := range list {
			if err := emit(advisory.Record{Advisory: a}); err != nil {
				return err
			}
		}
	}
	return nil
}

// convert merges the spans of a component that share an identifier.
func convert(name string, c component) ([]*advisory.Advisory, error) {
	affected := target(name, c)
	byID := map[string]*advisory.Advisory{}
	spans := map[string]version.Set{}
	for i := range c.Vulnerabilities {
		v := &c.Vulnerabilities[i]
		span, err := v.span()
		if err != nil {
			return nil, fmt.Errorf("vulnerability %d: %w: %w", i, seawall.ErrCorrupt, err)
		}
		a := v.advisory(name)
		if known, ok := byID[a.ID]; ok {
			span = span.Union(spans[a.ID])
			a = known
		}
		byID[a.ID], spans[a.ID] = a, span
	}
	var out []*advisory.Advisory
	for id, a := range byID {
		one := affected
		if one.Ranges = spans[id].Ranges(); len(one.Ranges) == 0 {
			return nil, fmt.Errorf("%s holds no version: %w", id, seawall.ErrCorrupt)
		}
		one.State = advisory.StateOf(one.Ranges)
		a.Affected = []advisory.Affected{one}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *advisory.Advisory) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// target is the package a component is: its npm name where the repository gives
// one, else its own name, which Retire.js takes for the npm name as well, but
// for the few listed here.
func target(name string, c component) advisory.Affected {
	npm := cmp.Or(c.NPMName, name)
	switch name {
	case "ember":
		npm = "ember-source"
	case "prototypejs":
		npm = "prototype"
	case "ExtJS", "pendo", "sessvars", "jquery.prettyPhoto":
		return advisory.Affected{Ecosystem: "generic", Name: strings.ToLower(name)}
	}
	return advisory.Affected{Ecosystem: "npm", Name: advisory.Canonical("npm", npm)}
}

func (v *vulnerability) span() (version.Set, error) {
	set, err := version.Between(version.Semver, bound(v.AtOrAbove), bound(v.Below))
	if err != nil {
		return set, err
	}
	for _, exact := range v.Excludes {
		one, err := version.ParseComparators(version.Semver, "= "+exact)
		if err != nil {
			return set, err
		}
		set = set.Minus(one)
	}
	return set, nil
}

// bound: "1.3.0-*" stands for the pre-releases of 1.3.0, of which -0 is the
// least; "~" sorts after every version.
func bound(v string) string {
	if v == "~" {
		return ""
	}
	if before, ok := strings.CutSuffix(v, "-*"); ok {
		return before + "-0"
	}
	return v
}

func (v *vulnerability) advisory(component string) *advisory.Advisory {
	a := &advisory.Advisory{Source: "retirejs", Summary: string(v.Identifiers.Summary), CWEs: v.CWE, References: v.Info}
	a.Severity, _ = seawall.ParseSeverity(string(v.Severity)) // a word outside the scale is no severity
	ids := slices.Concat(v.Identifiers.GHSA, v.Identifiers.CVE)
	if len(ids) == 0 {
		a.ID = v.ownID(component)
		if slices.Contains(v.CWE, "CWE-1104") { // use of unmaintained third-party components
			a.Kind, a.Notice = advisory.KindNotice, "unmaintained"
		}
		return a
	}
	a.ID, a.Aliases = ids[0], ids[1:]
	return a
}

// ownID names an entry no database has numbered: by Retire.js' number, the
// project's issue, or a digest of what the entry says.
func (v *vulnerability) ownID(component string) string {
	id := &v.Identifiers
	for _, c := range [...]struct {
		word string
		list document.Words
	}{{"", id.RetID}, {"OSVDB-", id.OSVDB}, {"issue-", id.Issue}, {"bug-", id.Bug}, {"PR-", id.PR}} {
		if len(c.list) > 0 {
			return "RETIREJS-" + component + "-" + c.word + c.list[0]
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{v.AtOrAbove, v.Below, string(id.Summary)}, v.Info...), "\n")))
	return "RETIREJS-" + component + "-" + hex.EncodeToString(sum[:4])
}
