// Package rubysec imports the Ruby Advisory Database
// (https://github.com/rubysec/ruby-advisory-db), one YAML file per advisory on
// a gem or on a Ruby implementation.
//
// Data flows: affected versions are all versions but the patched and the
// unaffected ones, both lists of gem requirements -> a version set -> ranges.
package rubysec

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads one advisory.
type Importer struct{}

type entry struct {
	Gem        string         `yaml:"gem"`
	Engine     string         `yaml:"engine"`
	CVE        document.Word  `yaml:"cve"`
	GHSA       document.Word  `yaml:"ghsa"`
	OSVDB      document.Word  `yaml:"osvdb"`
	URL        document.Word  `yaml:"url"`
	Title      document.Word  `yaml:"title"`
	Date       document.Word  `yaml:"date"`
	CVSS2      document.Word  `yaml:"cvss_v2"`
	CVSS3      document.Word  `yaml:"cvss_v3"`
	CVSS4      document.Word  `yaml:"cvss_v4"`
	Patched    document.Words `yaml:"patched_versions"`
	Unaffected document.Words `yaml:"unaffected_versions"`
	Related    struct {
		CVE  document.Words `yaml:"cve"`
		GHSA document.Words `yaml:"ghsa"`
		URL  document.Words `yaml:"url"`
	} `yaml:"related"`
}

// Name implements advisory.Importer.
func (Importer) Name() string { return "rubysec" }

// Recognizes implements advisory.Importer.
func (Importer) Recognizes(_ string, head []byte) bool {
	return !document.IsJSON(head) && document.Has(head, "title", "date", "url") &&
		(document.Has(head, "gem") || document.Has(head, "engine"))
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	var e entry
	if err := document.Decode(r, document.MaxSize, &e); err != nil {
		return err
	}
	ids := e.ids()
	if len(ids) == 0 || (e.Gem == "") == (e.Engine == "") {
		return fmt.Errorf("want one of gem and engine, and one of cve, ghsa and osvdb: %w", seawall.ErrCorrupt)
	}
	affected := advisory.Affected{Ecosystem: "RubyGems", Name: e.Gem}
	if e.Engine != "" {
		affected.Ecosystem, affected.Name = "generic", e.Engine
	}
	var err error
	if affected.Ranges, err = e.ranges(); err != nil {
		return err
	}
	a := &advisory.Advisory{
		ID: ids[0], Aliases: ids[1:], Source: "rubysec",
		Summary:   string(e.Title),
		Published: document.Time(string(e.Date)),
		CVSS:      e.cvss(),
	}
	for _, url := range append([]string{string(e.URL)}, e.Related.URL...) {
		if url != "" && (len(a.References) == 0 || url != a.References[0]) {
			a.References = append(a.References, url)
		}
	}
	for _, cve := range e.Related.CVE {
		a.Related = append(a.Related, "CVE-"+strings.TrimPrefix(cve, "CVE-"))
	}
	for _, ghsa := range e.Related.GHSA {
		a.Related = append(a.Related, "GHSA-"+strings.TrimPrefix(ghsa, "GHSA-"))
	}
	if len(affected.Ranges) == 0 {
		affected.Unaffected = true
	} else {
		affected.State = advisory.StateOf(affected.Ranges)
	}
	a.Affected = []advisory.Affected{affected}
	return emit(advisory.Record{Advisory: a})
}

// ids lists the identifiers, the one the advisory goes by first.
func (e *entry) ids() []string {
	var ids []string
	for _, id := range [...]struct {
		prefix string
		word   document.Word
	}{{"CVE-", e.CVE}, {"GHSA-", e.GHSA}, {"OSVDB-", e.OSVDB}} {
		if id.word != "" {
			ids = append(ids, id.prefix+strings.TrimPrefix(string(id.word), id.prefix))
		}
	}
	return ids
}

// ranges is everything but what is patched or was never affected.
func (e *entry) ranges() ([]advisory.Range, error) {
	good := version.None(version.RubyGems)
	for _, list := range [...]document.Words{e.Patched, e.Unaffected} {
		for _, requirement := range list {
			set, err := version.ParseRubyGems(requirement)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
			}
			good = good.Union(set)
		}
	}
	return good.Not().Ranges(), nil
}

// cvss: the database gives scores, not vectors.
func (e *entry) cvss() []seawall.CVSS {
	var out []seawall.CVSS
	for _, s := range [...]struct {
		version string
		word    document.Word
	}{{"4.0", e.CVSS4}, {"3.1", e.CVSS3}, {"2.0", e.CVSS2}} {
		if score, err := strconv.ParseFloat(string(s.word), 64); err == nil && score >= 0 && score <= 10 {
			out = append(out, seawall.CVSS{Source: "rubysec", Version: s.version, Score: score})
		}
	}
	return out
}
