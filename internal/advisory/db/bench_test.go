package db_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/testenv"
)

// written builds a database of one shared snapshot and returns it with what went in.
func written(t testing.TB, names ...string) (data []byte, records []advisory.Record) {
	t.Helper()
	w := db.NewWriter(db.Options{})
	for _, name := range names {
		_, err := build.Run(t.Context(), testenv.Shared(t, "advisories/"+name), build.Options{
			Importers: all.Importers(),
			Sink: func(feed string, r advisory.Record) error {
				records = append(records, r)
				return w.Add(feed, r)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), records
}

// TestRealAdvisories: every statement that goes in is found under its package, unchanged.
func TestRealAdvisories(t *testing.T) {
	data, records := written(t, "almalinux.tar.gz", "go.tar.gz", "wolfi.tar.gz")
	r, err := db.New(data, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[[2]string]map[string][]*advisory.Affected{}
	statements := 0
	for _, record := range records {
		a := record.Advisory
		if a == nil || a.Withdrawn != "" {
			continue
		}
		for i := range a.Affected {
			want := &a.Affected[i]
			key := [2]string{want.Ecosystem, want.Name}
			if found[key] == nil {
				found[key] = byAdvisory(t, r, want.Ecosystem, want.Name)
			}
			equal := false
			for _, got := range found[key][a.ID] {
				equal = equal || cmp.Equal(want, got)
			}
			if !equal {
				t.Fatalf("%s: %+v is not among %d statements", a.ID, want, len(found[key][a.ID]))
			}
			statements++
		}
	}
	if statements < 50_000 {
		t.Errorf("only %d statements", statements)
	}
	t.Logf("%d statements on %d packages, %d bytes", statements, len(found), len(data))
}

func byAdvisory(t *testing.T, r *db.Reader, ecosystem, name string) map[string][]*advisory.Affected {
	matches, err := r.Find(ecosystem, name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]*advisory.Affected{}
	for _, m := range matches {
		a, err := r.Advisory(m.Advisory)
		if err != nil {
			t.Fatal(err)
		}
		out[a.ID] = append(out[a.ID], m.Affected)
	}
	return out
}

// BenchmarkOpen maps a file of real advisories and closes it.
func BenchmarkOpen(b *testing.B) {
	data, _ := written(b, "almalinux.tar.gz", "go.tar.gz", "wolfi.tar.gz")
	path := filepath.Join(b.TempDir(), "seawall.db")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := db.Open(path, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFind asks for a package with many statements, its block in the cache.
func BenchmarkFind(b *testing.B) {
	data, _ := written(b, "almalinux.tar.gz")
	r, err := db.New(data, "test", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if found, err := r.Find("AlmaLinux:9", "curl"); err != nil || len(found) == 0 {
			b.Fatal(found, err)
		}
	}
}
