package ospkg

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/seawall-security/seawall/internal/seawall"
)

// interesting says whether another collector may find a package in the file:
// the metadata files of language packages, archives, libraries, and whatever
// may be an executable. file is relative to the root. Of the 62,000 paths of a
// Debian with six language stacks it keeps a tenth.
func interesting(file []byte) bool {
	slash := bytes.LastIndexByte(file, '/')
	dir, base := file[:slash+1], file[slash+1:]
	switch string(base) {
	case "METADATA", "PKG-INFO", "DESCRIPTION", "release", "VERSION",
		"package.json", "package-lock.json", "yarn.lock", "Cargo.lock", "composer.lock",
		"installed.json", "pom.xml", "Gemfile.lock", "requirements.txt", "go.mod", "packages.config":
		return true
	}
	if dot := bytes.LastIndexByte(base, '.'); dot >= 0 {
		switch string(base[dot:]) {
		case ".jar", ".war", ".ear", ".par", ".hpi", ".gemspec", ".nupkg", ".egg-info", ".egg", ".so":
			return true
		}
		if bytes.HasSuffix(base, []byte(".deps.json")) || bytes.Contains(base, []byte(".so.")) {
			return true
		}
		return inProgramDir(dir)
	}
	if inProgramDir(dir) {
		return true
	}
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
