package seawall

// AssetKind says what kind of thing was looked at.
type AssetKind string

// The kinds of asset.
const (
	AssetImage     AssetKind = "image"
	AssetRootFS    AssetKind = "rootfs"
	AssetFS        AssetKind = "fs"
	AssetHost      AssetKind = "host"
	AssetSBOM      AssetKind = "sbom"
	AssetRegistry  AssetKind = "registry"
	AssetManifests AssetKind = "manifests"
	AssetCluster   AssetKind = "cluster"
	AssetContainer AssetKind = "container"
	AssetWorkload  AssetKind = "workload"
	AssetNode      AssetKind = "node"
)

// Asset is one thing that was looked at.
type Asset struct {
	// ID is stable across runs: the digest for images, else kind and name.
	ID   string    `json:"id"`
	Kind AssetKind `json:"kind"`
	// Name is what the user called it: a reference, a path.
	Name string `json:"name"`
	// Digest is the manifest digest of an image, "" for everything else.
	Digest string `json:"digest,omitempty"`
	OS     *OS    `json:"os,omitempty"`
	// Image describes an image asset; nil for everything else.
	Image *ImageInfo `json:"image,omitempty"`
	// Workloads run it, as their cluster's objects are named in findings
	// ("Deployment/shop/web"); for the images of a cluster.
	Workloads []string `json:"workloads,omitempty"`
	// Exposed says whether one of Workloads can be reached from outside of the cluster; nil when not known.
	Exposed *bool `json:"exposed,omitempty"`
}

// OS is a distribution as its os-release(5) names it.
type OS struct {
	// ID is the os-release ID: debian, ubuntu, alpine, wolfi, rhel, almalinux, amzn, …
	ID string `json:"id"`
	// Version is VERSION_ID ("12", "3.18.4", "9.3"); "" on rolling distributions.
	Version string `json:"version,omitempty"`
	// Codename is VERSION_CODENAME where there is one.
	Codename string `json:"codename,omitempty"`
	// Name is PRETTY_NAME.
	Name string `json:"name,omitempty"`
	// EndOfLife is the day security support ends, as YYYY-MM-DD; "" when unknown.
	EndOfLife string `json:"endOfLife,omitempty"`
}

// ImageInfo is what an image's configuration says that findings, policies and reports use.
type ImageInfo struct {
	// ConfigDigest is the image ID in Docker's sense.
	ConfigDigest string            `json:"configDigest,omitempty"`
	Platform     string            `json:"platform,omitempty"` // os/arch[/variant]
	Created      string            `json:"created,omitempty"`  // RFC 3339
	User         string            `json:"user,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	Env          []string          `json:"-"` // may hold secrets: never in a report
	Labels       map[string]string `json:"labels,omitempty"`
	// Annotations are the manifest's, which labels repeat or not.
	Annotations  map[string]string `json:"-"`
	ExposedPorts []string          `json:"exposedPorts,omitempty"`
	// Healthcheck is its command in Docker's form, first CMD, CMD-SHELL or NONE; nil without one.
	Healthcheck []string      `json:"healthcheck,omitempty"`
	Volumes     []string      `json:"volumes,omitempty"`
	History     []HistoryStep `json:"-"` // may hold secrets
	RepoTags    []string      `json:"repoTags,omitempty"`
	RepoDigests []string      `json:"repoDigests,omitempty"`
	Layers      []LayerInfo   `json:"layers,omitempty"`
	// Base is the image it was built on; nil when not known.
	Base *BaseImage `json:"base,omitempty"`
	// Verification is what became of the signatures asked for; nil when nobody asked.
	Verification *Verification `json:"verification,omitempty"`
}

// Verification is the judgement on an image's signatures by what a user asked for.
type Verification struct {
	Verified bool `json:"verified"`
	// Digest is what had to be signed: of the index for a multi-platform image.
	Digest string `json:"digest,omitempty"`
	// Reason says why not, for programs, and Detail for people; empty when verified.
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Signatures are those that satisfy what was asked for; provenance is one with a Builder.
	Signatures []Signature `json:"signatures,omitempty"`
	// Error is why the signatures could not be fetched; then nothing was judged.
	Error string `json:"error,omitempty"`
}

// BaseImage is the image another one was built on.
type BaseImage struct {
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest,omitempty"` // of its manifest
	// Layers is how many of the lowest layers are its; 0 when only its name is known.
	Layers int `json:"layers"`
	// Known says how: "given" (by the user), "label" (its name; the layers from
	// images seen), "seen" (an image scanned before has these layers).
	Known string `json:"known"`
	// Findings counts the failing findings in its layers: what moving to a base
	// image without them would remove.
	Findings *Summary `json:"findings,omitempty"`
}

// HistoryStep is one build step of an image.
type HistoryStep struct {
	Created    string
	CreatedBy  string
	Comment    string
	EmptyLayer bool
}

// LayerInfo identifies a layer and the build step that made it.
type LayerInfo struct {
	// Index counts from the lowest layer, 0.
	Index int `json:"index"`
	// Digest is of the layer as stored (compressed); DiffID of the uncompressed tar.
	Digest    string `json:"digest"`
	DiffID    string `json:"diffID,omitempty"`
	CreatedBy string `json:"createdBy,omitempty"`
	// Base is true when the layer is known to come from the base image.
	Base bool `json:"base,omitempty"`
	// Size is the stored size in bytes; 0 when unknown.
	Size int64 `json:"size,omitempty"`
}
