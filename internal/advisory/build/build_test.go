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

func database(t *testing.T, path string) ([]byte, *build.Report) {
	t.Helper()
	w := db.NewWriter(db.Options{Built: "2026-01-01T00:00:00Z"})
	report, err := build.Run(context.Background(), path, build.Options{Importers: all.Importers(), Sink: w.Add})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := w.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), report
}

// TestSnapshotsToDatabase builds the whole of ../shared/advisories: no damage,
// and what the report counts is in the file.
func TestSnapshotsToDatabase(t *testing.T) {
	file, report := database(t, testenv.Shared(t, "advisories"))
	for _, d := range report.Damaged {
		t.Errorf("%s: %v", d.Place, d.Err)
	}
	r, err := db.New(file, "test", nil)
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
	t.Logf("%d documents, %d advisories, %d bytes", report.Documents, report.Advisories(), len(file))
}

// TestSameBytes: what maps the importers go through leaves no trace. The other
// snapshots are compared with the committed starter database.
func TestSameBytes(t *testing.T) {
	for _, name := range []string{"advisories/alpine.tar.gz", "advisories/debian.tar.gz"} {
		path := testenv.Shared(t, name)
		first, _ := database(t, path)
		if second, _ := database(t, path); !bytes.Equal(first, second) {
			t.Errorf("%s gave different bytes", name)
		}
	}
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
