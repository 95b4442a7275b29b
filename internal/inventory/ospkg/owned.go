package ospkg

import (
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// interesting says whether another collector may find a package in the file:
// the metadata files of language packages, archives, libraries, and whatever
// may be an executable. file is relative to the root. Remembering only these
// keeps a third of a percent of a file system's paths in memory.
func interesting(file string) bool {
	dir, base := path.Split(file)
	switch base {
	case "METADATA", "PKG-INFO", "DESCRIPTION", "release", "VERSION",
		"package.json", "package-lock.json", "yarn.lock", "Cargo.lock", "composer.lock",
		"installed.json", "pom.xml", "Gemfile.lock", "requirements.txt", "go.mod", "packages.config":
		return true
	}
	switch path.Ext(base) {
	case ".jar", ".war", ".ear", ".par", ".hpi", ".gemspec", ".nupkg", ".egg-info", ".egg", ".so":
		return true
	}
	if strings.HasSuffix(base, ".deps.json") || strings.Contains(base, ".so.") {
		return true
	}
	if hasElement(dir, "bin") || hasElement(dir, "sbin") || hasElement(dir, "libexec") {
		return true
	}
	return !strings.Contains(base, ".") && !strings.Contains(dir, "share/") && !strings.Contains(dir, "include/") &&
		(strings.HasPrefix(dir, "usr/") || strings.HasPrefix(dir, "lib") || strings.HasPrefix(dir, "opt/"))
}

// hasElement says whether a directory ("usr/lib/jvm/bin/") has an element of that name.
func hasElement(dir, name string) bool {
	for rest := dir; ; {
		i := strings.Index(rest, name)
		if i < 0 {
			return false
		}
		end := i + len(name)
		if (i == 0 || rest[i-1] == '/') && end < len(rest) && rest[end] == '/' {
			return true
		}
		rest = rest[end:]
	}
}

// ownership gathers the owned paths of one file.
type ownership struct {
	files []seawall.FileFact
	// dropped counts paths over maxOwned.
	dropped int
}

// add remembers a path as a database writes it ("/usr/bin/x", "./usr/bin/x") if it is interesting.
func (o *ownership) add(owner string, file []byte) {
	for len(file) > 0 && (file[0] == '/' || file[0] == '.' && len(file) > 1 && file[1] == '/') {
		file = file[1:]
	}
	if n := len(o.files); n > 0 && o.files[n-1].Owner == owner && isParent(o.files[n-1].Path, file) {
		o.files = o.files[:n-1] // the last path was a directory
	}
	if len(file) == 0 || !interesting(string(file)) {
		return
	}
	if len(o.files) >= maxOwned {
		o.dropped++
		return
	}
	o.files = append(o.files, seawall.FileFact{Path: string(file), Owner: owner})
}

// isParent says whether dir is a leading directory of file.
func isParent(dir string, file []byte) bool {
	return len(file) > len(dir) && file[len(dir)] == '/' && string(file[:len(dir)]) == dir
}

// appendTo adds the paths to facts.
func (o *ownership) appendTo(facts []seawall.Fact) []seawall.Fact {
	for i := range o.files {
		facts = append(facts, seawall.Fact{File: &o.files[i]})
	}
	return facts
}
