// Package kev imports CISA's catalogue of known exploited vulnerabilities, as
// JSON or CSV (https://www.cisa.gov/known-exploited-vulnerabilities-catalog).
//
// Data flows: one file -> an Exploitation for each CVE, and the catalogue's date as its source.
package kev

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads the catalogue.
type Importer struct{}

const csvHeader = "cveID,vendorProject,"

// Name implements advisory.Importer.
func (Importer) Name() string { return "kev" }

// Recognizes implements advisory.Importer.
func (Importer) Recognizes(_ string, head []byte) bool {
	return isCSV(head) || document.IsJSON(head) && document.Has(head, "catalogVersion", "vulnerabilities")
}

func isCSV(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), []byte(csvHeader))
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	data, err := document.ReadAll(r, document.MaxSize)
	if err != nil {
		return err
	}
	if isCSV(data) {
		return importCSV(data, emit)
	}
	var catalogue struct {
		Released        string `json:"dateReleased"`
		Vulnerabilities []struct {
			CVE        string `json:"cveID"`
			Added      string `json:"dateAdded"`
			Ransomware string `json:"knownRansomwareCampaignUse"`
		} `json:"vulnerabilities"`
	}
	if err := document.Decode(bytes.NewReader(data), document.MaxSize, &catalogue); err != nil {
		return err
	}
	for i, v := range catalogue.Vulnerabilities {
		if err := emitOne(v.CVE, v.Added, v.Ransomware, emit); err != nil {
			return fmt.Errorf("vulnerability %d: %w", i, err)
		}
	}
	return emitSource(document.Time(catalogue.Released), emit)
}

func importCSV(data []byte, emit func(advisory.Record) error) error {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	r.ReuseRecord = true
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	columns := map[string]int{}
	for i, name := range header {
		columns[name] = i
	}
	cve, hasCVE := columns["cveID"]
	added, hasAdded := columns["dateAdded"]
	ransomware, hasRansomware := columns["knownRansomwareCampaignUse"]
	if !hasCVE || !hasAdded || !hasRansomware {
		return fmt.Errorf("line 1: a column cveID, dateAdded or knownRansomwareCampaignUse is missing: %w", seawall.ErrCorrupt)
	}
	newest := ""
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return emitSource(document.Time(newest), emit)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
		}
		line, _ := r.FieldPos(0)
		if len(row) <= max(cve, added, ransomware) {
			return fmt.Errorf("line %d: %d columns: %w", line, len(row), seawall.ErrCorrupt)
		}
		newest = max(newest, strings.Clone(row[added]))
		if err := emitOne(strings.Clone(row[cve]), strings.Clone(row[added]), row[ransomware], emit); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func emitOne(cve, added, ransomware string, emit func(advisory.Record) error) error {
	if !strings.HasPrefix(cve, "CVE-") {
		return fmt.Errorf("cveID %q: %w", cve, seawall.ErrCorrupt)
	}
	return emit(advisory.Record{CVE: cve, Exploitation: &advisory.Exploitation{
		KEV: true, KEVAdded: added, Ransomware: strings.EqualFold(ransomware, "known"),
	}})
}

func emitSource(updated string, emit func(advisory.Record) error) error {
	return emit(advisory.Record{Source: &seawall.DatabaseSource{Name: "kev", Updated: updated, Licence: "CC0-1.0"}})
}
