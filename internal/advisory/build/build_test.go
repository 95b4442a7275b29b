package build_test

import (
	"context"
	"testing"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/testenv"
)

func run(t *testing.T, path string, o build.Options) ([]advisory.Record, *build.Report) {
	t.Helper()
	var records []advisory.Record
	o.Importers = all.Importers()
	o.Sink = func(_ string, r advisory.Record) error {
		records = append(records, r)
		return nil
	}
	report, err := build.Run(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return records, report
}

func TestSharedSnapshots(t *testing.T) {
	records, report := run(t, testenv.Shared(t, "advisories"), build.Options{})
	for _, d := range report.Damaged {
		t.Errorf("%s: %v", d.Place, d.Err)
	}
	t.Log(len(records), report.Documents, report.Formats, report.Skipped, report.Scores)
	t.Log(report.Unrecognized)
	for _, s := range report.Sources {
		t.Log(s)
	}
}
