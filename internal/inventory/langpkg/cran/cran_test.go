package cran

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/inventory/langpkg/langpkgtest"
)

const description = `Package: jsonlite
Version: 1.8.7
Title: A Simple and Robust JSON Parser
License: MIT + file LICENSE
Description: Version: 9.9
    continued
Repository: CRAN
Built: R 4.3.1; x86_64-pc-linux-gnu; 2023-07-01; unix
`

const renv = `{
  "R": {"Version": "4.3.1", "Repositories": [{"Name": "CRAN", "URL": "https://cloud.r-project.org"}]},
  "Packages": {
    "R6": {
      "Package": "R6",
      "Version": "2.5.1",
      "Source": "Repository",
      "Repository": "CRAN"
    },
    "fork": {"Package": "fork", "Version": "0.1.0", "Source": "GitHub"},
    "BiocGenerics": {"Package": "BiocGenerics", "Version": "0.46.0", "Source": "Bioconductor"}
  }
}`

func TestInstalled(t *testing.T) {
	const path = "usr/local/lib/R/site-library/jsonlite/DESCRIPTION"
	if diff := cmp.Diff([]string{"jsonlite 1.8.7 :0"}, langpkgtest.Rows(t, Installed(), false, path, description)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"MIT + file LICENSE"}, langpkgtest.Packages(t, Installed(), path, description)[0].Licenses); diff != "" {
		t.Error(diff)
	}
	for _, more := range []string{"Priority: base\n", "RemoteType: github\n", "biocViews: Software\n"} {
		text := strings.Replace(description, "Repository: CRAN\n", more, 1)
		if got := langpkgtest.Rows(t, Installed(), false, path, text); got != nil {
			t.Errorf("%s: not from CRAN, got %v", more, got)
		}
	}
	if got := langpkgtest.Rows(t, Installed(), false, path, description+"biocViews: Software\n"); len(got) != 1 {
		t.Errorf("a CRAN package with Bioconductor views: got %v", got)
	}
	if Installed().Wants("src/jsonlite/DESCRIPTION", nil) {
		t.Error("wants a source tree")
	}
}

func TestLock(t *testing.T) {
	if diff := cmp.Diff([]string{"R6 2.5.1 :4"}, langpkgtest.Rows(t, Lock(), true, "renv.lock", renv)); diff != "" {
		t.Error(diff)
	}
}

func FuzzInstalled(f *testing.F) {
	langpkgtest.Fuzz(f, Installed(), "library/a/DESCRIPTION", description)
}

func FuzzLock(f *testing.F) { langpkgtest.Fuzz(f, Lock(), "renv.lock", renv) }
