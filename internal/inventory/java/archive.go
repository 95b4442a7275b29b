package java

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Archive reads jar, war, ear and their kin.
type Archive struct{}

const (
	// maxDepth is how deep archives may nest; an ear of wars of jars is 3.
	maxDepth = 16
	// maxOpened is how many entries of one file are opened in all, archives inside
	// archives with theirs. A large application has a few thousand.
	maxOpened = 20_000
	// maxWork bounds what one file may make us inflate and read in all, in bytes:
	// overlapping entries would multiply it otherwise.
	maxWork = 1 << 30
	// maxText is how much of a properties file or a manifest is read. What
	// identifies an archive stands in the manifest's first section.
	maxText = 64 << 10
	// maxProblems is how many problems of one file are named.
	maxProblems = 5
)

// Name implements inventory.Collector.
func (Archive) Name() string { return "language/java-archive" }

// Version implements inventory.Collector.
func (Archive) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Archive) Wants(p string, info fs.FileInfo) bool {
	return archiveName(p) && (info == nil || info.Mode().IsRegular())
}

// archiveName reports whether a name ends like a Java archive's. These have
// three letters each; the case that Windows tools write is accepted.
func archiveName[T string | []byte](name T) bool {
	n := len(name) - 4
	if n < 1 || name[n] != '.' {
		return false
	}
	switch string([]byte{name[n+1] | 0x20, name[n+2] | 0x20, name[n+3] | 0x20}) {
	case "jar", "war", "ear", "par", "sar", "hpi", "jpi", "kar", "aar", "nar":
		return true
	}
	return false
}

// Collect implements inventory.Collector.
func (Archive) Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error) {
	s := scanner{ctx: ctx, file: f}
	s.archive(f.Content, f.Content.Size(), "", 1)
	if len(s.problems) > 0 {
		return s.facts, fmt.Errorf("%s: %w", f.Path, errors.Join(s.problems...))
	}
	return s.facts, nil
}

// scanner reads one file with all archives in it.
type scanner struct {
	ctx      context.Context
	file     seawall.File
	facts    []seawall.Fact
	problems []error
	dropped  bool // problems beyond maxProblems
	opened   int
	inflater inflater
	work     int64
	stopped  bool // over a bound for the whole file
}

// problem records what could not be read; the rest of the file is still read.
func (s *scanner) problem(inner string, err error) {
	switch {
	case len(s.problems) < maxProblems:
		s.problems = append(s.problems, place(inner, err))
	case !s.dropped:
		s.dropped = true
		s.problems = append(s.problems, errors.New("and more"))
	}
}

// spend counts work; false means that the file's bound is reached.
func (s *scanner) spend(inner string, bytes int64) bool {
	if s.stopped {
		return false
	}
	err := s.ctx.Err()
	if s.work += bytes; err == nil && s.work > maxWork {
		err = fmt.Errorf("more than %d bytes to inflate: %w", maxWork, seawall.ErrBound)
	}
	if err != nil {
		s.stop(inner, err)
	}
	return !s.stopped
}

// count counts an entry that is opened; false means that the file's bound is reached.
func (s *scanner) count(inner string) bool {
	if s.opened++; s.opened > maxOpened {
		s.stop(inner, fmt.Errorf("more than %d entries to open: %w", maxOpened, seawall.ErrBound))
	}
	return !s.stopped
}

// stop ends the whole file; its reason is recorded whatever else was.
func (s *scanner) stop(inner string, err error) {
	if !s.stopped {
		s.stopped = true
		s.problems = append(s.problems, place(inner, err))
	}
}

// place adds the path inside the file to an error.
func place(inner string, err error) error {
	if inner == "" {
		return err
	}
	return fmt.Errorf("%s: %w", inner, err)
}

// errStop ends a walk whose reason is recorded already.
var errStop = errors.New("stop")

// archive reads one archive. inner is its path inside the file, "" for the file itself.
func (s *scanner) archive(r io.ReaderAt, size int64, inner string, depth int) {
	a, err := open(r, size)
	if err != nil {
		s.problem(inner, err)
		return
	}
	if !s.spend(inner, a.length) {
		return
	}
	id := identity{file: path.Base(s.file.Path)}
	if inner != "" {
		id.file = path.Base(inner)
	}
	err = a.entries(func(e entry) error {
		if s.stopped {
			return errStop
		}
		s.entry(a, e, inner, depth, &id)
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		s.problem(inner, err)
	}
	for _, d := range id.packages() {
		s.add(d, inner)
	}
}

// entry looks at one line of a directory.
func (s *scanner) entry(a archive, e entry, inner string, depth int, id *identity) {
	switch kind := entryKind(e.name); kind {
	case entryClass:
		id.classes = true
	case entryPOM:
		id.pomPath(string(e.name))
	case entryManifest, entryProperties:
		if !s.count(inner) || !s.spend(inner, min(e.size, maxText)) {
			return
		}
		text, err := s.inflater.inflate(a, e, maxText)
		if err != nil {
			s.problem(join(inner, e.name), err)
			return
		}
		if kind == entryManifest {
			id.readManifest(text)
		} else {
			id.readProperties(text)
		}
	case entryArchive:
		s.enter(a, e, join(inner, e.name), depth+1)
	}
}

// enter reads an archive inside an archive.
func (s *scanner) enter(a archive, e entry, inner string, depth int) {
	if depth > maxDepth {
		s.problem(inner, fmt.Errorf("archives nested more than %d deep: %w", maxDepth, seawall.ErrBound))
		return
	}
	if !s.count(inner) {
		return
	}
	raw, err := a.raw(e)
	if err != nil {
		s.problem(inner, err)
		return
	}
	if e.method == methodStored {
		s.archive(raw, raw.Size(), inner, depth)
		return
	}
	if !s.spend(inner, e.size) {
		return
	}
	release, err := s.file.Budget(e.size)
	if err != nil {
		s.problem(inner, err)
		return
	}
	defer release()
	content, err := s.inflater.inflate(a, e, e.size)
	if err != nil {
		s.problem(inner, err)
		return
	}
	s.archive(bytes.NewReader(content), int64(len(content)), inner, depth)
}

// add reports a package.
func (s *scanner) add(d identified, inner string) {
	p, err := langpkg.New(langpkg.Maven(), langpkg.Dependency{Name: d.name(), Version: d.version})
	if err != nil {
		s.problem(inner, err)
		return
	}
	if d.group == "" {
		p.Ecosystem = "Java"
	}
	p.Licenses = d.licenses
	p.Locations = []seawall.Location{{Path: s.file.Path, Inner: inner}}
	s.facts = append(s.facts, seawall.Fact{Package: p})
}

// join makes the path of an entry inside an archive that is itself inside one.
func join(inner string, name []byte) string {
	n := strings.ToValidUTF8(string(name), "\uFFFD")
	if inner == "" {
		return n
	}
	return inner + "!/" + n
}

type kind uint8

const (
	entryOther kind = iota
	entryClass
	entryManifest
	entryPOM
	entryProperties
	entryArchive
)

// entryKind sorts entries by their names; it allocates nothing.
func entryKind(name []byte) kind {
	switch {
	case bytes.HasSuffix(name, []byte(".class")):
		return entryClass
	case archiveName(name):
		return entryArchive
	case bytes.EqualFold(name, []byte("META-INF/MANIFEST.MF")):
		return entryManifest
	case bytes.HasPrefix(name, []byte("META-INF/maven/")):
		if bytes.HasSuffix(name, []byte("/pom.properties")) {
			return entryProperties
		}
		if bytes.HasSuffix(name, []byte("/pom.xml")) {
			return entryPOM
		}
	}
	return entryOther
}
