package ospkg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/ospkg/rpmdb"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	rpmType = "pkg:rpm/"
	// rpmManifest is what Azure Linux leaves in distroless images, which have no
	// database: rpm's list of packages, one per line, fields between tabs.
	rpmManifest = "var/lib/rpmmanifest/container-manifest-2"

	// walConfig is the ConfigFact.Kind of SQLite's write-ahead log beside an rpm
	// database, which Collect does not read: Data["frames"] counts its pages.
	// shmConfig is that of the log's index, with "frames" and of these "done",
	// which are in the database already.
	walConfig = "rpm-wal"
	shmConfig = "rpm-shm"
)

// Rpm reads the databases of rpm.
type Rpm struct{}

var _ inventory.Collector = Rpm{}

// Name implements inventory.Collector.
func (Rpm) Name() string { return "os/rpm" }

// Version implements inventory.Collector.
func (Rpm) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Rpm) Wants(file string, _ fs.FileInfo) bool {
	for _, dir := range [...]string{"var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"} {
		if base, ok := strings.CutPrefix(file, dir); ok {
			switch base {
			case "rpmdb.sqlite", "rpmdb.sqlite-wal", "rpmdb.sqlite-shm", "Packages.db", "Packages":
				return true
			}
			return false
		}
	}
	return file == rpmManifest
}

// Collect implements inventory.Collector.
func (Rpm) Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error) {
	if f.Link != "" {
		return nil, nil
	}
	switch path.Base(f.Path) {
	case path.Base(rpmManifest):
		return readManifest(f)
	case "rpmdb.sqlite-wal":
		return readWAL(f)
	case "rpmdb.sqlite-shm":
		return readSHM(f)
	}
	var facts []seawall.Fact
	var owned ownership
	var d damage
	err := rpmdb.Read(f.Content, f.Content.Size(), func(p *rpmdb.Package) {
		switch {
		case p.Name == "gpg-pubkey" || ctx.Err() != nil: // keys are kept as packages without files
			return
		case len(facts) >= maxRecords:
			d.add(errTooMany)
			return
		}
		facts = append(facts, seawall.Fact{Package: rpmPackage(p)})
		if err := rpmFiles(p, facts[len(facts)-1].Package.Name, &owned); err != nil {
			d.add(err)
		}
	})
	if err != nil {
		d.add(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	facts = owned.appendTo(facts, &d)
	return facts, d.err()
}

func rpmPackage(r *rpmdb.Package) *seawall.Package {
	p := &seawall.Package{
		Name: r.Name, Version: r.FullVersion(), Kind: Kind, PURL: rpmType,
		Arch: r.Arch, Vendor: r.Vendor, Module: r.Module(),
	}
	if r.License != "" {
		p.Licenses = []string{r.License}
	}
	setRPMSource(p, r.SourceRPM, r.Version+"-"+r.Release)
	return p
}

// setRPMSource sets the source by the file name of the source package. version
// is the package's without epoch, as file names have it.
func setRPMSource(p *seawall.Package, file, version string) {
	name, sourceVersion := rpmdb.SplitSource(file)
	if sourceVersion == version {
		sourceVersion = p.Version
	}
	setSource(p, name, sourceVersion)
}

// rpmFiles remembers the interesting files of a package; rpm knows which are executable.
func rpmFiles(p *rpmdb.Package, owner string, owned *ownership) error {
	const (
		typeMask = 0o170000
		regular  = 0o100000
		execute  = 0o111
	)
	return p.Files(func(file []byte, mode uint16) {
		if mode&typeMask == regular && mode&execute != 0 {
			owned.addProgram(owner, file)
		} else if mode == 0 || mode&typeMask == regular {
			owned.add(owner, file)
		}
	})
}

// readManifest reads the list of an image without a database. Its fields are
// name, version-release, times of installation and build, vendor, "(none)",
// size, architecture, epoch and source package.
func readManifest(f seawall.File) ([]seawall.Fact, error) {
	const fields = 10
	var facts []seawall.Fact
	var d damage
	err := eachLine(f.Content, func(number int, line []byte) {
		if len(bytes.TrimSpace(line)) == 0 {
			return
		}
		col := strings.Split(string(line), "\t")
		if len(col) < fields || col[0] == "" || col[1] == "" {
			d.corrupt("line %d has %d fields instead of %d", number, len(col), fields)
			return
		}
		if len(facts) >= maxRecords {
			d.add(errTooMany)
			return
		}
		p := &seawall.Package{Name: col[0], Version: col[1], Kind: Kind, PURL: rpmType, Arch: col[7], Vendor: known(col[4])}
		if epoch := known(col[8]); epoch != "" && epoch != "0" {
			p.Version = epoch + ":" + p.Version
		}
		setRPMSource(p, col[9], col[1])
		facts = append(facts, seawall.Fact{Package: p})
	})
	if err != nil {
		d.add(err)
	}
	return facts, d.err()
}

// known turns rpm's word for a missing value into "".
func known(field string) string {
	if field == "(none)" {
		return ""
	}
	return field
}

// readWAL counts the valid pages of a write-ahead log by their salt, sections
// 4.1 and 4.2 of https://www.sqlite.org/fileformat2.html.
func readWAL(f seawall.File) ([]seawall.Fact, error) {
	const headerSize, frameHeader = 32, 24
	var header [headerSize]byte
	if f.Content.Size() < headerSize {
		return nil, nil
	}
	if _, err := f.Content.ReadAt(header[:], 0); err != nil {
		return nil, err
	}
	page := int64(binary.BigEndian.Uint32(header[8:]))
	if binary.BigEndian.Uint32(header[:])&^1 != 0x377f0682 || page < 512 || page > 65536 {
		return nil, fmt.Errorf("no write-ahead log: %w", seawall.ErrCorrupt)
	}
	frames := 0
	var frame [frameHeader]byte
	for at := int64(headerSize); at+frameHeader+page <= f.Content.Size(); at += frameHeader + page {
		if _, err := f.Content.ReadAt(frame[:], at); err != nil {
			return nil, err
		}
		if !bytes.Equal(frame[8:16], header[16:24]) {
			break // left from an earlier round
		}
		frames++
	}
	return []seawall.Fact{{Config: &seawall.ConfigFact{
		Kind: walConfig, Path: f.Path, Data: map[string]string{"frames": strconv.Itoa(frames)},
	}}}, nil
}

// readSHM reads how much of the log is in the database already,
// https://www.sqlite.org/walformat.html section 2.1. The numbers are in the byte
// order of the machine; all that rpm runs on but one are little endian.
func readSHM(f seawall.File) ([]seawall.Fact, error) {
	const mxFrame, nBackfill, enough = 16, 96, 100
	var header [enough]byte
	if _, err := f.Content.ReadAt(header[:], 0); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	number := func(at int) string {
		return strconv.FormatUint(uint64(binary.LittleEndian.Uint32(header[at:])), 10)
	}
	return []seawall.Fact{{Config: &seawall.ConfigFact{
		Kind: shmConfig, Path: f.Path, Data: map[string]string{"frames": number(mxFrame), "done": number(nBackfill)},
	}}}, nil
}

// unmergedLog returns the databases whose newest changes are only in their
// write-ahead log.
func unmergedLog(configs []seawall.ConfigFact) []string {
	done := make(map[string]string)
	for i := range configs {
		if c := &configs[i]; c.Kind == shmConfig && c.Data["frames"] == c.Data["done"] {
			done[strings.TrimSuffix(c.Path, "-shm")] = c.Data["frames"]
		}
	}
	var unmerged []string
	for i := range configs {
		c := &configs[i]
		database := strings.TrimSuffix(c.Path, "-wal")
		if c.Kind == walConfig && c.Data["frames"] != "0" && c.Data["frames"] != done[database] {
			unmerged = append(unmerged, database)
		}
	}
	return unmerged
}
