package ospkg

import (
	"context"
	"io/fs"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Apk reads the database of Alpine's package keeper, apk-tools: stanzas of
// one-letter fields (https://wiki.alpinelinux.org/wiki/Apk_spec).
type Apk struct{}

var _ inventory.Collector = Apk{}

// Name implements inventory.Collector.
func (Apk) Name() string { return "os/apk" }

// Version implements inventory.Collector.
func (Apk) Version() int { return 1 }

// Wants implements inventory.Collector. apk-tools 3 keeps its database below /usr.
func (Apk) Wants(file string, _ fs.FileInfo) bool {
	return file == "lib/apk/db/installed" || file == "usr/lib/apk/db/installed"
}

// Collect implements inventory.Collector.
func (Apk) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	var d apkFile
	if err := eachLine(f.Content, d.line); err != nil {
		d.damage.add(err)
	}
	d.end()
	facts := d.owned.appendTo(d.facts, &d.damage)
	return facts, d.damage.err()
}

// apkFile is the state of reading an installed database.
type apkFile struct {
	facts  []seawall.Fact
	owned  ownership
	damage damage

	p       seawall.Package
	origin  string
	license string
	start   int    // line of the stanza, 0 outside one
	dir     []byte // directory of the files that follow, with a slash
}

func (d *apkFile) line(number int, line []byte) {
	if len(line) == 0 {
		d.end()
		return
	}
	if d.start == 0 {
		d.start = number
	}
	if len(line) < 2 || line[1] != ':' {
		d.damage.corrupt("line %d is no field", number)
		return
	}
	value := line[2:]
	switch line[0] {
	case 'P':
		d.p.Name = string(value)
	case 'V':
		d.p.Version = string(value)
	case 'A':
		d.p.Arch = string(value)
	case 'L':
		d.license = string(value)
	case 'o':
		d.origin = string(value)
	case 'F':
		d.dir = append(append(d.dir[:0], value...), '/')
	case 'R':
		end := len(d.dir)
		d.dir = append(d.dir, value...)
		d.owned.add(d.p.Name, d.dir)
		d.dir = d.dir[:end]
	}
}

// end finishes a stanza.
func (d *apkFile) end() {
	p, start := d.p, d.start
	origin, license := d.origin, d.license
	d.p, d.start, d.origin, d.license, d.dir = seawall.Package{}, 0, "", "", d.dir[:0]
	switch {
	case start == 0:
		return
	case p.Name == "" || p.Version == "":
		d.damage.corrupt("stanza at line %d has no name or no version", start)
		return
	case len(d.facts) >= maxRecords:
		d.damage.add(errTooMany)
		return
	}
	p.Kind, p.PURL = Kind, "pkg:apk/"
	if license != "" {
		p.Licenses = []string{license}
	}
	if origin != "" {
		setSource(&p, origin, "")
	}
	d.facts = append(d.facts, seawall.Fact{Package: &p})
}
