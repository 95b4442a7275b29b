package cli

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	advisoryall "github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/update"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/progress"
	"github.com/seawall-security/seawall/internal/seawall"
)

func (a *app) dbCommand() *cobra.Command {
	return command.Group("db", "Look into, build and renew the advisory database",
		"The advisory database is one immutable file. A starter is embedded in this program;\n'db update' fetches a current one, 'db build' makes one from raw sources.",
		a.dbStatusCommand(),
		a.dbUpdateCommand(),
		a.dbBuildCommand(),
		a.dbSearchCommand(),
		a.dbExportCommand(),
		a.dbImportCommand(),
	)
}

// databaseStatus is what `db status --format json` prints.
type databaseStatus struct {
	seawall.DatabaseInfo
	AgeDays    int            `json:"ageDays"`
	Advisories int            `json:"advisories"`
	Ecosystems []db.Ecosystem `json:"ecosystems"`
}

func (a *app) dbStatusCommand() *cobra.Command {
	var f databaseFlags
	var format, cacheDir string
	var verify bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say which database is in use, how old it is and what it can judge",
		Example: "  seawall db status\n  seawall db status --verify --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.openDatabase(&f, cacheDir)
			if err != nil {
				return err
			}
			defer r.Close()
			if verify {
				if err := r.Verify(); err != nil {
					return err
				}
			}
			return a.printStatus(cmd, format, r)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&cacheDir, "cache-dir", "", "where updated databases are kept (default: the user's cache directory)")
	cmd.Flags().BoolVar(&verify, "verify", false, "read the whole file and check every checksum")
	command.AddFormat(cmd, &format, "table", "json")
	return cmd
}

func (a *app) printStatus(cmd *cobra.Command, format string, r *db.Reader) error {
	s := databaseStatus{DatabaseInfo: r.Info(), Ecosystems: r.Ecosystems(), Advisories: r.Advisories()}
	if built, err := time.Parse(time.RFC3339, s.Built); err == nil {
		s.AgeDays = int(a.clock()().Sub(built).Hours() / 24)
	}
	switch format {
	case "json":
		return command.WriteJSON(a.Stdout, s)
	case "table":
	default:
		return command.Usage(cmd, fmt.Errorf("unknown format %q (want table or json)", format))
	}
	signed := "unsigned"
	if s.Signed {
		signed = "signature verified"
	}
	fmt.Fprintf(a.Stdout, "Database   %s (%s)\nBuilt      %s, %d days ago\nAdvisories %d\n\n", s.Origin, signed, s.Built, s.AgeDays, s.Advisories)
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tADVISORIES\tUPDATED\tLICENCE")
	for _, source := range s.Sources {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", source.Name, source.Advisories, source.Updated, source.Licence)
	}
	fmt.Fprintln(w, "\nECOSYSTEM\tPACKAGES\tSTATEMENTS\t")
	for _, e := range s.Ecosystems {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", e.Name, e.Packages, e.Statements)
	}
	return w.Flush()
}

func (a *app) dbBuildCommand() *cobra.Command {
	var from, out, keyFile string
	var factsOnly, verbose, quiet bool
	cmd := &cobra.Command{
		Use:   "build --from PATH --out FILE",
		Short: "Make a database from raw advisory sources, recognised by their content",
		Long: `Build reads every file under PATH, archives included, and recognises by content:
OSV (JSON, YAML, all.zip), the Debian tracker (JSON, DSA and DLA lists), Alpine
and Wolfi secdb, Wolfi advisories, Red Hat CSAF VEX, Ubuntu and other OSV feeds,
RubySec, FriendsOfPHP, RetireJS, Node.js core, Kubernetes feeds, CISA KEV, EPSS.
The same input gives the same bytes, but for the time in it, which
SOURCE_DATE_EPOCH sets. A damaged document is named and left out, and the
command exits 3 after writing the rest.`,
		Example: "  seawall db build --from ./advisories --out seawall.db\n  seawall db build --from all.zip --out npm.db --sign-key key.pem",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || out == "" {
				return command.Usage(cmd, errors.New("--from and --out are required"))
			}
			key, err := readPrivateKey(keyFile)
			if err != nil {
				return err
			}
			w := db.NewWriter(db.Options{Built: a.clock()().UTC().Format(time.RFC3339), Key: key})
			report, err := build.Run(cmd.Context(), from, build.Options{Importers: advisoryall.Importers(), Sink: w.Add, FactsOnly: factsOnly})
			if err != nil {
				return err
			}
			if report.Advisories() == 0 && report.Scores == 0 {
				return seawall.WithHint(fmt.Errorf("%s: no advisories recognised in %d documents: %w", from, report.Documents, seawall.ErrUnreadable),
					"'seawall db build --help' lists the formats")
			}
			err = command.ReplaceFile(out, func(f io.Writer) error { _, err := w.WriteTo(f); return err })
			if err != nil {
				return err
			}
			return a.tellBuild(out, report, verbose, quiet)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "file or directory with raw sources")
	flags.StringVar(&out, "out", "", "database file to write (replaced atomically)")
	flags.StringVar(&keyFile, "sign-key", "", "PEM file with an ed25519 private key (PKCS #8) to sign with")
	flags.BoolVar(&factsOnly, "facts-only", false, "leave out summaries even where their licence lets them be kept")
	flags.BoolVarP(&verbose, "verbose", "v", false, "name every file that was not recognised")
	flags.BoolVar(&quiet, "quiet", false, "print errors only")
	return cmd
}

// tellBuild prints what a build came to; damaged documents make it exit 3.
func (a *app) tellBuild(out string, r *build.Report, verbose, quiet bool) error {
	if !quiet {
		w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SOURCE\tADVISORIES\tUPDATED")
		for _, s := range r.Sources {
			fmt.Fprintf(w, "%s\t%d\t%s\n", s.Name, s.Advisories, s.Updated)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		size := ""
		if info, err := os.Stat(out); err == nil {
			size = ", " + progress.Bytes(info.Size())
		}
		fmt.Fprintf(a.Stdout, "\n%s: %d advisories%s\n", out, r.Advisories(), size)
		if n := len(r.Unrecognized); n > 0 {
			fmt.Fprintf(a.Stderr, "seawall: %d files are no advisories and were left out (--verbose names them)\n", n)
		}
	}
	if verbose {
		for _, name := range r.Unrecognized {
			fmt.Fprintf(a.Stderr, "seawall: not recognised: %s\n", command.Printable(name))
		}
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(a.Stderr, "seawall: %s: %s\n", command.Printable(d.Place), command.Printable(d.Err.Error()))
	}
	if n := len(r.Damaged); n > 0 {
		return fmt.Errorf("%s damaged: what was readable of the rest is in %s: %w", command.Plural(n, "document"), out, seawall.ErrCorrupt)
	}
	return nil
}

// readPrivateKey reads the signing key of a database; "" is no key.
func readPrivateKey(path string) (ed25519.PrivateKey, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--sign-key: %w: %w", err, seawall.ErrUsage)
	}
	key, err := update.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("--sign-key %s: %w", path, err)
	}
	return key, nil
}
