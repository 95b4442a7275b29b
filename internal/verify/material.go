package verify

import (
	"io"
	"strings"
)

// Format says how a signature is stored.
type Format string

// The formats.
const (
	// FormatBundle is a Sigstore bundle (https://docs.sigstore.dev/about/bundle/).
	FormatBundle Format = "sigstore-bundle"
	// FormatSimpleSigning is a layer of cosign's sha256-….sig tag: the signed payload
	// with everything else in annotations.
	FormatSimpleSigning Format = "cosign-signature"
	// FormatEnvelope is a layer of cosign's sha256-….att tag: a DSSE envelope with
	// certificate and log entry in annotations.
	FormatEnvelope Format = "cosign-attestation"
	// FormatNotary is a Notary Project signature envelope, JWS or COSE.
	FormatNotary Format = "notary"
)

// FormatOf returns the format of a stored blob by its media type.
func FormatOf(mediaType string) (Format, bool) {
	switch mediaType {
	case "application/vnd.dev.cosign.simplesigning.v1+json":
		return FormatSimpleSigning, true
	case "application/vnd.dsse.envelope.v1+json":
		return FormatEnvelope, true
	case "application/jose+json", "application/cose":
		return FormatNotary, true
	}
	return FormatBundle, strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle")
}

// MaxContent bounds one signature or attestation: the largest SBOM attestations are tens of megabytes.
const MaxContent = 64 << 20

// Material is one signature or attestation as it was found, not yet judged.
type Material struct {
	Format Format
	// MediaType is the stored blob's, where Format alone does not say enough.
	MediaType   string
	Content     []byte
	Annotations map[string]string
	// Place is where it was found, for people: a file name, a tag, a referrer's digest.
	Place string
	// Err is why there is no Content.
	Err error
}

// Subject is what must have been signed.
type Subject struct {
	// Digest is "sha256:…", "sha384:…" or "sha512:…".
	Digest string
	// Descriptor is the signed manifest's media type and size, which Notary
	// signatures are about as well; empty for files.
	MediaType string
	Size      int64
	// Open returns the artifact itself; nil when only its digest is known. Ed25519
	// signatures of files cannot be judged without it.
	Open func() (io.ReadCloser, error)
}
