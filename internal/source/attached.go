package source

import "context"

// Attached is a blob stored beside an image because it is about it: a
// signature, an attestation.
type Attached struct {
	// MediaType is the blob's.
	MediaType string
	// Annotations are those of the layer, over those of its manifest.
	Annotations map[string]string
	Content     []byte
	// Place says where it was found: a tag, or a referring manifest's digest.
	Place string
	// Err is why Content could not be read although the place answers: it lies about
	// its digest, or is over a bound.
	Err error
}

// Attachments are what lies beside one image.
type Attachments struct {
	// Digest, MediaType and Size are of what the name leads to, an index where the
	// image is for several platforms: that is what people sign.
	Digest    string
	MediaType string
	Size      int64
	Found     []Attached
	// Known: Wanted.Known said so, and nothing was fetched.
	Known bool
}

// Wanted says what is to be fetched.
type Wanted struct {
	// MediaType tells whether blobs of a media type are wanted.
	MediaType func(mediaType string) bool
	// Known is asked once, when the name's digest is known: true ends the fetching.
	Known func(digest string) bool
}

// Attacher is an optional second interface of an Opener whose place can hold
// more than the image itself.
type Attacher interface {
	// Attached fetches the blobs wanted that refer to the image: by the OCI subject
	// field, or by cosign's tags sha256-….sig and sha256-….att.
	Attached(ctx context.Context, name string, o Options, w Wanted) (Attachments, error)
}
