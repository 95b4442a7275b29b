// Package nodecore imports the advisories on Node.js itself
// (https://github.com/nodejs/security-wg, vuln/core): one JSON file each, or
// the index that holds them all by number.
//
// Data flows: the npm ranges "vulnerable" minus "patched" -> ranges of the
// package node in the ecosystem Node.js.
package nodecore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads an advisory or the index.
type Importer struct{}

type entry struct {
	CVE         document.Words `json:"cve"`
	Vulnerable  string         `json:"vulnerable"`
	Patched     string         `json:"patched"`
	Ref         document.Word  `json:"ref"`
	Description document.Word  `json:"description"`
	Overview    document.Word  `json:"overview"`
	Severity    document.Word  `json:"severity"`
	Published   document.Word  `json:"publish_date"`
}

// Name implements advisory.Importer.
func (Importer) Name() string { return "nodejs-core" }

// Recognizes implements advisory.Importer. In the index the first key is a
// number and the first entry has the keys of a single file.
func (Importer) Recognizes(_ string, head []byte) bool {
	if !document.IsJSON(head) {
		return false
	}
	return document.Has(head, "vulnerable", "patched", "cve") || isIndex(head)
}

func isIndex(head []byte) bool {
	inner, ok := document.Inside(head)
	if !ok || !document.IsJSON(inner) || !document.Has(inner, "vulnerable", "patched", "cve") {
		return false
	}
	for key := range document.Keys(head) {
		_, err := strconv.Atoi(key)
		return err == nil
	}
	return false
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, name string, r io.Reader, emit func(advisory.Record) error) error {
	data, err := document.ReadAll(r, document.MaxSize)
	if err != nil {
		return err
	}
	entries := map[string]entry{}
	if isIndex(data) {
		err = document.Decode(bytes.NewReader(data), document.MaxSize, &entries)
	} else {
		var e entry
		err = document.Decode(bytes.NewReader(data), document.MaxSize, &e)
		entries[strings.TrimSuffix(path.Base(name), path.Ext(name))] = e
	}
	if err != nil {
		return err
	}
	for _, number := range slices.Sorted(maps.Keys(entries)) {
		e := entries[number]
		a, err := e.advisory(number)
		if err != nil {
			return fmt.Errorf("entry %s: %w", number, err)
		}
		if err := emit(advisory.Record{Advisory: a}); err != nil {
			return err
		}
	}
	return nil
}

// advisory converts an entry. The working group's own identifier is NSWG-COR
// with the number; an entry about exactly one CVE goes by that.
func (e *entry) advisory(number string) (*advisory.Advisory, error) {
	affected, err := version.ParseNPM(e.Vulnerable)
	if err != nil {
		return nil, fmt.Errorf("vulnerable: %w: %w", seawall.ErrCorrupt, err)
	}
	if strings.TrimSpace(e.Patched) != "" {
		patched, err := version.ParseNPM(e.Patched)
		if err != nil {
			return nil, fmt.Errorf("patched: %w: %w", seawall.ErrCorrupt, err)
		}
		affected = affected.Minus(patched)
	}
	a := &advisory.Advisory{
		ID: "NSWG-COR-" + number, Source: "nodejs",
		Summary:   string(e.Description),
		Published: document.Time(string(e.Published)),
	}
	if a.Summary == "" {
		a.Summary, _, _ = strings.Cut(string(e.Overview), "\n")
	}
	switch len(e.CVE) {
	case 0:
	case 1:
		a.ID, a.Aliases = e.CVE[0], []string{a.ID}
	default:
		a.Upstream = e.CVE
	}
	// "unknown" and words outside the scale are no severity.
	a.Severity, _ = seawall.ParseSeverity(string(e.Severity))
	if e.Ref != "" {
		a.References = []string{string(e.Ref)}
	}
	ranges := affected.Ranges()
	if len(ranges) == 0 {
		return nil, fmt.Errorf("vulnerable minus patched is no version: %w", seawall.ErrCorrupt)
	}
	a.Affected = []advisory.Affected{{
		Ecosystem: "Node.js", Name: "node", Ranges: ranges, State: advisory.StateOf(ranges),
	}}
	return a, nil
}
