package seawall

import (
	"context"
	"io"
	"io/fs"
)

// Target is one still input, opened for reading: an image, a directory, an SBOM.
// Implementations live in source/. A Target is used by one scan and closed by it.
type Target interface {
	// Asset describes the target. OS is filled later, from facts.
	Asset() Asset
	// Layers returns the layers, lowest first. A directory is one layer; an
	// SBOM has none.
	Layers() []Layer
	io.Closer
}

// Describer is an optional second interface of a Target whose facts are not in
// files: an SBOM's packages.
type Describer interface {
	// Facts returns what the input states about itself. Facts beside an Incomplete
	// are kept and the target is partial; any other error ends its scan.
	Facts(ctx context.Context) ([]Fact, error)
}

// Layer is one layer of a Target.
type Layer interface {
	Info() LayerInfo
	// CacheKey identifies the content: the diff ID, or for stores that only know
	// compressed layers the digest. "" means the layer must not be cached (a directory).
	CacheKey() string
	// Walk calls visit for every entry, in stored order, and stops at the first
	// error visit returns. Paths are already cleaned and safe (see Entry). A layer
	// may be walked once only; walks of different layers may run at the same time.
	// Damage (truncation, a lying size, an exceeded bound) ends the walk with an
	// error naming the layer; a single unreadable file in a directory goes through Entry.Err.
	Walk(ctx context.Context, visit func(Entry) error) error
}

// Rewalker is an optional second interface of a Layer whose content can be read
// again: for hard links that are wanted under a name that comes after the content.
type Rewalker interface {
	Layer
	// Rewalk is Walk once more, after Walk has returned without an error.
	Rewalk(ctx context.Context, visit func(Entry) error) error
}

// EntryKind says what an Entry is.
type EntryKind uint8

// The kinds of entry. Devices, sockets and pipes are EntryOther: listed, never opened.
const (
	EntryFile EntryKind = iota
	EntryDir
	EntrySymlink
	EntryHardlink
	EntryOther
	// EntryWhiteout: Path is the path removed (the .wh. prefix already taken off).
	EntryWhiteout
	// EntryOpaque: Path is the directory whose lower content is hidden.
	EntryOpaque
)

// Entry is one member of a layer as its walk meets it.
type Entry struct {
	// Path is slash-separated, cleaned and relative to the root: "etc/passwd". It
	// never starts with "/" or "..", is never empty (the root is "."), and is valid
	// for fs.ValidPath.
	Path string
	Kind EntryKind
	Info fs.FileInfo
	// Link is the target of a symbolic link as written, or the cleaned path of a hard link's target.
	Link string
	// Open returns the content of an EntryFile. The reader is valid only until
	// visit returns unless Random is true; it may be opened once unless Random is true.
	Open func() (io.ReadCloser, error)
	// Random is true when Open may be called at any time before the Target is
	// closed, and the reader is also an io.ReaderAt (a file in a directory).
	Random bool
	// Err is set when this one entry could not be read (permission denied); the walk goes on.
	Err error
}

// File is an opened file as a collector gets it. The engine opens, bounds and
// closes it; a collector must not keep it or its Content after Collect returns.
type File struct {
	Path string
	Info fs.FileInfo
	// Link is the target when the file is a symbolic link (then Content is empty).
	Link string
	// Content is the whole file, random access, positioned at its start.
	Content Content
	// Budget lets a collector ask for memory beyond the file's own (nested
	// archives): it returns a release function, or ErrBudget.
	Budget func(bytes int64) (release func(), err error)
}

// Content is a file's content with random access. Several collectors never share one.
type Content interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	Size() int64
}

// Stream takes the content of one file in order, for collectors of files too
// large to be held.
type Stream interface {
	// Write never fails for content; an error ends the stream and makes the collector partial.
	Write(chunk []byte) (int, error)
	// Facts is called once after the last chunk.
	Facts() ([]Fact, error)
}
