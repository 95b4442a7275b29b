package version_test

import (
	"testing"

	"github.com/google/osv-scalibr/semantic"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/version"
)

var samples = []struct{ name, ecosystem, installed, other string }{
	{"dpkg", "Debian:12", "3.0.11-1~deb12u2", "3.0.15-1~deb12u1"},
	{"rpm", "AlmaLinux:9", "1:3.0.7-24.el9", "1:3.0.7-27.el9_4"},
	{"apk", "Alpine:v3.18", "1.36.1-r0", "1.36.1-r5"},
	{"semver", "npm", "4.17.20", "4.17.21"},
	{"pep440", "PyPI", "3.2.1", "3.2.15"},
	{"maven", "Maven", "2.14.1", "2.17.0-rc1"},
	{"rubygems", "RubyGems", "6.0.3.1", "6.0.3.7"},
	{"packagist", "Packagist", "v5.4.20", "5.4.21"},
}

// BenchmarkCompare is one comparison of an installed version with an advisory's,
// by us and by osv-scalibr/semantic with the installed version parsed beforehand.
func BenchmarkCompare(b *testing.B) {
	for _, s := range samples {
		b.Run(s.name+"/seawall", func(b *testing.B) {
			v, err := version.Parse(s.ecosystem, s.installed)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if c, err := v.Compare(s.other); c >= 0 || err != nil {
					b.Fatal(c, err)
				}
			}
		})
		b.Run(s.name+"/semantic", func(b *testing.B) {
			v := semantic.MustParse(s.installed, s.ecosystem)
			b.ReportAllocs()
			for b.Loop() {
				if c, err := v.CompareStr(s.other); c >= 0 || err != nil {
					b.Fatal(c, err)
				}
			}
		})
	}
}

// BenchmarkAffected decides a statement with two branches.
func BenchmarkAffected(b *testing.B) {
	statement := &advisory.Affected{Ranges: []advisory.Range{{Events: []advisory.RangeEvent{
		{Introduced: "0"}, {Fixed: "3.2.15"}, {Introduced: "4.0"}, {Fixed: "4.0.7"},
	}}}}
	v, err := version.Parse("PyPI", "4.0.1")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if in, err := v.Affected(statement); !in || err != nil {
			b.Fatal(in, err)
		}
	}
}
