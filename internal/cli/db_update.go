package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/advisory"
	advisoryall "github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/starter"
	"github.com/seawall-security/seawall/internal/advisory/update"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/progress"
	"github.com/seawall-security/seawall/internal/cli/seen"
	"github.com/seawall-security/seawall/internal/seawall"
)

// updateFlags are the settings of db update and db import.
type updateFlags struct {
	ecosystems []string
	from       string
	sources    []string
	key        string
	signKey    string
	cacheDir   string
	offline    bool
	factsOnly  bool
	allowOlder bool
	quiet      bool
	noProgress bool
	format     string
}

func (a *app) dbUpdateCommand() *cobra.Command {
	var f updateFlags
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Fetch current advisories for what your scans need",
		Long: `Update fetches the ecosystems named with --ecosystem, those your scans have met
on this machine, and those the database already holds; only what changed since
the last time. With --from it takes a whole database instead, from a mirror, an
OCI registry or a file. The database in use is replaced at once or not at all.

Known ecosystems: ` + strings.Join(update.Ecosystems(), ", ") + `.
Sources can be replaced by mirrors with --source NAME=URL; names and defaults:
` + sourcesHelp(),
		Example: `  seawall db update
  seawall db update --ecosystem Debian:12,npm
  seawall db update --from oci://registry.example.org/security/seawall-db:latest --db-key seawall.pub
  seawall db update --source osv=https://mirror.example.org/osv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runUpdate(cmd, &f) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.ecosystems, "ecosystem", nil, "ecosystems to have, with the release where there is one (Debian:12, npm)")
	flags.StringVar(&f.from, "from", "", "take a whole database: an https URL, oci://REGISTRY/REPOSITORY:TAG, or a file")
	flags.StringArrayVar(&f.sources, "source", nil, "replace a source's address, NAME=URL; repeatable")
	flags.StringVar(&f.signKey, "sign-key", "", "PEM file with an ed25519 private key to sign the database built here with")
	flags.BoolVar(&f.factsOnly, "facts-only", false, "leave out summaries even where their licence lets them be kept")
	_ = cmd.RegisterFlagCompletionFunc("ecosystem", command.FixedCompletion(update.Ecosystems()...))
	return cmd
}

func (f *updateFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.key, "db-key", "", "PEM file with the ed25519 public key a whole database must be signed by")
	flags.StringVar(&f.cacheDir, "cache-dir", "", "where the database is kept (default: the user's cache directory)")
	flags.BoolVar(&f.offline, "offline", false, "refuse everything that would leave this machine")
	flags.BoolVar(&f.allowOlder, "allow-older", false, "let an older database replace a newer one")
	flags.BoolVar(&f.quiet, "quiet", false, "print errors only")
	flags.BoolVar(&f.noProgress, "no-progress", false, "no progress line (it only shows on a terminal)")
	command.AddFormat(cmd, &f.format, "table", "json")
}

func (a *app) dbImportCommand() *cobra.Command {
	var f updateFlags
	cmd := &cobra.Command{
		Use:     "import FILE",
		Short:   "Put a database file in use, after checking its checksums and signature",
		Example: "  seawall db import seawall.db --db-key seawall.pub",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.from = args[0]
			if strings.Contains(f.from, "://") {
				return command.Usage(cmd, fmt.Errorf("import takes a file; for %s use 'seawall db update --from'", f.from))
			}
			return a.runUpdate(cmd, &f)
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) runUpdate(cmd *cobra.Command, f *updateFlags) error {
	cfg, err := a.updateConfig(cmd, f)
	if err != nil {
		return err
	}
	width, terminal := terminalWidth(a.Stderr)
	line := progress.New(a.Stderr, width, command.Printable)
	if terminal && !f.quiet && !f.noProgress {
		cfg.Progress = func(p seawall.Progress) { _ = line.Handle(cmd.Context(), seawall.Message{Progress: &p}) }
	}
	result, err := update.Run(cmd.Context(), cfg)
	_ = line.Close()
	if result != nil && !f.quiet {
		if tell := a.tellUpdate(cmd, f.format, cfg.Path, result); tell != nil {
			return tell
		}
	}
	return err
}

func (a *app) updateConfig(cmd *cobra.Command, f *updateFlags) (update.Config, error) {
	cfg := update.Config{
		From: f.from, AllowOlder: f.allowOlder, FactsOnly: f.factsOnly, Now: a.clock(),
		Importers: advisoryall.Importers(), Starter: starter.Open,
		UserAgent: "seawall/" + a.Version,
	}
	dir, err := a.cacheDirectory(f.cacheDir)
	if err != nil {
		return cfg, err
	}
	cfg.Path = databasePath(dir)
	if f.offline && (f.from == "" || strings.Contains(f.from, "://")) {
		return cfg, seawall.WithHint(command.Usage(cmd, errors.New("--offline: an update needs the network")), "bring a database file and use 'seawall db import FILE'")
	}
	if cfg.Key, err = readPublicKey(f.key); err != nil {
		return cfg, err
	}
	if cfg.SigningKey, err = readPrivateKey(f.signKey); err != nil {
		return cfg, err
	}
	if cfg.Sources, err = sourcesWith(f.sources); err != nil {
		return cfg, command.Usage(cmd, err)
	}
	cfg.Ecosystems = a.wantedEcosystems(f.ecosystems, dir)
	return cfg, nil
}

// wantedEcosystems are those asked for, those met by scans, and those the
// database in use holds. An ecosystem asked for that nobody publishes is left in,
// for update's error; met ones are passed over.
func (a *app) wantedEcosystems(asked []string, cacheDir string) []string {
	wanted := slices.Clone(asked)
	met := seen.Read(cacheDir)
	if r, err := a.openDatabase(&databaseFlags{}, cacheDir); err == nil {
		for _, e := range r.Ecosystems() {
			met = append(met, e.Name)
		}
		r.Close()
	}
	for _, e := range met {
		if advisory.Published(e) {
			wanted = append(wanted, e)
		}
	}
	slices.Sort(wanted)
	return slices.Compact(wanted)
}

// sourceFields are the names of --source and where they go.
func sourceFields(s *update.Sources) map[string]*string {
	return map[string]*string{
		"osv": &s.OSV, "kev": &s.KEV, "epss": &s.EPSS, "debian": &s.Debian, "wolfi": &s.Wolfi,
		"chainguard": &s.Chainguard, "nodejs": &s.NodeCore, "kubernetes": &s.Kubernetes, "alpine": &s.Alpine, "redhat": &s.RedHat,
	}
}

func sourcesHelp() string {
	s := update.DefaultSources()
	fields := sourceFields(&s)
	var b strings.Builder
	for _, name := range sortedKeys(fields) {
		fmt.Fprintf(&b, "  %-10s %s\n", name, *fields[name])
	}
	return strings.TrimRight(b.String(), "\n")
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func sourcesWith(replacements []string) (update.Sources, error) {
	s := update.DefaultSources()
	fields := sourceFields(&s)
	for _, r := range replacements {
		name, url, ok := strings.Cut(r, "=")
		if !ok || fields[name] == nil {
			return s, fmt.Errorf("--source %q: want NAME=URL with NAME one of %s", r, command.JoinWords(sortedKeys(fields)))
		}
		*fields[name] = url
	}
	return s, nil
}

func (a *app) tellUpdate(cmd *cobra.Command, format, path string, r *update.Result) error {
	switch format {
	case "json":
		return command.WriteJSON(a.Stdout, r)
	case "table":
	default:
		return command.Usage(cmd, fmt.Errorf("unknown format %q (want table or json)", format))
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range r.Feeds {
		note := ""
		if f.Err != nil {
			note = command.Printable(f.Err.Error())
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", f.Name, f.Status, f.Advisories, note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	state := "already current"
	if r.Changed {
		state = "updated"
	}
	_, err := fmt.Fprintf(a.Stdout, "%s: %s, built %s\n", path, state, r.Info.Built)
	return err
}

func (a *app) dbExportCommand() *cobra.Command {
	var f databaseFlags
	var cacheDir, out string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write the database in use: as OSV JSON lines, or with --out as a database file",
		Example: "  seawall db export > advisories.jsonl\n  seawall db export --out seawall.db        for a machine without a network",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.openDatabase(&f, cacheDir)
			if err != nil {
				return err
			}
			defer r.Close()
			if out == "" {
				return a.exportLines(cmd.Context(), r, nil)
			}
			return command.ReplaceFile(out, r.CopyTo)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&cacheDir, "cache-dir", "", "where updated databases are kept (default: the user's cache directory)")
	cmd.Flags().StringVar(&out, "out", "", "database file to write")
	return cmd
}
