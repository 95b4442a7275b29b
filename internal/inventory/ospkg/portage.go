package ospkg

import (
	"bytes"
	"context"
	"io/fs"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const portageDir = "var/db/pkg/"

// Portage reads the database of Gentoo: a directory for each package, named
// category/name-version, with a file for each property
// (https://projects.gentoo.org/pms/8/pms.html, chapter 3 for the names).
type Portage struct{}

var _ inventory.Collector = Portage{}

// Name implements inventory.Collector.
func (Portage) Name() string { return "os/portage" }

// Version implements inventory.Collector.
func (Portage) Version() int { return 1 }

// Wants implements inventory.Collector. Every package has a file PF, which
// repeats its name and version, and CONTENTS, the list of its files.
func (Portage) Wants(file string, _ fs.FileInfo) bool {
	return strings.HasPrefix(file, portageDir) && strings.Count(file, "/") == 5 &&
		(strings.HasSuffix(file, "/PF") || strings.HasSuffix(file, "/CONTENTS"))
}

// Collect implements inventory.Collector.
func (Portage) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	var d damage
	parts := strings.Split(f.Path[len(portageDir):], "/")
	name, version := splitPF(parts[1])
	if version == "" {
		d.corrupt("the directory %s is not named after a package", parts[1])
		return nil, d.err()
	}
	name = parts[0] + "/" + name
	if parts[2] == "PF" {
		return []seawall.Fact{{Package: &seawall.Package{Name: name, Version: version, Kind: Kind, PURL: "pkg:portage/"}}}, nil
	}
	var owned ownership
	if err := eachLine(f.Content, func(_ int, line []byte) {
		// "obj /usr/bin/gawk <md5> <mtime>": paths may hold spaces, the numbers behind do not.
		rest, isFile := bytes.CutPrefix(line, []byte("obj "))
		for range 2 {
			rest = rest[:max(bytes.LastIndexByte(rest, ' '), 0)]
		}
		if isFile && len(rest) > 0 {
			owned.add(name, rest)
		}
	}); err != nil {
		d.add(err)
	}
	facts := owned.appendTo(nil, &d)
	return facts, d.err()
}

// splitPF splits "name-version[-r1]"; the version begins with a digit.
func splitPF(pf string) (name, version string) {
	end := len(pf)
	if r := strings.LastIndex(pf, "-r"); r > 0 && isDigits(pf[r+2:]) {
		end = r
	}
	dash := strings.LastIndexByte(pf[:end], '-')
	if dash <= 0 || dash+1 == end || !isDigits(pf[dash+1:dash+2]) {
		return "", ""
	}
	return pf[:dash], pf[dash+1:]
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
