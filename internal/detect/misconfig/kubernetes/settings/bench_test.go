package settings_test

import (
	"fmt"
	"testing"

	"github.com/seawall-security/seawall/internal/detect/misconfig/kubernetes/settings"
	"github.com/seawall-security/seawall/internal/seawall"
)

// BenchmarkComplete is a node with as many file facts as a large host has.
func BenchmarkComplete(b *testing.B) {
	f := hardened()
	for i := range 5000 {
		f.Files = append(f.Files, seawall.FileFact{Path: fmt.Sprintf("etc/other/%d/file.conf", i), Kind: "file", Mode: 0o644})
	}
	b.ReportAllocs()
	for b.Loop() {
		settings.Complete(f)
	}
}
