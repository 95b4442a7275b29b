package starter_test

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/seawall-security/seawall/internal/advisory/starter"
	"github.com/seawall-security/seawall/internal/advisory/starter/snapshot"
	"github.com/seawall-security/seawall/internal/testenv"
)

// maxSize is the promise of DESIGN section 7.
const maxSize = 10 << 20

func TestRebuildIsByteIdentical(t *testing.T) {
	committed, err := os.ReadFile("starter.db")
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) > maxSize {
		t.Errorf("starter.db has %d bytes, the bound is %d", len(committed), maxSize)
	}
	rebuilt, _, err := snapshot.Build(context.Background(), testenv.Shared(t, "advisories"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, rebuilt) {
		t.Errorf("starter.db (%d bytes) is not what the snapshots give (%d bytes): run make starter-db", len(committed), len(rebuilt))
	}
}

func TestOpen(t *testing.T) {
	r, err := starter.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	info := r.Info()
	if info.Origin != starter.Origin || info.Built != "2026-08-22T00:00:00Z" || info.Signed {
		t.Errorf("info = %+v", info)
	}
	for _, s := range info.Sources {
		if s.Updated == "" || s.Licence == "" || s.Advisories == 0 {
			t.Errorf("source %+v lacks a date, a licence or entries", s)
		}
	}
	for _, ecosystem := range []string{
		"Go", "PyPI", "crates.io", "RubyGems", "Packagist", "npm", "Bitnami", "Wolfi", "Kubernetes", "Node.js", "AlmaLinux:9",
	} {
		if !r.Covers(ecosystem) {
			t.Errorf("%s is not covered", ecosystem)
		}
	}
	for _, ecosystem := range []string{"Debian:12", "Alpine:v3.11", "Maven"} {
		if r.Covers(ecosystem) {
			t.Errorf("%s is covered, though the starter must not claim it", ecosystem)
		}
	}
	matches, err := r.Find("npm", "jquery")
	if err != nil || len(matches) == 0 {
		t.Fatalf("jquery: %d statements, %v", len(matches), err)
	}
	a, err := r.Advisory(matches[0].Advisory)
	if err != nil {
		t.Fatal(err)
	}
	if a.Summary != "" {
		t.Errorf("the starter holds a text: %q", a.Summary)
	}
	if e := r.Exploitation("CVE-2023-44487"); !e.KEV || e.EPSS == nil || e.EPSS.Score < 0.5 {
		t.Errorf("CVE-2023-44487 (HTTP/2 rapid reset): %+v", e)
	}
}
