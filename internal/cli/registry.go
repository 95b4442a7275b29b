package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	registryaudit "github.com/seawall-security/seawall/internal/detect/registry"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/scan/cache"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/registry"
)

func (a *app) scanRegistryCommand() *cobra.Command {
	var f scanFlags
	var w registry.Walk
	cmd := &cobra.Command{
		Use:   "registry HOST[/PREFIX]",
		Short: "Scan every image of a registry, and the registry itself",
		Long: `Scan the images of a registry, all of them or those below a prefix, and look at
the registry itself: how it is spoken to, who may list, pull, push and delete,
known vulnerabilities of its software, tags that moved since the last scan,
images that nobody signed, repositories that nobody updates.

An image with many tags is scanned once, and so is a layer of many images. A
scan that was interrupted goes on where it was when the command is given again.
Logins are docker's and podman's, their credential helpers included.

Nothing is changed in the registry. --write-probe allows two requests that ask
for more: an upload that is begun and taken back, and the removal of a manifest
that does not exist.`,
		Example: `  seawall scan registry registry.example.org
  seawall scan registry registry.example.org/team --newest 3 --exclude '**/cache'
  seawall scan registry ghcr.io --repository org/app --repository org/api
  seawall scan registry localhost:5000 --include 'team/*:v1.*' --format html=registry.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.Registry = args[0]
			return a.runRegistry(cmd, &f, w)
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.platform, "platform", "", "scan this platform of every image (default: linux on this machine's architecture, else the first for linux)")
	flags.StringSliceVar(&f.insecure, "insecure", nil, "registries (host[:port]) to reach over plain HTTP or unverified TLS")
	f.signatures.Add(cmd)
	flags.StringSliceVar(&w.Repositories, "repository", nil, "scan these instead of what the registry lists")
	flags.StringSliceVar(&w.Include, "include", nil, "only these: globs of REPOSITORY or REPOSITORY:TAG (* is anything but a slash, ** anything)")
	flags.StringSliceVar(&w.Exclude, "exclude", nil, "none of these: globs as in --include")
	flags.IntVar(&w.Newest, "newest", 0, "only this many images of each repository, the last built (default: all)")
	flags.IntVar(&w.Parallel, "parallel", 4, "how many requests and scans may be under way")
	flags.Float64Var(&w.Rate, "rate", 0, "at most this many requests a second (default: no bound; the registry's own is always kept)")
	flags.BoolVar(&w.WriteProbe, "write-probe", false, "try whether pushing and deleting are possible, with an upload that is taken back and a manifest that does not exist")
	return cmd
}

// runRegistry walks a registry as the first target of a run; its images follow.
func (a *app) runRegistry(cmd *cobra.Command, f *scanFlags, w registry.Walk) error {
	if w.Newest < 0 || w.Parallel < 1 || w.Rate < 0 {
		return command.Usage(cmd, fmt.Errorf("--newest and --rate want a number from 0, --parallel one from 1"))
	}
	cacheDir, remove, err := a.registryCache(f)
	if err != nil {
		return err
	}
	defer remove()
	w.Dir, w.Now = filepath.Join(cacheDir, "registry"), a.clock()
	var listing *registry.Listing
	defer func() {
		if listing != nil {
			_ = listing.Close()
		}
	}()
	options := source.Options{Platform: f.platform, Offline: f.offline, Insecure: f.insecure}
	target := scan.Target{
		Name: w.Registry,
		Open: func(ctx context.Context, progress func(seawall.Progress)) (seawall.Target, error) {
			o := options
			o.Progress = progress
			if listing, err = (registry.Opener{}).Walk(ctx, w, o); err != nil {
				return nil, err
			}
			return listing.Target(), nil
		},
		Members: func() []scan.Target { return members(listing, options) },
	}
	err = a.runTargets(cmd, f, []scan.Target{target}, func(cfg *scan.Config) error {
		cfg.Parallel = w.Parallel
		// The audit is not one of the scanners, which look into images.
		cfg.Detectors = append(cfg.Detectors, registryaudit.Detector{})
		if cfg.Cache == nil {
			c, err := cache.Open(cacheDir, 0)
			cfg.Cache = c
			return err
		}
		return nil
	})
	if listing != nil && !listing.Resumed.IsZero() && !f.quiet {
		fmt.Fprintf(a.Stderr, "seawall: went on with the scan that was interrupted: tags may be as of %s\n", listing.Resumed.Format(time.DateTime))
	}
	if listing != nil && cmd.Context().Err() == nil {
		if completeErr := listing.Complete(); err == nil {
			err = completeErr
		}
	}
	return err
}

// registryCache is the cache directory; with --no-cache one that lasts as long as the run,
// because images share layers.
func (a *app) registryCache(f *scanFlags) (dir string, remove func(), err error) {
	if !f.noCache {
		dir, err = a.cacheDirectory(f.cacheDir)
		return dir, func() {}, err
	}
	if dir, err = os.MkdirTemp("", "seawall-registry-*"); err != nil {
		return "", nil, err
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// members are the images of a registry as targets.
func members(listing *registry.Listing, options source.Options) []scan.Target {
	var targets []scan.Target
	for i := range listing.Images {
		img := &listing.Images[i]
		targets = append(targets, scan.Target{Name: img.Name, Open: func(ctx context.Context, progress func(seawall.Progress)) (seawall.Target, error) {
			o := options
			o.Progress = progress
			return listing.Open(ctx, img, o)
		}})
	}
	return targets
}
