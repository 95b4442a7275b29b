package ospkg

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/seawall-security/seawall/internal/seawall"
)

// interesting says whether another collector may find a package in the file:
// the metadata, lock files and archives of language packages, libraries, and
// whatever may be a program. file is relative to the root. Of the 56,000 files
// of a Debian with six language stacks it keeps 8,000.
func interesting(file []byte) bool {
	slash := bytes.LastIndexByte(file, '/')
	dir, base := file[:slash+1], file[slash+1:]
	if describesPackage(base) || inProgramDir(dir) {
		return true
	}
	dot := bytes.LastIndexByte(base, '.')
	if dot < 0 {
		return mayHoldPrograms(dir)
	}
	switch string(base[dot:]) {
	case ".jar", ".war", ".ear", ".par", ".hpi", ".gemspec", ".nupkg", ".egg-info", ".egg", ".so",
		".lock", ".lockfile", ".lockb", ".resolved":
		return true
	case ".js": // in a tree of packages package.json tells more
		return !bytes.Contains(dir, []byte("nodejs/")) && !bytes.Contains(dir, []byte("node_modules/"))
	}
	return bytes.Contains(base, []byte(".so."))
}

// describesPackage says whether a file of that name describes packages.
func describesPackage(base []byte) bool {
	switch string(base) {
	case "METADATA", "PKG-INFO", "DESCRIPTION", "release", "VERSION",
		"package.json", "package-lock.json", ".package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml",
		"packages.lock.json", "packages.config", "project.assets.json", "installed.json",
		"Manifest.toml", "JuliaManifest.toml", "go.mod", "pom.xml":
		return true
	}
	return bytes.HasSuffix(base, []byte(".deps.json")) ||
		bytes.HasPrefix(base, []byte("requirements")) || bytes.HasPrefix(base, []byte("pylock."))
}

// mayHoldPrograms says whether a file without extension may be a program by
// its directory.
func mayHoldPrograms(dir []byte) bool {
	if bytes.Contains(dir, []byte("share/")) || bytes.Contains(dir, []byte("include/")) {
		return false
	}
	return bytes.HasPrefix(dir, []byte("usr/")) || bytes.HasPrefix(dir, []byte("lib")) || bytes.HasPrefix(dir, []byte("opt/"))
}

// inProgramDir says whether a directory ("usr/lib/jvm/bin/") is or lies in one for programs.
func inProgramDir(dir []byte) bool {
	for len(dir) > 0 {
		element, rest, _ := bytes.Cut(dir, []byte("/"))
		switch string(element) {
		case "bin", "sbin", "libexec":
			return true
		}
		dir = rest
	}
	return false
}

// ownership gathers the owned paths of one file.
type ownership struct {
	files []seawall.FileFact
	// size is the length of all paths.
	size int
	// over counts paths over the bounds.
	over int
}

// add remembers a path as a database writes it ("/usr/bin/x", "./usr/bin/x") if
// it is interesting.
func (o *ownership) add(owner string, file []byte) {
	file = fromRoot(file)
	if n := len(o.files); n > 0 && o.files[n-1].Owner == owner && isParent(o.files[n-1].Path, file) {
		o.files = o.files[:n-1] // the last path was a directory
	}
	if len(file) > 0 && interesting(file) {
		o.keep(owner, file)
	}
}

// addProgram remembers the path of an executable.
func (o *ownership) addProgram(owner string, file []byte) {
	if file = fromRoot(file); len(file) > 0 {
		o.keep(owner, file)
	}
}

func (o *ownership) keep(owner string, file []byte) {
	if len(o.files) >= maxOwned || o.size+len(file) > maxOwnedBytes {
		o.over++
		return
	}
	o.size += len(file)
	o.files = append(o.files, seawall.FileFact{Path: string(file), Owner: owner})
}

// fromRoot takes off what leads to the root.
func fromRoot(file []byte) []byte {
	for len(file) > 0 && (file[0] == '/' || file[0] == '.' && len(file) > 1 && file[1] == '/') {
		file = file[1:]
	}
	return file
}

// isParent says whether dir is a leading directory of file.
func isParent(dir string, file []byte) bool {
	return len(file) > len(dir) && file[len(dir)] == '/' && string(file[:len(dir)]) == dir
}

// appendTo adds the paths to facts, and what was over a bound to the damage.
func (o *ownership) appendTo(facts []seawall.Fact, d *damage) []seawall.Fact {
	if o.over > 0 {
		d.add(fmt.Errorf("the owners of %d more files are not known: %w", o.over, seawall.ErrBound))
	}
	facts = slices.Grow(facts, len(o.files))
	for i := range o.files {
		facts = append(facts, seawall.Fact{File: &o.files[i]})
	}
	return facts
}
