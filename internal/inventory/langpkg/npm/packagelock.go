package npm

import (
	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// PackageLock collects package-lock.json and npm-shrinkwrap.json, lock file
// versions 1 to 3, and the copy npm keeps in node_modules of what it installed.
// https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json
func PackageLock() inventory.Collector {
	return &langpkg.Format{ID: "language/npm-lock", Rev: 1, Wanted: true, Parse: parsePackageLock, Match: langpkg.Named("package-lock.json", "npm-shrinkwrap.json", ".package-lock.json")}
}

func parsePackageLock(data []byte, out *langpkg.List) error {
	add := out.Declared
	if langpkg.Base(out.Path) == ".package-lock.json" {
		add = out.Installed
	}
	j := langpkg.NewJSON(data)
	var v1 []langpkg.Dependency
	hasPackages := false
	j.Object(func(key []byte) {
		switch string(key) {
		case "packages":
			hasPackages = true
			j.Object(func(key []byte) {
				if d, ok := lockedPackage(j, string(key)); ok {
					add(langpkg.NPM(), d)
				}
			})
		case "dependencies":
			if !hasPackages { // version 2 repeats everything for old npm
				v1 = lockedDependencies(j, v1)
			}
		}
	})
	if !hasPackages {
		for _, d := range v1 {
			add(langpkg.NPM(), d)
		}
	}
	return j.Err()
}

// lockedPackage reads an entry of "packages", keyed by install path.
func lockedPackage(j *langpkg.JSON, key string) (d langpkg.Dependency, ok bool) {
	d.Line = j.Line()
	var resolved string
	var link bool
	d.Name, ok = installPath(key)
	j.Object(func(key []byte) {
		switch string(key) {
		case "name": // present when the directory is named by an alias
			d.Name = j.String()
		case "version":
			d.Version = j.String()
		case "resolved":
			resolved = j.String()
		case "link":
			link = j.Bool()
		case "dev":
			d.Dev = j.Bool()
		case "license":
			d.Licenses = j.License()
		}
	})
	return d, ok && !link && published(d.Version, resolved)
}

// lockedDependencies reads the nested "dependencies" of version 1.
func lockedDependencies(j *langpkg.JSON, all []langpkg.Dependency) []langpkg.Dependency {
	j.Object(func(key []byte) {
		d := langpkg.Dependency{Name: string(key), Line: j.Line()}
		var resolved string
		at := len(all)
		all = append(all, d)
		j.Object(func(key []byte) {
			switch string(key) {
			case "version":
				d.Version = j.String()
			case "resolved":
				resolved = j.String()
			case "dev":
				d.Dev = j.Bool()
			case "dependencies":
				all = lockedDependencies(j, all)
			}
		})
		d.Name, d.Version = alias(d.Name, d.Version)
		if !published(d.Version, resolved) {
			d.Name = ""
		}
		all[at] = d
	})
	return all
}
