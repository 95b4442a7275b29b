package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Annotations of the OCI image specification and of containerd that name an image in an index.
const (
	AnnotationRefName        = "org.opencontainers.image.ref.name"
	AnnotationContainerdName = "io.containerd.image.name"
)

// maxDocument bounds a manifest, an index or a configuration: what registries
// accept is 4 MiB; configurations of generated images can be larger.
const maxDocument = 16 << 20

// Descriptor points at a blob (OCI image specification, descriptor.md).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// document is an OCI or Docker image manifest or index: which one it is shows in its fields.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *Descriptor       `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Manifests     []Descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations"`
}

// Platform is what an image runs on.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// String returns os/arch[/variant].
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// ParsePlatform reads "os/arch[/variant]". "" is linux on this machine's
// architecture: images for other systems are not scanned.
func ParsePlatform(s string) (Platform, error) {
	if s == "" {
		return Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return Platform{}, seawall.WithHint(
			fmt.Errorf("platform %q: %w: want OS/ARCH or OS/ARCH/VARIANT", s, seawall.ErrUsage),
			"for example --platform linux/arm64")
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p.normal(), nil
}

// normal writes the spellings of one platform one way: x86_64 is amd64,
// aarch64 and arm64/v8 are arm64, arm without a variant is arm/v7, amd64/v1 is amd64.
func (p Platform) normal() Platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	switch {
	case p.Architecture == "arm64" && (p.Variant == "v8" || p.Variant == "8"),
		p.Architecture == "amd64" && p.Variant == "v1":
		p.Variant = ""
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	}
	return p
}

// fit says how well an image for p serves a wish: 0 not at all, greater is
// better. An arm variant runs what older variants were built for, as does an amd64 level.
func (p Platform) fit(want Platform) int {
	p, want = p.normal(), want.normal()
	switch {
	case p.OS != want.OS || p.Architecture != want.Architecture:
		return 0
	case p.Variant == want.Variant:
		return 100
	case p.Variant == "":
		return 50
	case want.Variant != "" && p.Variant < want.Variant:
		return int(p.Variant[len(p.Variant)-1]-'0') + 1
	default:
		return 0
	}
}

// parseDocument decodes a manifest or index and checks that it is one we can read.
func parseDocument(raw []byte) (*document, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("%w: not JSON: %w", seawall.ErrCorrupt, err)
	}
	switch {
	case d.SchemaVersion == 1:
		return nil, seawall.WithHint(fmt.Errorf("%w: a Docker schema 1 manifest, which was retired in 2020", seawall.ErrUnreadable),
			"push the image again with a current tool")
	case d.Config == nil && d.Manifests == nil:
		return nil, fmt.Errorf("%w: neither an image manifest nor an index", seawall.ErrCorrupt)
	}
	return &d, nil
}

// isIndex tells an index from an image manifest.
func (d *document) isIndex() bool { return d.Config == nil }

// checkImage refuses manifests that are artifacts of another kind: signatures, charts, attestations.
func (d *document) checkImage() error {
	kind := d.ArtifactType
	switch d.Config.MediaType {
	case "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json", "":
	default:
		kind = d.Config.MediaType
	}
	for i := range d.Layers {
		if m := d.Layers[i].MediaType; kind == "" && m != "" && !strings.Contains(m, "tar") && !strings.Contains(m, "rootfs.diff") {
			kind = m
		}
	}
	if kind != "" {
		return fmt.Errorf("%w: an artifact of type %s, not a container image", errArtifact, kind)
	}
	for i := range d.Layers {
		if d.Layers[i].Size <= 0 {
			return fmt.Errorf("layer %d: %w: its descriptor states no size", i, seawall.ErrCorrupt)
		}
	}
	return nil
}

// errArtifact: the manifest is of something else than a container image.
var errArtifact = fmt.Errorf("%w", seawall.ErrUnreadable)

// isAttestation tells BuildKit's attestation manifests, which sit beside images in an index.
func isAttestation(d *Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] != "" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

// pick returns the manifests of an index worth trying for a platform, best
// first. wish is what the user asked for, "" for the default. Descriptors
// without a platform (nested indexes, old tools) come last and are judged once read.
func pick(manifests []Descriptor, wish string) ([]Descriptor, error) {
	want, err := ParsePlatform(wish)
	if err != nil {
		return nil, err
	}
	type candidate struct {
		Descriptor
		fit int
	}
	var found []candidate
	var images []Descriptor
	for _, d := range manifests {
		if isAttestation(&d) {
			continue
		}
		images = append(images, d)
		if d.Platform == nil || d.Platform.OS == "" {
			found = append(found, candidate{d, 0})
		} else if f := d.Platform.fit(want); f > 0 {
			found = append(found, candidate{d, f})
		}
	}
	if len(found) == 0 && len(images) == 1 && wish == "" {
		return images, nil
	}
	if len(found) == 0 {
		return nil, noPlatform(want, images)
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return b.fit - a.fit })
	out := make([]Descriptor, len(found))
	for i := range found {
		out[i] = found[i].Descriptor
	}
	return out, nil
}

// noPlatform says which platforms there are instead.
func noPlatform(want Platform, images []Descriptor) error {
	var have []string
	for i := range images {
		if p := images[i].Platform; p != nil {
			have = append(have, p.String())
		}
	}
	slices.Sort(have)
	have = slices.Compact(have)
	if len(have) == 0 {
		return fmt.Errorf("%w: the index lists no image", seawall.ErrUnreadable)
	}
	return seawall.WithHint(
		fmt.Errorf("%w: no image for %s; there are %s", ErrOtherPlatform, want, strings.Join(have, ", ")),
		"choose one with --platform "+have[0])
}

// Digest is the sha256 digest of raw.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// CheckDigest tells whether s is a digest we can verify: sha256 or sha512 in lower-case hexadecimal.
func CheckDigest(s string) error {
	algorithm, sum, ok := strings.Cut(s, ":")
	want := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	if !ok || want == 0 {
		return fmt.Errorf("%w: digest %q: want sha256:HEX or sha512:HEX", seawall.ErrCorrupt, s)
	}
	if _, err := hex.DecodeString(sum); err != nil || len(sum) != want || strings.ToLower(sum) != sum {
		return fmt.Errorf("%w: digest %q: want %d lower-case hexadecimal digits", seawall.ErrCorrupt, s, want)
	}
	return nil
}
