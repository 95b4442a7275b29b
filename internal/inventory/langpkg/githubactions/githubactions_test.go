package githubactions

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const sample = `name: ci
on: [push]
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-go@v5.0.1
      - name: pinned by commit
        uses: tj-actions/changed-files@0123456789012345678901234567890123456789 # v44.0.0
      - uses: o/mono/sub/action@1.2.3
      - uses: o/unknown@0123456789012345678901234567890123456789
      - uses: ./local@v1.0.0
      - uses: docker://alpine@v3.1.0
      - run: echo uses not/this@v1.0.0
  reuse:
    uses: o/flows/.github/workflows/x.yml@v2.0.0-rc.1
`

func TestWorkflow(t *testing.T) {
	want := []string{
		"actions/setup-go 5.0.1 :8",
		"tj-actions/changed-files 44.0.0 :10",
		"o/mono 1.2.3 :11",
		"o/flows 2.0.0-rc.1 :17",
	}
	if diff := cmp.Diff(want, langpkgtest.Rows(t, Workflow(), true, ".github/workflows/ci.yml", sample)); diff != "" {
		t.Error(diff)
	}
}

func FuzzWorkflow(f *testing.F) { langpkgtest.Fuzz(f, Workflow(), ".github/workflows/ci.yml", sample) }
