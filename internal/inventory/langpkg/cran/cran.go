// Package cran collects R packages: installed ones and those of renv.lock. Left
// out are the packages that are part of R, and those from a repository of
// source code or from Bioconductor.
package cran

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Installed(), Lock()} }

// Installed collects the DESCRIPTION file of a package in a library directory:
// usr/lib/R/site-library/NAME/DESCRIPTION.
// https://cran.r-project.org/doc/manuals/r-release/R-exts.html#The-DESCRIPTION-file
func Installed() inventory.Collector {
	return &langpkg.Format{ID: "language/r-installed", Rev: 1, Parse: parseDescription, Match: func(p string) bool {
		dir, ok := strings.CutSuffix(p, "/DESCRIPTION")
		if !ok {
			return false
		}
		library := dir[:max(0, strings.LastIndexByte(dir, '/'))]
		return strings.HasSuffix(library, "library")
	}}
}

func parseDescription(data []byte, out *langpkg.List) error {
	var d langpkg.Dependency
	var built, cran, bioconductor, other bool
	langpkg.Paragraph(data, func(name, value []byte) {
		switch string(name) {
		case "Package":
			d.Name = string(value)
		case "Version":
			d.Version = string(value)
		case "License":
			d.Licenses = []string{string(value)}
		case "Built": // written by R CMD INSTALL
			built = true
		case "Priority":
			other = other || string(value) == "base"
		case "RemoteType":
			other = other || string(value) != "standard"
		case "Repository":
			cran = string(value) == "CRAN"
		case "biocViews":
			bioconductor = true
		}
	})
	if built && !other && (cran || !bioconductor) && d.Version != "" {
		out.Installed(langpkg.CRAN(), d)
	}
	return nil
}

// Lock collects renv.lock.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/renv-lock", Rev: 1, Wanted: true, Parse: parseLock, Match: langpkg.Named("renv.lock")}
}

func parseLock(data []byte, out *langpkg.List) error {
	j := langpkg.NewJSON(data)
	entry := func(key []byte) {
		d := langpkg.Dependency{Name: string(key), Line: j.Line()}
		var source, repository string
		j.Object(func(key []byte) {
			switch string(key) {
			case "Version":
				d.Version = j.String()
			case "Source":
				source = j.String()
			case "Repository":
				repository = j.String()
			}
		})
		if (source == "Repository" || source == "" && repository != "") && d.Version != "" {
			out.Declared(langpkg.CRAN(), d)
		}
	}
	j.Object(func(key []byte) {
		if string(key) == "Packages" {
			j.Object(entry)
		}
	})
	return j.Err()
}
