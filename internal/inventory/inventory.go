// Package inventory turns a Target into Facts. It holds the collector
// interfaces and the engine; children of this package are the collectors and
// inventory/all lists them.
//
// The engine walks every layer once. For each file it asks every collector
// Wants (cheap); a wanted file is read once whatever the number of collectors,
// bounded, handed to workers, and its raw facts are kept by path and layer,
// shadowed files included. Raw facts of a layer are a pure function of the
// layer's bytes and the collectors' versions, so they can be cached. Then the
// layers are merged bottom-up by the whiteout rules of the OCI image
// specification and every Joiner sees the merged result once.
//
// Content reaches a collector in one of three ways, which it cannot tell apart:
// held in pages of a bounded Memory, read where it lies through a window (files
// of a directory), or, when it is large and all its collectors are Streamers, in
// chunks. A hard link has the facts of its content under its own path; where
// nobody wanted the content by its first name the layer is walked again.
package inventory

import (
	"context"
	"io/fs"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Collector reads one kind of file. Implementations are stateless and safe for
// concurrent use.
type Collector interface {
	// Name is the format, as in "os/dpkg", "language/npm-lock", "binary/go".
	Name() string
	// Version changes whenever the same bytes would give other facts; it keys the layer cache.
	Version() int
	// Wants is asked for every regular file and symbolic link of every layer: cheap and
	// allocation-free. path is Entry.Path.
	Wants(path string, info fs.FileInfo) bool
	// Collect reads an opened file. Facts returned beside an error are kept and the
	// collector's status becomes partial (a damaged file never fails a scan).
	// Locations need no layer: the engine sets Layer, and Path where it is empty.
	Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error)
}

// Joiner is an optional second interface of a Collector: facts that need several
// files (dpkg's status and info/*.list, os-release and packages), after the merge.
type Joiner interface {
	Collector
	// Join may add, change and remove facts. Joiners run in the order of inventory/all's list.
	Join(ctx context.Context, m *Merged) error
}

// Streamer is an optional second interface of a Collector for files too large to
// hold in memory: the content arrives in order, in chunks, once.
type Streamer interface {
	Collector
	// Stream starts one file; nil means this file need not be streamed.
	Stream(path string, info fs.FileInfo) seawall.Stream
}

// Lister is an optional second interface of a Collector: facts that entries give
// without being opened, directories and sockets included. It is asked only when
// the target is one directory (a root file system, a host).
type Lister interface {
	Collector
	// List is called for every entry that could be read, in order, one at a time:
	// cheap, and allocation-free where it returns nil.
	List(path string, info fs.FileInfo) *seawall.Fact
}

// Merged is what the layers come to once merged. Joiners edit it in place.
type Merged struct {
	// Asset is the target's; joiners may set OS.
	Asset *seawall.Asset
	// Packages of the visible files, in path order.
	Packages []seawall.Package
	// Files are the visible file facts; a file owned by an OS package names it in Owner.
	Files []seawall.FileFact
	// Configs are the visible configurations.
	Configs []seawall.ConfigFact
	// Objects are what the target itself states (manifests, a cluster), in its order.
	Objects []seawall.Object
	// Matches are what content detectors saw, in path order, those in hidden files marked.
	Matches []seawall.Match
	// Hidden are packages found in layers below that a later layer removed or replaced.
	Hidden []seawall.Package
	// Warn records something the joiner could not do; its status becomes partial.
	Warn func(reason string)
}
