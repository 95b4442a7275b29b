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

const (
	dpkgDir = "var/lib/dpkg/"
	debType = "pkg:deb/"
)

// Dpkg reads the databases in dpkg's format: /var/lib/dpkg/status, one file per
// package in status.d (distroless images), and the lists of owned files. The
// format is described in deb-control(5) and dpkg(1). opkg (OpenWrt, Yocto)
// writes the same format in its own places.
type Dpkg struct{}

var _ inventory.Collector = Dpkg{}

// Name implements inventory.Collector.
func (Dpkg) Name() string { return "os/dpkg" }

// Version implements inventory.Collector.
func (Dpkg) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Dpkg) Wants(file string, _ fs.FileInfo) bool {
	if rest, ok := strings.CutPrefix(file, dpkgDir); ok {
		return rest == "status" || strings.HasPrefix(rest, "status.d/") ||
			strings.HasPrefix(rest, "info/") && strings.HasSuffix(rest, ".list")
	}
	if !strings.HasSuffix(file, "/status") && !strings.HasSuffix(file, ".list") {
		return false
	}
	return opkgFile(file)
}

// opkgFile says whether the file is one of opkg's.
func opkgFile(file string) bool {
	for _, dir := range [...]string{"usr/lib/opkg/", "var/lib/opkg/"} {
		if rest, ok := strings.CutPrefix(file, dir); ok {
			return rest == "status" || strings.HasPrefix(rest, "info/")
		}
	}
	return false
}

// Collect implements inventory.Collector.
func (Dpkg) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	base := path.Base(f.Path)
	if name, ok := strings.CutSuffix(base, ".list"); ok {
		return ownedFiles(f, name, func(line []byte) []byte { return line })
	}
	if name, ok := strings.CutSuffix(base, ".md5sums"); ok {
		return ownedFiles(f, name, func(line []byte) []byte {
			_, file, _ := bytes.Cut(line, []byte("  "))
			return file
		})
	}
	s := statusFile{purl: debType}
	if opkgFile(f.Path) {
		s.purl = "pkg:opkg/"
	}
	if err := eachLine(f.Content, s.line); err != nil {
		s.damage.add(err)
	}
	s.end()
	return s.facts, s.damage.err()
}

// ownedFiles reads a list of paths owned by one package. The name of a
// multi-arch package's list ends in its architecture: "libc6:amd64".
func ownedFiles(f seawall.File, name string, file func(line []byte) []byte) ([]seawall.Fact, error) {
	name, _, _ = strings.Cut(name, ":")
	var owned ownership
	var d damage
	if err := eachLine(f.Content, func(_ int, line []byte) { owned.add(name, file(line)) }); err != nil {
		d.add(err)
	}
	facts := owned.appendTo(nil, &d)
	return facts, d.err()
}

// statusFile is the state of reading a file of stanzas.
type statusFile struct {
	purl   string
	facts  []seawall.Fact
	damage damage

	p      seawall.Package
	status string // third word of Status; "" when there is no such field
	start  int    // line of the stanza, 0 outside one
}

func (s *statusFile) line(number int, line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		s.end()
		return
	}
	if s.start == 0 {
		s.start = number
	}
	if line[0] == ' ' || line[0] == '\t' {
		return
	}
	key, value, found := bytes.Cut(line, []byte(":"))
	if !found {
		s.damage.corrupt("line %d is no field", number)
		return
	}
	value = bytes.TrimSpace(value)
	switch string(key) {
	case "Package":
		s.p.Name = string(value)
	case "Version":
		s.p.Version = string(value)
	case "Architecture":
		s.p.Arch = s.sameArch(value)
	case "Origin":
		s.p.Vendor = string(value)
	case "Maintainer":
		if s.p.Vendor == "" {
			s.p.Vendor = publisher(value)
		}
	case "Source":
		s.source(value)
	case "Status":
		s.status = string(value[bytes.LastIndexByte(value, ' ')+1:])
	}
}

// sameArch keeps one string for the architecture all packages share.
func (s *statusFile) sameArch(value []byte) string {
	if n := len(s.facts); n > 0 && s.facts[n-1].Package.Arch == string(value) {
		return s.facts[n-1].Package.Arch
	}
	return string(value)
}

// source reads "name" or "name (version)".
func (s *statusFile) source(value []byte) {
	name, version, _ := bytes.Cut(value, []byte(" ("))
	s.p.Source = string(name)
	s.p.SourceVersion = string(bytes.TrimSuffix(version, []byte(")")))
}

// end finishes a stanza.
func (s *statusFile) end() {
	p, status, start := s.p, s.status, s.start
	s.p, s.status, s.start = seawall.Package{}, "", 0
	switch {
	case start == 0 || !unpacked(status):
		return
	case p.Name == "":
		s.damage.corrupt("stanza at line %d has no Package", start)
		return
	case p.Version == "":
		s.damage.corrupt("stanza at line %d (%s) has no Version", start, p.Name)
		return
	case len(s.facts) >= maxRecords:
		s.damage.add(errTooMany)
		return
	}
	p.Kind, p.PURL = Kind, s.purl
	setSource(&p, p.Source, p.SourceVersion)
	s.facts = append(s.facts, seawall.Fact{Package: &p})
}

// unpacked says whether a package in this state has its files in place. The
// files of status.d have no state: they are there because they are installed.
func unpacked(state string) bool {
	switch state {
	case "", "installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending":
		return true
	}
	return false // not-installed, config-files, half-installed
}

// setSource sets the source package where it says something the package does not.
func setSource(p *seawall.Package, name, version string) {
	p.Source, p.SourceVersion = "", ""
	if name != p.Name {
		p.Source = name
	}
	if version != p.Version {
		p.SourceVersion = version
	}
}
