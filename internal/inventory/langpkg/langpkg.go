// Package langpkg holds what the collectors of language packages share: a file
// format as a value (Format), the making of package facts with canonical names
// and package URLs (List), and small bounded readers for JSON and for lines.
// Its children hold the formats, one file each, one package per ecosystem.
//
// Data flows one way:
//
//	file -> Format.Match -> Format.Parse -> List -> []seawall.Fact
//
// A Format whose files describe what is installed (METADATA, node_modules)
// leaves Declared unset; one that says what is wanted (lock files, manifests)
// sets it. What a registry never published is not reported as a registry
// package: a project's own entry, workspace members, and dependencies on a
// path, a link, a URL or a version-control commit. Neither is a requirement
// without one exact version (a range, "latest"): no version is invented for it.
package langpkg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The bounds of one file; beyond them it is not read, or not further.
const (
	// MaxSize is in bytes; an npm lock file of 10,000 packages has about 4 MB.
	MaxSize = 32 << 20
	// MaxTree is the same for formats held as a tree of many times their text.
	MaxTree = 8 << 20
	// MaxDepth is how deep documents may nest. Version 1 of npm's lock file nests
	// as deep as node_modules does.
	MaxDepth = 1000
	// MaxPackages is how many packages one file may name.
	MaxPackages = 200_000
)

// Format is a collector of one file format. It implements inventory.Collector.
type Format struct {
	// ID is the collector's name, as in "language/npm-lock".
	ID string
	// Rev is the collector's version.
	Rev int
	// Match says by path alone whether a file is of this format; allocation-free.
	Match func(path string) bool
	// Wanted: the file says what is wanted, not what is there. Inside an installed
	// package it is that package's own development and not read (see InDependency).
	Wanted bool
	// Parse reads a file's whole content. It must not keep data. Packages added
	// to out before an error are kept.
	Parse func(data []byte, out *List) error
}

// Name implements inventory.Collector.
func (f *Format) Name() string { return f.ID }

// Version implements inventory.Collector.
func (f *Format) Version() int { return f.Rev }

// Wants implements inventory.Collector: regular files only, so that a linked
// file is reported once, where it lies.
func (f *Format) Wants(path string, info fs.FileInfo) bool {
	return f.Match(path) && (info == nil || info.Mode().IsRegular()) && !(f.Wanted && InDependency(path))
}

// InDependency reports whether a file belongs to an installed package: a
// dependency's own lock files and manifests say what its developers used, not
// what is installed here.
func InDependency(path string) bool {
	for _, dir := range [...]string{"node_modules/", "site-packages/", "dist-packages/", "pkg/mod/", ".cargo/registry/", ".build/checkouts/", "usr/share/nodejs/"} {
		if i := strings.Index(path, dir); i >= 0 && (i == 0 || path[i-1] == '/') && strings.IndexByte(path[i+len(dir):], '/') >= 0 {
			return true
		}
	}
	_, gem, ok := strings.Cut(path, "gems/") // gems/NAME-1.2.3-PLATFORM/
	for ok {
		name := gem[:max(0, strings.IndexByte(gem, '/'))]
		for i := 1; i+1 < len(name); i++ {
			if name[i] == '-' && '0' <= name[i+1] && name[i+1] <= '9' {
				return true
			}
		}
		_, gem, ok = strings.Cut(gem, "gems/")
	}
	return false
}

// Collect implements inventory.Collector. Every error names the file.
func (f *Format) Collect(_ context.Context, file seawall.File) ([]seawall.Fact, error) {
	data, err := read(file.Content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Path, err)
	}
	out := List{Path: file.Path}
	err = f.Parse(data, &out)
	if err = errors.Join(err, out.err); err != nil {
		return out.facts, fmt.Errorf("%s: %w", file.Path, err)
	}
	return out.facts, nil
}

// read returns the whole content in one allocation.
func read(c seawall.Content) ([]byte, error) {
	size := c.Size()
	if size > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", seawall.ErrBound, size, MaxSize)
	}
	data := make([]byte, size)
	n, err := io.ReadFull(c, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return data[:n], err
}

// Dependency is one package as a format states it.
type Dependency struct {
	// Name and Version as written, in memory of their own: the fact outlives the
	// file. A Dependency without a name is left out.
	Name, Version string
	// Line is where the entry starts, counted from 1; 0 is unknown.
	Line     int
	Dev      bool
	Licenses []string
	// Qualifiers of the package URL, where its type requires any.
	Qualifiers map[string]string
}

// List takes what a Format reads in one file.
type List struct {
	// Path of the file being read.
	Path  string
	facts []seawall.Fact
	err   error
}

// Installed adds a package that the file's presence shows to be installed.
func (l *List) Installed(e Ecosystem, d Dependency) { l.add(e, d, false) }

// Declared adds a package that the file asks for.
func (l *List) Declared(e Ecosystem, d Dependency) { l.add(e, d, true) }

// Config adds a raw fact for a Joiner of the same format.
func (l *List) Config(kind string, data map[string]string) {
	l.facts = append(l.facts, seawall.Fact{Config: &seawall.ConfigFact{Kind: kind, Path: l.Path, Data: data}})
}

func (l *List) add(e Ecosystem, d Dependency, declared bool) {
	if d.Name == "" {
		return
	}
	p, err := New(e, d)
	if len(l.facts) == MaxPackages {
		err = fmt.Errorf("line %d: %w: more than %d packages", d.Line, seawall.ErrBound, MaxPackages)
	}
	if err != nil {
		l.err = cmp.Or(l.err, err)
		return
	}
	p.Declared = declared
	p.Locations = []seawall.Location{{Path: l.Path, Line: d.Line}}
	l.facts = append(l.facts, seawall.Fact{Package: p})
}

// New makes the package of a Dependency, without location. The name is made
// canonical for its ecosystem. It fails on names and versions no registry
// could hold: over 1 KiB, invalid UTF-8, control characters.
func New(e Ecosystem, d Dependency) (*seawall.Package, error) {
	if !printable(d.Name) || !printable(d.Version) {
		return nil, fmt.Errorf("line %d: %w: %.64q %.64q is no package name and version", d.Line, seawall.ErrCorrupt, d.Name, d.Version)
	}
	name := e.canonical(d.Name)
	return &seawall.Package{
		Name:      name,
		Version:   d.Version,
		Ecosystem: e.Name,
		PURL:      e.purl(name, d.Version, d.Qualifiers),
		Kind:      "language",
		Dev:       d.Dev,
		Licenses:  d.Licenses,
	}, nil
}

func printable(s string) bool {
	if len(s) > 1024 || !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
