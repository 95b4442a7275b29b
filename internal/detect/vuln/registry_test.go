package vuln_test

import (
	"slices"
	"testing"

	"github.com/seawall-security/seawall/internal/advisory/starter"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/vuln"
	"github.com/seawall-security/seawall/internal/seawall"
)

// TestRegistrySoftware: registries that tell their version are judged by the embedded database.
func TestRegistrySoftware(t *testing.T) {
	db, err := starter.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, tt := range map[string]struct{ version, cve string }{
		"harbor": {"2.5.0", "CVE-2022-31671"},
		"gitea":  {"1.13.0", "CVE-2021-3382"},
		"zot":    {"1.4.3", "CVE-2025-23208"},
	} {
		res, err := vuln.New(db).Detect(t.Context(), detect.Facts{Packages: []seawall.Package{{Name: name, Version: tt.version, Ecosystem: "generic"}}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(res.Findings, func(f seawall.Finding) bool {
			return f.Rule == tt.cve || slices.Contains(f.Vulnerability.Aliases, tt.cve)
		}) {
			t.Errorf("%s %s: no %s among %d findings", name, tt.version, tt.cve, len(res.Findings))
		}
	}
}
