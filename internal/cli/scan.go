package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/policy"
	"github.com/seawall-security/seawall/internal/cli/posture"
	"github.com/seawall-security/seawall/internal/cli/progress"
	"github.com/seawall-security/seawall/internal/cli/seen"
	"github.com/seawall-security/seawall/internal/cli/verify"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/detect/inuse"
	"github.com/seawall-security/seawall/internal/detect/signature"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/scan/baseimage"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/source"
	sourceall "github.com/seawall-security/seawall/internal/source/all"
)

// scanFlags are the settings every kind of scan has.
type scanFlags struct {
	outputFlags
	databaseFlags
	suppressFlags
	scannerFlags
	policies        policy.ScanFlags
	signatures      verify.ScanFlags
	failOn          string
	name            string
	offline         bool
	platform        string
	insecure        []string
	namespace       string
	allFileSystems  bool
	strict          bool
	requireCoverage bool
	exitZero        bool
	quiet           bool
	noProgress      bool
	verbose         bool
	cacheDir        string
	noCache         bool
	timeout         time.Duration
	inUse           []string
}

func (f *scanFlags) add(cmd *cobra.Command) {
	f.outputFlags.add(cmd)
	f.databaseFlags.add(cmd)
	f.suppressFlags.add(cmd)
	f.scannerFlags.add(cmd)
	f.policies.Add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.failOn, "fail-on", "", "exit 1 on an unsuppressed finding this severe or worse: critical, high, medium, low, any")
	flags.StringVar(&f.name, "name", "", "call the target by this name in reports")
	flags.BoolVar(&f.offline, "offline", false, "refuse everything that would leave this machine")
	flags.BoolVar(&f.strict, "strict", false, "exit 3 when a single file could not be read or judged")
	flags.BoolVar(&f.requireCoverage, "require-coverage", false, "exit 3 when packages have no advisories in the database")
	flags.BoolVar(&f.exitZero, "exit-zero", false, "exit 0 where --fail-on or --policy would exit 1")
	flags.BoolVar(&f.quiet, "quiet", false, "only results and errors: no progress, no warnings")
	flags.BoolVar(&f.noProgress, "no-progress", false, "no progress line (it only shows on a terminal)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "name every file that could not be read")
	flags.StringVar(&f.cacheDir, "cache-dir", "", "where analysed layers and databases are kept (default: the user's cache directory)")
	flags.BoolVar(&f.noCache, "no-cache", false, "analyse every layer again and keep nothing")
	flags.StringSliceVar(&f.inUse, "in-use", nil, "what seawall-agent saw loaded (its --in-use files): findings about packages say whether they are in use")
	flags.DurationVar(&f.timeout, "timeout", 0, "give up after this long, for example 10m (default: no limit)")
	_ = cmd.RegisterFlagCompletionFunc("fail-on", command.FixedCompletion("critical", "high", "medium", "low", "any"))
}

func (f *scanFlags) addImage(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.bases, "base", nil, "base images, to tell what a newer base would mend from what is the image's own")
	flags.StringVar(&f.platform, "platform", "", "which image of a multi-platform one, for example linux/arm64 (default: linux on this machine's architecture)")
	flags.StringSliceVar(&f.insecure, "insecure", nil, "registries (host[:port]) to reach over plain HTTP or unverified TLS")
	f.signatures.Add(cmd)
	flags.StringVar(&f.namespace, "namespace", "", "containerd namespace (default: default, then k8s.io)")
}

func (a *app) scanCommand() *cobra.Command {
	return command.Group("scan", "Find what is dangerous in images, filesystems, hosts, SBOMs, manifests and clusters",
		"Scan finds known vulnerabilities in what is installed, bundled or declared, and with\n--scanners secrets, malware, misconfiguration and licences. It says plainly what it\ncould not judge. Each target kind has its own command.",
		a.scanImageCommand(),
		a.scanDirectoryCommand("rootfs", "rootfs DIR...", "Scan root filesystems: unpacked images, mounted disks, chroots", "  seawall scan rootfs ./rootfs\n  seawall scan rootfs /mnt/disk --format json", "rootfs:"),
		a.scanDirectoryCommand("fs", "fs [PATH...]", "Scan source trees: lock files, manifests, bundled packages", "  seawall scan fs .\n  seawall scan fs ./package-lock.json --fail-on high", "fs:"),
		a.scanHostCommand(),
		a.scanSBOMCommand(),
		a.scanRegistryCommand(),
		posture.Manifests(a.env(), a.postureScan()),
		posture.Cluster(a.env(), a.postureScan()),
	)
}

func (a *app) scanImageCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "image TARGET...",
		Short: "Scan container images",
		Long: `Scan container images, wherever they are:

  REF                     in a registry (nginx, ghcr.io/org/app:1, host:5000/app@sha256:…)
  oci:DIR[:TAG|@DIGEST]   an OCI image layout directory
  oci-archive:TAR         the same as a tar
  docker-archive:TAR      what docker save wrote; - is standard input
  docker:REF              a Docker or podman engine, through its socket
  containerd:REF          containerd's content store

The path of an archive or a layout works too (./build, image.tar): it is
recognised by its content. A bare word is always a name in a registry.
Layers already analysed are taken from the cache.`,
		Example: `  seawall scan image nginx:1.25
  seawall scan image oci:./build docker-archive:old.tar --format json
  docker save app | seawall scan image docker-archive:- --fail-on high
  seawall scan image registry.example.org/app:1 --platform linux/arm64`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Contains(args, "-") {
				return command.Usage(cmd, errors.New("- alone says nothing of the form: give docker-archive:- for standard input"))
			}
			return a.runScan(cmd, &f, "", args)
		},
	}
	f.add(cmd)
	f.addImage(cmd)
	return cmd
}

func (a *app) scanDirectoryCommand(name, use, short, example, scheme string) *cobra.Command {
	var f scanFlags
	args := cobra.MinimumNArgs(1)
	if name == "fs" {
		args = cobra.ArbitraryArgs
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			if f.history {
				if len(args) > 1 || !slices.Contains(f.scanners, "secret") {
					return command.Usage(cmd, errors.New("--history takes one PATH and needs --scanners secret"))
				}
				f.historyOf = args[0]
			}
			return a.runScan(cmd, &f, scheme, args)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	f.add(cmd)
	if name == "fs" {
		cmd.Flags().BoolVar(&f.history, "history", false, "with the secret scanner: search every version in the git history, too")
	}
	return cmd
}

func (a *app) scanHostCommand() *cobra.Command {
	var f scanFlags
	f.host = true
	root := "/"
	cmd := &cobra.Command{
		Use:     "host",
		Short:   "Scan this machine",
		Long:    "Scan this machine's root filesystem. Other mounts, and the storage of container engines,\nare left out unless --all-file-systems is given.",
		Example: "  seawall scan host\n  seawall scan host --root /host --format json      from inside a privileged pod",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runScan(cmd, &f, "host:", []string{root}) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&root, "root", root, "where the machine's root is mounted")
	cmd.Flags().BoolVar(&f.allFileSystems, "all-file-systems", false, "descend into other mounts and container storage")
	return cmd
}

func (a *app) scanSBOMCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:     "sbom FILE...",
		Short:   "Scan software bills of materials: CycloneDX 1.2 to 1.7, SPDX 2.2 and 2.3",
		Example: "  seawall scan sbom app.cdx.json\n  seawall scan sbom app.spdx --fail-on critical",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runTargets(cmd, &f, a.targets(&f, "sbom:", args), func(cfg *scan.Config) error {
				posture.WithoutFiles(cfg, "seawall scan image REF")
				return nil
			})
		},
	}
	f.add(cmd)
	return cmd
}

// runScan scans the targets named by args.
func (a *app) runScan(cmd *cobra.Command, f *scanFlags, scheme string, args []string) error {
	return a.runTargets(cmd, f, a.targets(f, scheme, args), func(cfg *scan.Config) error {
		finder, err := a.baseFinder(cmd.Context(), f)
		cfg.Bases = finder
		return err
	})
}

// baseFinder tells base images: those named, those of labels, and those seen before.
func (a *app) baseFinder(ctx context.Context, f *scanFlags) (*baseimage.Finder, error) {
	finder := &baseimage.Finder{}
	if dir, err := a.cacheDirectory(f.cacheDir); err == nil && !f.noCache {
		finder.Dir = filepath.Join(dir, "bases")
	}
	for _, name := range f.bases {
		target, err := sourceall.Open(ctx, name, a.sourceOptions(f))
		if err != nil {
			return nil, fmt.Errorf("--base %s: %w", name, err)
		}
		finder.Given = append(finder.Given, target.Asset())
		target.Close()
	}
	return finder, nil
}

// sourceOptions are what the flags say about opening targets.
func (a *app) sourceOptions(f *scanFlags) source.Options {
	return source.Options{
		Platform: f.platform, Offline: f.offline, Insecure: f.insecure, Namespace: f.namespace,
		AllFileSystems: f.allFileSystems, Stdin: a.Stdin, Live: slices.Contains(f.scanners, "misconfig"),
	}
}

// runTargets turns flags into a scan.Config, runs it, and turns its outcome into
// an exit status. adjust has the last word on the Config.
func (a *app) runTargets(cmd *cobra.Command, f *scanFlags, targets []scan.Target, adjust func(*scan.Config) error) error {
	cfg, err := a.scanConfig(cmd, f)
	if err != nil {
		return err
	}
	db, err := a.openDatabase(&f.databaseFlags, f.cacheDir)
	if err != nil {
		return err
	}
	defer db.Close()
	info := db.Info()
	cfg.Database = &info
	if err := f.scannerFlags.complete(&cfg, db); err != nil {
		return err
	}
	if err := a.wantSignatures(cmd, f, &cfg); err != nil {
		return err
	}
	if err := adjust(&cfg); err != nil {
		return err
	}
	suppressor, err := f.suppressFlags.load(cfg.Now())
	if err != nil {
		return err
	}
	cfg.Suppressor = suppressor
	gate, err := f.policies.Load(cmd)
	if err != nil {
		return err
	}
	if gate != nil {
		cfg.Policies = gate
	}
	reports, err := a.openReports(&f.outputFlags)
	if err != nil {
		return err
	}
	handler, finish := a.withSides(reports.handler, f)
	outcome, err := scan.Run(cmd.Context(), cfg, targets, handler)
	finish()
	if err != nil {
		reports.discard()
		return err
	}
	if outcome.Assets == 0 {
		reports.discard() // nothing was scanned: an empty report would look clean
		return a.targetErrors(cmd.Context(), outcome)
	}
	if err := reports.commit(); err != nil {
		return err
	}
	if !f.quiet {
		warnings := suppressor.Warnings()
		if bases, ok := cfg.Bases.(interface{ Warnings() []string }); ok {
			warnings = append(warnings, bases.Warnings()...)
		}
		if gate != nil {
			warnings = append(warnings, gate.Warnings(cfg.Now())...)
		}
		a.warn(f, outcome, warnings)
	}
	return a.verdict(cmd.Context(), f, outcome)
}

// wantSignatures makes a scan judge signatures where the flags ask for any.
func (a *app) wantSignatures(cmd *cobra.Command, f *scanFlags, cfg *scan.Config) (err error) {
	if !f.signatures.Wanted() {
		return nil
	}
	dir := ""
	if !f.noCache {
		if dir, err = a.cacheDirectory(f.cacheDir); err != nil {
			return err
		}
	}
	cfg.Verify, err = f.signatures.Verify(cmd, a.env(), dir, a.sourceOptions(f))
	cfg.Detectors = append(cfg.Detectors, signature.Detector{})
	return err
}

func (a *app) scanConfig(cmd *cobra.Command, f *scanFlags) (scan.Config, error) {
	cfg := scan.Config{
		Tool:    seawall.Tool{Name: "seawall", Version: a.Version},
		Timeout: f.timeout,
		Now:     a.clock(),
		RunID:   a.runID(),

		Frameworks: compliance.NewMapper().Frameworks,
	}
	if f.offline && f.verifySecrets {
		return cfg, command.Usage(cmd, errors.New("--verify-secrets needs the network that --offline refuses"))
	}
	if f.timeout < 0 {
		return cfg, command.Usage(cmd, fmt.Errorf("--timeout %s: want a positive duration", f.timeout))
	}
	switch f.failOn {
	case "":
	case "any":
		level := seawall.SeverityUnknown
		cfg.FailOn = &level
	default:
		level, err := seawall.ParseSeverity(f.failOn)
		if err != nil || level < seawall.SeverityLow {
			return cfg, command.Usage(cmd, fmt.Errorf("--fail-on %q: want critical, high, medium, low or any", f.failOn))
		}
		cfg.FailOn = &level
	}
	if len(f.inUse) > 0 {
		observed, err := inuse.Load(f.inUse)
		if err != nil {
			return cfg, err
		}
		cfg.InUse = observed.Mark
	}
	cache, err := a.openCache(f)
	if err != nil {
		return cfg, err
	}
	cfg.Cache = cache
	return cfg, nil
}

// clock is the time runs are stamped with.
func (a *app) clock() func() time.Time {
	if seconds, err := strconv.ParseInt(a.getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return func() time.Time { return time.Unix(seconds, 0).UTC() }
	}
	if a.Now != nil {
		return a.Now
	}
	return time.Now
}

// runID is fixed when the time is, so that the same input gives the same report.
func (a *app) runID() string {
	if epoch := a.getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		return "source-date-epoch-" + epoch
	}
	return ""
}

// targets binds each name to its opener.
func (a *app) targets(f *scanFlags, scheme string, names []string) []scan.Target {
	options := a.sourceOptions(f)
	var targets []scan.Target
	for _, name := range names {
		targets = append(targets, scan.Target{Name: name, Open: func(ctx context.Context, progress func(seawall.Progress)) (seawall.Target, error) {
			options := options
			options.Progress = progress
			target, err := sourceall.Open(ctx, scheme+name, options)
			if err == nil && f.name != "" {
				return renamed{target, f.name}, nil
			}
			return target, err
		}})
	}
	return targets
}

// renamed is a target under the name the user chose.
type renamed struct {
	seawall.Target
	name string
}

// Asset implements seawall.Target.
func (r renamed) Asset() seawall.Asset {
	asset := r.Target.Asset()
	if asset.Digest == "" && asset.ID != "" && strings.HasSuffix(asset.ID, asset.Name) {
		asset.ID = strings.TrimSuffix(asset.ID, asset.Name) + r.name
	}
	asset.Name = r.name
	return asset
}

// Facts implements seawall.Describer for targets that have facts of their own.
func (r renamed) Facts(ctx context.Context) ([]seawall.Fact, error) {
	if d, ok := r.Target.(seawall.Describer); ok {
		return d.Facts(ctx)
	}
	return nil, nil
}

// withSides adds to the reports what a run does on the side: the progress line,
// where it is wanted and can be seen, and the note of ecosystems for the next
// update. finish closes the sides; the reports are closed by their owner.
func (a *app) withSides(h sink.Handler, f *scanFlags) (handler scan.Handler, finish func()) {
	out := &sided{main: h}
	if width, terminal := terminalWidth(a.Stderr); terminal && !f.quiet && !f.noProgress {
		out.sides = append(out.sides, progress.New(a.Stderr, width, command.Printable))
	}
	if dir, err := a.cacheDirectory(f.cacheDir); err == nil && !f.noCache {
		out.sides = append(out.sides, &seen.Handler{CacheDir: dir})
	}
	return out, func() {
		for _, s := range out.sides {
			_ = s.Close()
		}
	}
}

// sided is a handler with others beside it whose errors do not matter.
type sided struct {
	main  sink.Handler
	sides []sink.Handler
}

func (s *sided) Handle(ctx context.Context, m seawall.Message) error {
	for _, side := range s.sides {
		_ = side.Handle(ctx, m)
	}
	return s.main.Handle(ctx, m)
}

// warn tells on standard error what the report's reader should know of the run.
func (a *app) warn(f *scanFlags, o scan.Outcome, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(a.Stderr, "seawall:", command.Printable(w))
	}
	if len(o.Undecided) > 0 {
		fmt.Fprintf(a.Stderr, "seawall: policies could not make %s (see decisions in the report; --strict makes it an error)\n", command.Plural(len(o.Undecided), "decision"))
	}
	if len(o.Partial) > 0 && !f.verbose {
		fmt.Fprintf(a.Stderr, "seawall: %s could not read everything (--verbose names them, --strict makes it an error)\n", command.Plural(len(o.Partial), "collector"))
	}
	if !f.verbose {
		return
	}
	for _, s := range o.Partial {
		fmt.Fprintf(a.Stderr, "seawall: %s: partial: %s\n", s.Name, command.Printable(s.Reason))
	}
}

// verdict maps an outcome to an exit status. Precedence is 3, 1, 0 (2 was decided before the run).
func (a *app) verdict(ctx context.Context, f *scanFlags, o scan.Outcome) error {
	if len(o.Errors) > 0 {
		return a.targetErrors(ctx, o)
	}
	if len(o.Failed) > 0 {
		return fmt.Errorf("%s failed: %s", o.Failed[0].Name, o.Failed[0].Reason)
	}
	if f.strict && len(o.Partial) > 0 {
		return fmt.Errorf("--strict: %s could not read everything: %s", o.Partial[0].Name, o.Partial[0].Reason)
	}
	if i := slices.IndexFunc(o.Partial, isPackageDatabase); f.requireCoverage && i >= 0 {
		return fmt.Errorf("--require-coverage: %s could not read the package database: %s", o.Partial[i].Name, o.Partial[i].Reason)
	}
	if f.requireCoverage && o.NotEvaluated > 0 {
		return seawall.WithHint(fmt.Errorf("--require-coverage: no advisories in this database for %s", command.Plural(o.NotEvaluated, "package")), "fetch them with: seawall db update")
	}
	if f.strict && len(o.Undecided) > 0 {
		return fmt.Errorf("--strict: %s", policy.Text(&o.Undecided[0]))
	}
	if len(o.Blocks) > 0 && !f.exitZero {
		return policy.Blocked(o.Blocks)
	}
	if o.Blocking > 0 && !f.exitZero {
		return command.Blocked(fmt.Sprintf("--fail-on %s: %s at or above the threshold", f.failOn, command.Plural(o.Blocking, "finding")))
	}
	return nil
}

// isPackageDatabase tells collectors whose one file holds every package of a system.
func isPackageDatabase(s seawall.CollectorStatus) bool { return strings.HasPrefix(s.Name, "os/") }

// targetErrors reports every target that could not be scanned; a usage error among them decides.
func (a *app) targetErrors(ctx context.Context, o scan.Outcome) error {
	code, last := command.ExitIncomplete, error(nil)
	for _, e := range o.Errors {
		if errors.Is(e.Err, seawall.ErrUsage) {
			code = command.ExitUsage
		}
		if last != nil {
			command.PrintError(ctx, a.Stderr, last)
		}
		last = e
	}
	return &command.Error{Code: code, Err: last}
}

// cacheDirectory is --cache-dir or the user's cache directory.
func (a *app) cacheDirectory(flag string) (string, error) { return a.env().CacheDirectory(flag) }
