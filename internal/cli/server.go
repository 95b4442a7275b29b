package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/server"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/registry"
)

// serverImages lends the server the scanning of images.
func (a *app) serverImages() server.Images {
	var f scanFlags
	return server.Images{
		AddFlags: func(cmd *cobra.Command) {
			f.databaseFlags.add(cmd)
			f.scannerFlags.add(cmd)
			f.signatures.Add(cmd)
			flags := cmd.Flags()
			flags.StringVar(&f.platform, "platform", "", "which image of a multi-platform one is scanned (default: linux on this machine's architecture)")
			flags.StringSliceVar(&f.insecure, "insecure", nil, "registries (host[:port]) to reach over plain HTTP or unverified TLS")
			flags.BoolVar(&f.offline, "offline", false, "ask no registry: images are judged by what is known of them")
			flags.StringVar(&f.cacheDir, "cache-dir", "", "where analysed layers and databases are kept (default: the user's cache directory)")
		},
		Open: func(cmd *cobra.Command) (*server.Scanning, error) { return a.openScanning(cmd, &f) },
	}
}

// openScanning does once what every scan needs.
func (a *app) openScanning(cmd *cobra.Command, f *scanFlags) (*server.Scanning, error) {
	cfg, err := a.scanConfig(cmd, f)
	if err != nil {
		return nil, err
	}
	known, err := a.openEditions(f, cfg)
	if err != nil {
		return nil, err
	}
	objects := scan.Config{}
	if err := f.addControls(&objects); err != nil {
		return nil, errors.Join(err, known.close())
	}
	s := &server.Scanning{Detectors: objects.Detectors, Frameworks: compliance.NewMapper().Frameworks, Database: known.built, Refresh: known.refresh, Close: known.close}
	if f.signatures.Wanted() {
		dir, err := a.cacheDirectory(f.cacheDir)
		if err == nil {
			s.Verify, err = f.signatures.Verify(cmd, a.env(), dir, a.sourceOptions(f))
		}
		if err != nil {
			return nil, errors.Join(err, known.close())
		}
	}
	s.Resolve = func(ctx context.Context, name string) (string, error) {
		return registry.Opener{}.Digest(ctx, name, a.sourceOptions(f))
	}
	s.Scan = func(ctx context.Context, name string) (*seawall.Report, error) {
		report := &seawall.Report{}
		e := known.take()
		outcome, err := scan.Run(ctx, e.cfg, a.targets(f, "", []string{name}), reporter{report})
		err = errors.Join(err, known.release(e))
		if err == nil && len(outcome.Errors) > 0 {
			err = outcome.Errors[0]
		}
		if err == nil && len(outcome.Failed) > 0 {
			err = fmt.Errorf("%s: %w: %s: %s", name, seawall.ErrUnreadable, outcome.Failed[0].Name, outcome.Failed[0].Reason)
		}
		return report, err
	}
	return s, nil
}

// reporter gathers a run's messages in a report.
type reporter struct{ report *seawall.Report }

// Handle implements scan.Handler.
func (r reporter) Handle(_ context.Context, m seawall.Message) error {
	r.report.Apply(m)
	return nil
}
