package build_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/advisory/db"
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

// TestSnapshotsToDatabase builds the whole of ../shared/advisories twice: no
// damage, the same bytes, and what the report counts is in the file.
func TestSnapshotsToDatabase(t *testing.T) {
	dir := testenv.Shared(t, "advisories")
	var files [2]bytes.Buffer
	var report *build.Report
	for i := range files {
		w := db.NewWriter(db.Options{Built: "2026-01-01T00:00:00Z"})
		var err error
		if report, err = build.Run(context.Background(), dir, build.Options{Importers: all.Importers(), Sink: w.Add}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteTo(&files[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range report.Damaged {
		t.Errorf("%s: %v", d.Place, d.Err)
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		t.Error("the same input gave different bytes")
	}
	r, err := db.New(files[0].Bytes(), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	inFile := map[string]int{}
	for _, s := range r.Info().Sources {
		inFile[s.Name] = s.Advisories
	}
	for _, s := range report.Sources {
		if s.Advisories > 0 && inFile[s.Name] != s.Advisories {
			t.Errorf("%s: %d reported, %d in the file", s.Name, s.Advisories, inFile[s.Name])
		}
	}
	t.Logf("%d documents, %d advisories, %d bytes", report.Documents, report.Advisories(), files[0].Len())
}

func BenchmarkSnapshots(b *testing.B) {
	dir := testenv.Shared(b, "advisories")
	b.ReportAllocs()
	for b.Loop() {
		w := db.NewWriter(db.Options{Built: "2026-01-01T00:00:00Z"})
		if _, err := build.Run(context.Background(), dir, build.Options{Importers: all.Importers(), Sink: w.Add}); err != nil {
			b.Fatal(err)
		}
	}
}
