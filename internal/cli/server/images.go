package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/admission"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/store"
)

// Images is what package cli lends: scanning, as its scan commands do it.
type Images struct {
	// AddFlags adds the flags that say how.
	AddFlags func(cmd *cobra.Command)
	// Open reads them.
	Open func(cmd *cobra.Command) (*Scanning, error)
}

// Scanning is what the flags came to.
type Scanning struct {
	// Scan scans the image of a reference.
	Scan func(ctx context.Context, name string) (*seawall.Report, error)
	// Resolve is the digest of a reference.
	Resolve func(ctx context.Context, name string) (string, error)
	// Verify notes in an image what became of its signatures; nil where none was asked for.
	Verify func(ctx context.Context, name string, image *seawall.Asset)
	// Detectors judge Kubernetes objects, Frameworks are what their findings are about.
	Detectors  []detect.Detector
	Frameworks func(f *seawall.Finding, now time.Time) []string
	// Database is when the advisory database was built. Refresh opens it anew when its
	// file was replaced, and says whether it was; on an error the old one stays.
	Database func() string
	Refresh  func() (bool, error)
	Close    func() error
}

// maxAge is how old a verdict gets before its image is scanned again.
const maxAge = 24 * time.Hour

// imageLookup answers what admission asks about images.
type imageLookup struct {
	*Scanning
	version string
}

// Scan implements admission.Scanner.
func (l *imageLookup) Scan(ctx context.Context, image admission.Image) (*store.Verdict, error) {
	report, err := l.Scanning.Scan(ctx, image.Name)
	if err != nil {
		return nil, err
	}
	if report.Asset == nil || report.Database == nil {
		return nil, fmt.Errorf("%s: %w: the scan has no asset or database", image.Name, seawall.ErrUnreadable)
	}
	scanned, err := time.Parse(time.RFC3339, report.Run.Started)
	if err != nil {
		return nil, fmt.Errorf("%s: when it was scanned: %w", image.Name, err)
	}
	return &store.Verdict{
		Digest: image.Digest, Asset: *report.Asset, Packages: len(report.Packages), Findings: report.Findings, Coverage: report.Coverage,
		Scanned: scanned, Scanner: l.version, Database: report.Database.Built,
	}, nil
}

// refreshEvery is how often the advisory database is looked at.
const refreshEvery = 30 * time.Second

// refresh takes up databases that were updated, until ctx ends. What was judged by an
// older one is stale from then on.
func (s *Scanning) refresh(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshEvery):
		}
		switch fresh, err := s.Refresh(); {
		case err != nil:
			log.Error("the advisory database was replaced by one that cannot be used: the old one stays", "error", err)
		case fresh:
			log.Info("advisory database replaced", "built", s.Database())
		}
	}
}

// Stale implements admission.Scanner.
func (l *imageLookup) Stale(v *store.Verdict, now time.Time) bool {
	return v.Stale(l.version, l.Database(), now, maxAge)
}

// Resolve implements admission.Resolver.
func (l *imageLookup) Resolve(ctx context.Context, image admission.Image) (string, error) {
	return l.Scanning.Resolve(ctx, image.Name)
}

// Verify implements admission.Verifier.
func (l *imageLookup) Verify(ctx context.Context, image admission.Image) (*seawall.Verification, error) {
	asset := &seawall.Asset{Kind: seawall.AssetImage, Name: image.Name, Image: &seawall.ImageInfo{}}
	l.Scanning.Verify(ctx, image.Name, asset)
	v := asset.Image.Verification
	switch {
	case v == nil:
		return nil, fmt.Errorf("%s: nothing was verified: %w", image.Name, seawall.ErrUnreadable)
	case v.Error != "":
		return nil, errors.New(v.Error)
	}
	return v, nil
}
