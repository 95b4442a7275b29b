package ospkg

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const pacmanDir = "var/lib/pacman/local/"

// Pacman reads the database of Arch Linux: a directory for each package with
// its description and its list of files, both in sections headed "%NAME%".
type Pacman struct{}

var _ inventory.Collector = Pacman{}

// Name implements inventory.Collector.
func (Pacman) Name() string { return "os/pacman" }

// Version implements inventory.Collector.
func (Pacman) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Pacman) Wants(file string, _ fs.FileInfo) bool {
	return strings.HasPrefix(file, pacmanDir) && (strings.HasSuffix(file, "/desc") || strings.HasSuffix(file, "/files"))
}

// Collect implements inventory.Collector.
func (Pacman) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	if path.Base(f.Path) == "files" {
		return pacmanFiles(f)
	}
	p := &seawall.Package{Kind: Kind, PURL: "pkg:alpm/"}
	base := ""
	var d damage
	if err := eachSectionLine(f.Content, func(section string, value []byte) {
		switch section {
		case "%NAME%":
			p.Name = string(value)
		case "%VERSION%":
			p.Version = string(value)
		case "%BASE%":
			base = string(value)
		case "%ARCH%":
			p.Arch = string(value)
		case "%LICENSE%":
			p.Licenses = append(p.Licenses, string(value))
		}
	}); err != nil {
		d.add(err)
	}
	if p.Name == "" || p.Version == "" {
		d.corrupt("no name or no version")
		return nil, d.err()
	}
	if base != p.Name {
		p.Source = base
	}
	return []seawall.Fact{{Package: p}}, d.err()
}

// pacmanFiles reads the files a package owns. Its name is that of the
// directory without version and release: "gawk-5.3.1-1".
func pacmanFiles(f seawall.File) ([]seawall.Fact, error) {
	name := path.Base(path.Dir(f.Path))
	for range 2 {
		name = name[:max(strings.LastIndexByte(name, '-'), 0)]
	}
	var owned ownership
	var d damage
	if name == "" {
		d.corrupt("the directory is not named after a package")
		return nil, d.err()
	}
	if err := eachSectionLine(f.Content, func(section string, file []byte) {
		if section == "%FILES%" && !bytes.HasSuffix(file, []byte("/")) {
			owned.add(name, file)
		}
	}); err != nil {
		d.add(err)
	}
	facts := owned.appendTo(nil, &d)
	return facts, d.err()
}

// eachSectionLine calls value with every line below a heading.
func eachSectionLine(c seawall.Content, value func(section string, line []byte)) error {
	section := ""
	return eachLine(c, func(_ int, line []byte) {
		switch n := len(line); {
		case n == 0:
			section = ""
		case section == "" && n > 2 && line[0] == '%' && line[n-1] == '%':
			section = string(line)
		default:
			value(section, line)
		}
	})
}
