// Package admission answers the API server's question whether a request may pass:
// by the same policies, findings and exceptions that judge in CI, registries and at
// run time.
//
//	AdmissionReview ─► Request ─► gather Facts ─► Decide (pure) ─► Response ─► AdmissionReview
//	                               │ namespace, images' digests, signatures and verdicts,
//	                               │ controls' findings: only what some policy asks about
//	                               └► queue: scan what nobody scanned (Run)
//
// Every review is answered, within the deadline of the API server (?timeout=). What
// cannot be judged (overload, a panic, no time left) is answered by each policy's
// failure mode: open lets it pass with a warning, closed denies it. Only a body that
// is no AdmissionReview gets an HTTP error, which the API server treats by the
// webhook's own failurePolicy.
//
// Paths: /validate and /mutate judge by all policies; /validate/open, /mutate/open by
// those whose failure is open, and /validate/closed, /mutate/closed by the others, so
// that webhooks with either failurePolicy can be registered.
//
// What is asked: requests to create and update; others (DELETE, CONNECT) only by
// policies whose match.operations name them, subresources with kinds of their own
// (Scale, Eviction) only by those whose match.kinds do. Updates that change neither
// spec nor labels nor annotations, and those of objects on their way out, always pass.
//
// Subpackages do what a webhook needs in a cluster: certificates, registration,
// watching policies.
package admission

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

// Config is what a Handler is made of. Only Policies is required: what is nil is not
// known, and policies that ask about it are told so.
type Config struct {
	// Policies is the snapshot in force, never nil. It is asked once for every review
	// and must not block.
	Policies func() *Snapshot
	// Cluster is its name in policies and records.
	Cluster string
	// Namespace is a Namespace as the API server gives it. An error says that it is not
	// known, which counts as such in policies; a cache that may be behind asks the API
	// server before it says so.
	Namespace func(ctx context.Context, name string) (map[string]any, error)
	// Exempt are patterns of namespaces where nothing is judged: Seawall's own, so that
	// it can always start again.
	Exempt []string

	// Verdicts are what scans said of images, Scanner says it of new ones.
	Verdicts Verdicts
	Scanner  Scanner
	// Resolver and Verifier ask registries; what they say is kept for a while.
	Resolver Resolver
	Verifier Verifier
	// Detectors judge objects, Frameworks are what their findings are about.
	Detectors  []detect.Detector
	Frameworks func(f *seawall.Finding, now time.Time) []string
	// Sightings date the findings of objects, for graces.
	Sightings store.Sightings

	// Reviews remembers the answers; Run writes them.
	Reviews store.Reviews
	// Decided is told every decision, and must not block.
	Decided func(d *seawall.Decision)
	// Metrics is where the metrics of docs/guide/admission.md are registered.
	Metrics prometheus.Registerer
	// Log is told what goes wrong; nil discards it.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now    func() time.Time
	Limits Limits
}

// Limits bound what reviews may take. Zero fields have the defaults told.
type Limits struct {
	// Body is the size of one review: 10 MiB, twice the API server's own bound on an
	// object and room for the rest.
	Body int64
	// InFlight is the sum of the sizes of all reviews at once (16 MiB; one counts as at
	// least 64 KiB). Who finds no room within half of its time is answered by failure mode.
	InFlight int64
	// Waiting is how many reviews at once may wait for a scan (100); others do not wait.
	Waiting int
	// Timeout is a review's time where the API server names none (10 s).
	Timeout time.Duration
	// Scans is how many images are scanned at once (2), Queue how many wait for it (1,000).
	Scans, Queue int
	// Images is how many images' verdicts, digests and signatures are kept in memory (1,000),
	// Findings how many of their findings, and again of objects' (50,000 each).
	Images, Findings int
}

// Verdicts are those of package store that admission needs.
type Verdicts interface {
	// Verdict is the last one of an image; the error wraps store.ErrNotFound without one.
	Verdict(ctx context.Context, digest string) (*store.Verdict, error)
	PutVerdict(ctx context.Context, v *store.Verdict) error
}

// Image names an image and who pulls it.
type Image struct {
	// Name is the whole reference, "docker.io/library/nginx:1.25". For Scan and Verify it
	// ends in "@" and Digest.
	Name   string
	Digest string
	// Namespace, ServiceAccount and PullSecrets are the pod's, for credentials.
	Namespace      string
	ServiceAccount string
	PullSecrets    []string
}

// Scanner scans images.
type Scanner interface {
	// Scan comes to a verdict, whose Digest is the image's. It is called by Run, for
	// a digest by one goroutine at a time.
	Scan(ctx context.Context, image Image) (*store.Verdict, error)
	// Stale says whether another scan now could come to something else.
	Stale(v *store.Verdict, now time.Time) bool
}

// Resolver finds out what tags are.
type Resolver interface {
	// Resolve is the digest of the image that a reference names now.
	Resolve(ctx context.Context, image Image) (digest string, err error)
}

// Verifier judges images' signatures by what the operator asked for.
type Verifier interface {
	// Verify tells what became of the signatures. An error says that it could not be
	// found out, and is asked again the next time.
	Verify(ctx context.Context, image Image) (*seawall.Verification, error)
}
