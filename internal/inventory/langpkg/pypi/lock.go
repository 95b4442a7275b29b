package pypi

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Poetry collects poetry.lock. Development is told by "category" (before
// poetry 1.5) or "groups" (2.0 and later); the versions between do not say.
func Poetry() inventory.Collector {
	return lock("language/poetry-lock", "poetry.lock", func(data []byte, out *langpkg.List) error {
		var doc struct {
			Package []struct {
				Name, Version, Category string
				Groups                  []string
				Source                  struct{ Type string }
			}
		}
		err := langpkg.TOML(data, &doc)
		lines := langpkg.TOMLTables(data, "package")
		for i, p := range doc.Package {
			switch p.Source.Type {
			case "git", "url", "directory", "file":
				continue
			}
			out.Declared(langpkg.PyPI(), langpkg.Dependency{
				Name: p.Name, Version: p.Version, Line: lines.Of(i),
				Dev: p.Category == "dev" || development(p.Groups),
			})
		}
		return err
	})
}

// PDM collects pdm.lock.
func PDM() inventory.Collector {
	return lock("language/pdm-lock", "pdm.lock", func(data []byte, out *langpkg.List) error {
		var doc struct {
			Package []struct {
				Name, Version, Path, URL, Git string
				Groups                        []string
			}
		}
		err := langpkg.TOML(data, &doc)
		lines := langpkg.TOMLTables(data, "package")
		for i, p := range doc.Package {
			if p.Path != "" || p.URL != "" || p.Git != "" {
				continue
			}
			out.Declared(langpkg.PyPI(), langpkg.Dependency{
				Name: p.Name, Version: p.Version, Line: lines.Of(i), Dev: development(p.Groups),
			})
		}
		return err
	})
}

// uvPackage is a package of uv.lock. Its source is a table with one member.
type uvPackage struct {
	Name, Version        string
	Source               struct{ Git, URL, Path, Directory, Editable, Virtual string }
	Dependencies         []uvNeed
	OptionalDependencies map[string][]uvNeed `toml:"optional-dependencies"`
}

type uvNeed struct{ Name string }

// UV collects uv.lock. Only the projects themselves (virtual, editable,
// directory) have development groups, so what no project's dependencies or
// extras reach is for development only.
func UV() inventory.Collector {
	return lock("language/uv-lock", "uv.lock", func(data []byte, out *langpkg.List) error {
		var doc struct{ Package []uvPackage }
		err := langpkg.TOML(data, &doc)
		lines := langpkg.TOMLTables(data, "package")
		production := uvProduction(doc.Package)
		for i, p := range doc.Package {
			if p.Source != (uvPackage{}).Source {
				continue
			}
			out.Declared(langpkg.PyPI(), langpkg.Dependency{
				Name: p.Name, Version: p.Version, Line: lines.Of(i),
				Dev: len(production) > 0 && !production[p.Name],
			})
		}
		return err
	})
}

func uvProduction(packages []uvPackage) map[string]bool {
	byName := map[string][]*uvPackage{}
	production := map[string]bool{}
	var queue []string
	for i := range packages {
		p := &packages[i]
		byName[p.Name] = append(byName[p.Name], p)
		if p.Source.Virtual != "" || p.Source.Editable != "" || p.Source.Directory != "" {
			queue = append(queue, p.Name)
		}
	}
	for len(queue) > 0 {
		name := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if production[name] {
			continue
		}
		production[name] = true
		for _, p := range byName[name] {
			for _, need := range p.Dependencies {
				queue = append(queue, need.Name)
			}
			for _, extra := range p.OptionalDependencies {
				for _, need := range extra {
					queue = append(queue, need.Name)
				}
			}
		}
	}
	return production
}

// Pylock collects pylock.toml and pylock.NAME.toml.
// https://packaging.python.org/en/latest/specifications/pylock-toml/
func Pylock() inventory.Collector {
	type present struct{} // decoded only to see that it is there
	return &langpkg.Format{
		ID: "language/pylock", Rev: 1, Wanted: true,
		Match: func(p string) bool {
			return strings.HasSuffix(p, ".toml") && strings.HasPrefix(langpkg.Base(p), "pylock.")
		},
		Parse: func(data []byte, out *langpkg.List) error {
			var doc struct {
				Packages []struct {
					Name, Version           string
					VCS, Directory, Archive *present
				}
			}
			err := langpkg.TOML(data, &doc)
			lines := langpkg.TOMLTables(data, "packages")
			for i, p := range doc.Packages {
				if p.Version == "" || p.VCS != nil || p.Directory != nil || p.Archive != nil {
					continue
				}
				out.Declared(langpkg.PyPI(), langpkg.Dependency{Name: p.Name, Version: p.Version, Line: lines.Of(i)})
			}
			return err
		},
	}
}

// Pipenv collects Pipfile.lock: "default" is production, "develop" and any
// other category is development.
func Pipenv() inventory.Collector {
	return lock("language/pipenv-lock", "Pipfile.lock", func(data []byte, out *langpkg.List) error {
		j := langpkg.NewJSON(data)
		j.Object(func(key []byte) {
			if string(key) == "_meta" {
				return
			}
			dev := string(key) != "default"
			j.Object(func(key []byte) {
				d := langpkg.Dependency{Name: string(key), Line: j.Line(), Dev: dev}
				j.Object(func(key []byte) {
					if string(key) == "version" {
						d.Version, _ = strings.CutPrefix(j.String(), "==")
					}
				})
				if digit(d.Version) {
					out.Declared(langpkg.PyPI(), d)
				}
			})
		})
		return j.Err()
	})
}

// lock makes the collector of a lock file with one fixed name.
func lock(id, base string, parse func([]byte, *langpkg.List) error) inventory.Collector {
	return &langpkg.Format{ID: id, Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named(base)}
}
