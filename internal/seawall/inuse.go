package seawall

import "time"

// InUseVersion is the version of InUse.
const InUseVersion = "seawall.in-use/v1"

// The kinds of files that InUse records, by how they are seen.
const (
	InUseExecutables = "executables" // executed
	InUseLibraries   = "libraries"   // mapped executable
	InUseArchives    = "archives"    // opened: Java's
	InUseScripts     = "scripts"     // opened, by what is no ordinary reader of files
)

// InUse is what the containers of a node loaded: written by agents, read by scans.
type InUse struct {
	SchemaVersion string    `json:"schemaVersion"`
	Node          string    `json:"node,omitempty"`
	Since         time.Time `json:"since"`
	Until         time.Time `json:"until"`
	// Covers are the kinds of files that were seen of every image that does not say otherwise.
	Covers []string     `json:"covers"`
	Images []InUseImage `json:"images"`
}

// InUseImage is what was loaded of one image.
type InUseImage struct {
	// Digest is of the manifest where the runtime knows it, else of the configuration; Digests are all.
	Digest  string   `json:"digest"`
	Digests []string `json:"digests,omitempty"`
	Names   []string `json:"names,omitempty"`
	// Since is when its first container was seen.
	Since time.Time `json:"since,omitzero"`
	// Covers are the kinds of files seen of it where that is not all: it had a container that is older than the recording.
	Covers []string `json:"covers,omitempty"`
	// Files are absolute paths as its containers see them, in order.
	Files []string `json:"files"`
	// Truncated: there were more than are kept.
	Truncated bool `json:"truncated,omitempty"`
}
