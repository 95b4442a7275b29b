// Package store is what the server remembers: what scans said of images, what
// admission decided, what the background scan found, and since when findings are
// known. It holds the port; package sql implements it, and package storetest is
// what every implementation must pass.
//
//	scan ──PutVerdict──►┌───────┐◄──PutResult── background scan
//	admission ─Verdict─►│ store │──Results, Reviews──► people
//	          ─AddReviews►      │
//	                    └───────┘
//
// Everything is keyed by what does not change: images by digest, objects by UID.
// Nothing of an object but its name is kept, so that no secret can be.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// ErrNotFound says that there is no such record.
var ErrNotFound = errors.New("not in the store")

// Verdict is what a scan said of an image.
type Verdict struct {
	// Digest is the one that references name, of an index for a multi-platform image.
	Digest string
	// Asset is the image; its Digest may be that of one platform's manifest.
	Asset seawall.Asset
	// Packages counts what is installed.
	Packages int
	// Findings are all of them, suppressed ones included.
	Findings []seawall.Finding
	// Coverage says what could be judged at all.
	Coverage []seawall.Coverage
	// Scanned is when, to the millisecond.
	Scanned time.Time
	// Scanner is the version of the program, Database when its advisory database was built.
	Scanner, Database string
	// FirstSeen is since when its findings are known, by identifier; Verdict fills it.
	FirstSeen map[string]time.Time
}

// Stale says whether a scan now could come to something else: another program,
// another database, or older than maxAge (0: no age is too old).
func (v *Verdict) Stale(scanner, database string, now time.Time, maxAge time.Duration) bool {
	return v.Scanner != scanner || v.Database != database || maxAge > 0 && now.Sub(v.Scanned) > maxAge
}

// Verdicts are those of images.
type Verdicts interface {
	// Verdict is the last one of an image; the error wraps ErrNotFound without one.
	Verdict(ctx context.Context, digest string) (*Verdict, error)
	// PutVerdict replaces an image's, and notes its failing findings as seen when it was scanned.
	PutVerdict(ctx context.Context, v *Verdict) error
	// Digests are all images with a verdict, the last scanned first, at most limit.
	Digests(ctx context.Context, limit int) ([]string, error)
	// PruneVerdicts forgets those scanned before and says how many.
	PruneVerdicts(ctx context.Context, before time.Time) (int, error)
}

// Review is one answer of admission.
type Review struct {
	// UID is the request's.
	UID string `json:"uid"`
	// Time is when, to the millisecond.
	Time    time.Time `json:"time"`
	Cluster string    `json:"cluster,omitempty"`
	// Operation is CREATE, UPDATE, DELETE or CONNECT.
	Operation string `json:"operation"`
	// Kind is "Deployment.apps", SubResource "exec".
	Kind        string `json:"kind"`
	SubResource string `json:"subResource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name"`
	User        string `json:"user"`
	DryRun      bool   `json:"dryRun,omitempty"`
	Allowed     bool   `json:"allowed"`
	// Outcome is admission's word for how the answer came about.
	Outcome   string             `json:"outcome"`
	Decisions []seawall.Decision `json:"decisions,omitempty"`
}

// ReviewQuery selects reviews; zero fields select all.
type ReviewQuery struct {
	Namespace string
	// Denied selects those that were not allowed.
	Denied bool
	Since  time.Time
	// Limit is how many at most; 0 is 1,000.
	Limit int
}

// Reviews are the answers of admission.
type Reviews interface {
	// AddReviews notes answers, all or none.
	AddReviews(ctx context.Context, reviews []Review) error
	// Reviews are those that fit, the newest first.
	Reviews(ctx context.Context, q ReviewQuery) ([]Review, error)
	// PruneReviews forgets those from before and says how many.
	PruneReviews(ctx context.Context, before time.Time) (int, error)
}

// Result is what the background scan says of an object.
type Result struct {
	UID        string             `json:"uid"`
	Cluster    string             `json:"cluster,omitempty"`
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Namespace  string             `json:"namespace,omitempty"`
	Name       string             `json:"name"`
	Judged     time.Time          `json:"judged"`
	Findings   []seawall.Finding  `json:"findings,omitempty"`
	Decisions  []seawall.Decision `json:"decisions,omitempty"`
}

// ResultQuery selects results; zero fields select all.
type ResultQuery struct {
	Cluster, Namespace, Kind string
	// Decided selects those with decisions.
	Decided bool
	// After is the UID of the last result that the caller has; results are in order of their UIDs.
	After string
	// Limit is how many at most; 0 is 1,000.
	Limit int
}

// Results are those of the background scan, one for each object.
type Results interface {
	// PutResult replaces an object's, and notes its failing findings as seen when it was judged.
	PutResult(ctx context.Context, r *Result) error
	// DeleteResult forgets an object; one that is not there is no error.
	DeleteResult(ctx context.Context, uid string) error
	// Results are those that fit, by UID.
	Results(ctx context.Context, q ResultQuery) ([]Result, error)
	// PruneResults forgets a cluster's objects last judged before and says how many:
	// after everything was judged again, the rest is gone.
	PruneResults(ctx context.Context, cluster string, before time.Time) (int, error)
}

// Sightings say since when findings are known, for policies' graces.
type Sightings interface {
	// FirstSeen is since when these findings are known; ones never seen are not in it.
	FirstSeen(ctx context.Context, ids []string) (map[string]time.Time, error)
	// PruneSightings forgets findings that nobody saw since and says how many.
	PruneSightings(ctx context.Context, before time.Time) (int, error)
}

// Store is all of it. Implementations are safe for concurrent use.
type Store interface {
	Verdicts
	Reviews
	Results
	Sightings
	// Close ends it; what was put is kept.
	Close() error
}
