package vuln

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
)

// BenchmarkMatch judges 1,000 packages, half RPM packages of AlmaLinux 9, half
// Go and PyPI, every time with a database just opened: nothing is in its cache.
func BenchmarkMatch(b *testing.B) {
	w := db.NewWriter(db.Options{})
	for _, name := range []string{"almalinux", "go", "pypi"} {
		_, err := build.Run(b.Context(), testenv.Shared(b, "advisories/"+name+".tar.gz"), build.Options{Importers: all.Importers(), Sink: w.Add})
		if err != nil {
			b.Fatal(err)
		}
	}
	var file bytes.Buffer
	if _, err := w.WriteTo(&file); err != nil {
		b.Fatal(err)
	}
	packages := sample(b, file.Bytes())
	findings := 0
	b.ReportAllocs()
	for b.Loop() {
		r, err := db.New(file.Bytes(), "bench", nil)
		if err != nil {
			b.Fatal(err)
		}
		result, err := New(r).Detect(b.Context(), detect.Facts{Packages: packages})
		if err != nil {
			b.Fatal(err)
		}
		findings = len(result.Findings)
	}
	b.ReportMetric(float64(findings), "findings")
}

// sample picks 1,000 packages that have advisories, spread over the names. Every
// fiftieth is in a version all its advisories are about, the others in one they are not.
func sample(b *testing.B, data []byte) []seawall.Package {
	r, err := db.New(data, "bench", nil)
	if err != nil {
		b.Fatal(err)
	}
	names := map[string]map[string]bool{}
	for a, err := range r.Select(nil) {
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range a.Affected {
			if names[f.Ecosystem] == nil {
				names[f.Ecosystem] = map[string]bool{}
			}
			names[f.Ecosystem][f.Name] = true
		}
	}
	var list []seawall.Package
	for ecosystem, count := range map[string]int{"AlmaLinux:9": 500, "Go": 250, "PyPI": 250} {
		n := 0
		for _, name := range slices.Sorted(maps.Keys(names[ecosystem])) {
			if n == count {
				break
			}
			version := "999:999.0.0"
			if ecosystem != "AlmaLinux:9" {
				version = "999.0.0"
			}
			if n%50 == 0 {
				version = "0.0.1"
			}
			list = append(list, seawall.Package{Ecosystem: ecosystem, Name: name, Version: version})
			n++
		}
	}
	return list
}
