package seawall

import (
	"archive/tar"
	"io/fs"
)

// Fact is one thing known about an asset. Exactly one of the pointers is set.
type Fact struct {
	Package   *Package    `json:"package,omitempty"`
	File      *FileFact   `json:"file,omitempty"`
	Config    *ConfigFact `json:"config,omitempty"`
	Object    *Object     `json:"object,omitempty"`
	Signature *Signature  `json:"signature,omitempty"`
	Match     *Match      `json:"match,omitempty"`
}

// Match is what a content detector saw in a file: the raw material of secret,
// malware and misconfiguration findings. It never holds a secret itself.
type Match struct {
	Kind FindingKind `json:"kind"`
	Rule string      `json:"rule"`
	// Location has Path, Inner and Line; the engine sets Layer.
	Location Location `json:"location"`
	// Evidence is safe to show: redacted for secrets.
	Evidence string `json:"evidence,omitempty"`
	// Fingerprint tells equal values apart from others without giving them away:
	// a keyed hash for secrets, a content hash for files.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Data are further facts the detector's rule needs, by name.
	Data map[string]string `json:"data,omitempty"`
	// Hidden: the file was removed or replaced by a later layer, and is still in the image.
	Hidden bool `json:"hidden,omitempty"`
}

// Package is an installed, bundled or declared software package.
type Package struct {
	// Asset is the ID of the asset it was found in; set by the engine.
	Asset   string `json:"asset,omitempty"`
	Name    string `json:"name"`
	Version string `json:"version"`
	// Ecosystem is the OSV ecosystem with the release where there is one:
	// "Debian:12", "Alpine:v3.18", "AlmaLinux:9", "npm", "PyPI", "Go". Collectors
	// of operating-system packages leave it as "" and the ospkg joiner fills it from os-release.
	Ecosystem string `json:"ecosystem"`
	// PURL is the package URL (https://github.com/package-url/purl-spec).
	PURL string `json:"purl,omitempty"`
	// Source is the source package where it differs in name from Name (Debian
	// source, Alpine origin, source RPM name); SourceVersion likewise.
	Source        string `json:"source,omitempty"`
	SourceVersion string `json:"sourceVersion,omitempty"`
	Arch          string `json:"arch,omitempty"`
	// Module is the RPM modularity label "name:stream".
	Module string `json:"module,omitempty"`
	// Vendor is who built it, where the package says so (RPM vendor).
	Vendor   string   `json:"vendor,omitempty"`
	Licenses []string `json:"licenses,omitempty"`
	// Dev: only a development or test dependency of a lock file says it.
	Dev bool `json:"dev,omitempty"`
	// Declared: wanted by a lock file or manifest, not seen installed.
	Declared bool `json:"declared,omitempty"`
	// Owner is the operating-system package that installed this language package or
	// binary ("python3-requests"); such a package is judged by its owner's advisories.
	Owner string `json:"owner,omitempty"`
	// Kind is the collector family: "os", "language", "binary", "sbom".
	Kind string `json:"kind,omitempty"`
	// Locations are all places it was found, first the one to show.
	Locations []Location `json:"locations,omitempty"`
}

// Location is a place: a file in a layer, or a field of an object.
type Location struct {
	Path string `json:"path,omitempty"`
	// Inner is the path inside an archive: "BOOT-INF/lib/x.jar".
	Inner string `json:"inner,omitempty"`
	Line  int    `json:"line,omitempty"`
	// Layer is the digest of the layer that brought it.
	Layer    string `json:"layer,omitempty"`
	Resource string `json:"resource,omitempty"`
	Field    string `json:"field,omitempty"`
}

// FileFact is a file worth remembering.
type FileFact struct {
	Path string `json:"path"`
	// Owner is the operating-system package whose list names the file.
	Owner string `json:"owner,omitempty"`
	// Kind is what the inode is: "file", "directory", "symlink", "socket", "other";
	// "" when only the name is known, and then the fields below mean nothing.
	Kind string `json:"kind,omitempty"`
	// Mode is as chmod(1) takes it: permissions, 04000 setuid, 02000 setgid, 01000 sticky.
	Mode uint32 `json:"mode,omitempty"`
	UID  uint32 `json:"uid,omitempty"`
	GID  uint32 `json:"gid,omitempty"`
	Size int64  `json:"size,omitempty"`
}

// StatFact is the fact that an entry's inode makes, nil where its owner is not known.
func StatFact(path string, info fs.FileInfo) *FileFact {
	f := &FileFact{Path: path, Kind: "other", Mode: uint32(info.Mode().Perm()), Size: info.Size()}
	switch s := info.Sys().(type) {
	case Ownership:
		f.UID, f.GID = s.UID, s.GID
	case *tar.Header:
		f.UID, f.GID = uint32(s.Uid), uint32(s.Gid)
	default:
		return nil
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		f.Kind = "file"
	case mode.IsDir():
		f.Kind = "directory"
	case mode&fs.ModeSymlink != 0:
		f.Kind = "symlink"
	case mode&fs.ModeSocket != 0:
		f.Kind = "socket"
	}
	for i, flag := range [...]fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid} {
		if info.Mode()&flag != 0 {
			f.Mode |= 0o1000 << i
		}
	}
	return f
}

// Ownership is what fs.FileInfo.Sys returns for entries of directories.
type Ownership struct{ UID, GID uint32 }

// ConfigFact is a parsed configuration. Kind names its shape ("os-release"), Data its values.
type ConfigFact struct {
	Kind string            `json:"kind"`
	Path string            `json:"path,omitempty"`
	Data map[string]string `json:"data,omitempty"`
	// Layer is the digest of the layer that brought it; set by the engine.
	Layer string `json:"layer,omitempty"`
}

// Object is a Kubernetes object, as a manifest or an API server gave it. It may
// hold secrets and never goes into a report.
type Object struct {
	// APIVersion is "v1" or "group/version".
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Path and Line are the place in a manifest: the file, as the user named it or
	// below what the user named, and the object's first line, from 1.
	Path string `json:"path,omitempty"`
	Line int    `json:"line,omitempty"`
	// JSON is the object, without managedFields.
	JSON []byte `json:"-"`
	// Lines finds the line of a field ("spec.containers[0].image") in Path, or that
	// of its nearest parent there; nil where there is no file.
	Lines func(field string) int `json:"-"`
}

// Resource names the object in findings: "Deployment/shop/web", cluster-scoped "ClusterRole/admin".
func (o *Object) Resource() string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return o.Kind + "/" + o.Namespace + "/" + o.Name
}

// Location is the place of one field of the object; field may be "".
func (o *Object) Location(field string) Location {
	l := Location{Path: o.Path, Line: o.Line, Resource: o.Resource(), Field: field}
	if o.Lines != nil && field != "" {
		l.Line = o.Lines(field)
	}
	return l
}

// Signature is a verified signature or attestation of an artifact.
type Signature struct {
	// Digest is what was signed.
	Digest string `json:"digest"`
	// Kind is "signature", or the predicate type of an attestation.
	Kind string `json:"kind"`
	// Signer is the proved identity: a mail address or URI, a distinguished name, or "key sha256:…".
	Signer string `json:"signer,omitempty"`
	// Issuer is the OpenID Connect issuer that vouched for Signer.
	Issuer string `json:"issuer,omitempty"`
	// Builder is the builder that SLSA provenance names.
	Builder string `json:"builder,omitempty"`
}
