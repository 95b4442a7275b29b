// Package snapshot builds the starter database: the generator and the test that
// compares its bytes with the committed file share it. Programs never link it.
package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/advisory/db"
)

// dates are the commit dates of the snapshots by source, as the README beside
// them states; they say more than the newest entry does (Go's entries have no dates).
func dates() map[string]string {
	return map[string]string{
		"go":           "2026-08-21T00:00:00Z",
		"rustsec":      "2026-08-21T00:00:00Z",
		"almalinux":    "2026-08-21T00:00:00Z",
		"bitnami":      "2026-08-05T00:00:00Z",
		"pypi":         "2024-10-10T00:00:00Z",
		"rubysec":      "2026-08-22T00:00:00Z",
		"friendsofphp": "2026-08-06T00:00:00Z",
		"retirejs":     "2026-08-22T00:00:00Z",
		"nodejs":       "2026-04-08T00:00:00Z",
		"wolfi":        "2025-05-07T00:00:00Z",
		"kubernetes":   "2024-11-18T00:00:00Z",
		"k8s-cves":     "2025-03-20T00:00:00Z",
		"kev":          "2025-08-25T00:00:00Z",
		"epss":         "2026-08-16T00:00:00Z",
	}
}

// built is the newest of the dates.
const built = "2026-08-22T00:00:00Z"

// Build reads the snapshots in dir and returns the database.
func Build(ctx context.Context, dir string) ([]byte, *build.Report, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	w := db.NewWriter(db.Options{Built: built})
	total := &build.Report{}
	updated := dates()
	sink := func(feed string, r advisory.Record) error {
		if r.Source != nil {
			date, ok := updated[feed]
			if !ok {
				return fmt.Errorf("source %s has no date here", feed)
			}
			r.Source.Updated = date
			if feed == "wolfi" {
				r.Source.Licence = "Apache-2.0" // of the snapshot's commit; later ones are licensed differently
			}
		}
		return w.Add(feed, r)
	}
	for _, f := range files {
		if name := f.Name(); name == "debian.tar.gz" || name == "alpine.tar.gz" || !strings.HasSuffix(name, ".gz") {
			continue
		}
		report, err := build.Run(ctx, filepath.Join(dir, f.Name()), build.Options{Importers: all.Importers(), Sink: sink, FactsOnly: true})
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		for _, d := range report.Damaged {
			return nil, nil, fmt.Errorf("%s: %w", d.Place, d.Err)
		}
		total.Sources = append(total.Sources, report.Sources...)
	}
	var out bytes.Buffer
	_, err = w.WriteTo(&out)
	return out.Bytes(), total, err
}
