package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/osv"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/vuln"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/sbom"
)

func (a *app) dbSearchCommand() *cobra.Command {
	var f databaseFlags
	var format, cacheDir string
	cmd := &cobra.Command{
		Use:   "search ID|PURL",
		Short: "Look up an advisory by identifier, or a package by its package URL",
		Long: `Search prints the advisories with an identifier or alias (CVE-…, GHSA-…, GO-…).
Given a package URL it prints what the database says of the package; with a
version, only what affects that version. Exit status 1: nothing found.`,
		Example: "  seawall db search CVE-2023-45288\n  seawall db search pkg:npm/lodash@4.17.15\n  seawall db search 'pkg:deb/debian/openssl@3.0.11-1?distro=debian-12' --format json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "table" && format != "json" {
				return command.Usage(cmd, fmt.Errorf("unknown format %q (want table or json)", format))
			}
			r, err := a.openDatabase(&f, cacheDir)
			if err != nil {
				return err
			}
			defer r.Close()
			if strings.HasPrefix(args[0], "pkg:") {
				return a.searchPackage(cmd, r, args[0], format)
			}
			return a.searchID(cmd.Context(), r, args[0], format)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&cacheDir, "cache-dir", "", "where updated databases are kept (default: the user's cache directory)")
	command.AddFormat(cmd, &format, "table", "json")
	return cmd
}

// searchID prints every advisory that has the identifier or names it as an alias.
func (a *app) searchID(ctx context.Context, r *db.Reader, id, format string) error {
	named := func(adv *advisory.Advisory) bool {
		equal := func(s string) bool { return strings.EqualFold(s, id) }
		return equal(adv.ID) || slices.ContainsFunc(adv.Aliases, equal) || slices.ContainsFunc(adv.Upstream, equal)
	}
	if format == "json" {
		return a.exportLines(ctx, r, named)
	}
	found := 0
	for adv, err := range r.Select(named) {
		if err != nil {
			return err
		}
		if found > 0 {
			fmt.Fprintln(a.Stdout)
		}
		found++
		a.printAdvisory(r, adv)
	}
	return a.none(found, id)
}

func (a *app) none(found int, what string) error {
	if found > 0 {
		return nil
	}
	return &command.Error{Code: command.ExitBlocked, Err: seawall.WithHint(fmt.Errorf("%s: not in this database", command.Printable(what)), "'seawall db status' says what the database covers")}
}

// maxListed is how many affected packages of an advisory are worth a person's screen.
const maxListed = 12

func (a *app) printAdvisory(r *db.Reader, adv *advisory.Advisory) {
	severity := ""
	if adv.Severity != seawall.SeverityUnknown {
		severity = "  " + adv.Severity.String()
	}
	fmt.Fprintf(a.Stdout, "%s%s  (%s)\n", adv.ID, severity, adv.Source)
	for _, row := range [][2]string{
		{"aliases", strings.Join(append(slices.Clone(adv.Aliases), adv.Upstream...), ", ")},
		{"summary", adv.Summary}, {"published", adv.Published}, {"withdrawn", adv.Withdrawn},
		{"weakness", strings.Join(adv.CWEs, ", ")}, {"exploited", exploitedText(r, adv)},
	} {
		if row[1] != "" {
			fmt.Fprintf(a.Stdout, "  %-10s %s\n", row[0], command.Printable(row[1]))
		}
	}
	for _, c := range adv.CVSS {
		fmt.Fprintf(a.Stdout, "  %-10s %.1f  %s\n", "cvss", c.Score, c.Vector)
	}
	for i := range adv.Affected {
		if rest := len(adv.Affected) - i; i >= maxListed && rest > 1 {
			fmt.Fprintf(a.Stdout, "  %-10s %d more packages (all with --format json)\n", "affects", rest)
			break
		}
		fmt.Fprintf(a.Stdout, "  %-10s %s\n", "affects", command.Printable(affectedText(&adv.Affected[i])))
	}
	for _, ref := range adv.References {
		fmt.Fprintf(a.Stdout, "  %-10s %s\n", "see", command.Printable(ref))
	}
}

// exploitedText joins what KEV and EPSS say of the advisory's CVEs.
func exploitedText(r *db.Reader, adv *advisory.Advisory) string {
	var parts []string
	for _, id := range append([]string{adv.ID}, append(slices.Clone(adv.Aliases), adv.Upstream...)...) {
		e := r.Exploitation(id)
		if e.KEV {
			parts = append(parts, id+" is exploited in the wild (CISA KEV, "+e.KEVAdded+")")
		}
		if e.EPSS != nil {
			parts = append(parts, fmt.Sprintf("%s EPSS %.1f %%", id, 100*e.EPSS.Score))
		}
	}
	return strings.Join(parts, "; ")
}

// affectedText writes a statement's versions as an interval list.
func affectedText(f *advisory.Affected) string {
	var ranges []string
	for _, r := range f.Ranges {
		for _, e := range r.Events {
			switch {
			case e.Introduced != "":
				ranges = append(ranges, "from "+e.Introduced)
			case e.Fixed != "":
				ranges = append(ranges, "fixed in "+e.Fixed)
			case e.LastAffected != "":
				ranges = append(ranges, "up to "+e.LastAffected)
			}
		}
	}
	if n := len(f.Versions); n > 0 {
		ranges = append(ranges, command.Plural(n, "enumerated version"))
	}
	text := f.Ecosystem + " " + f.Name
	if f.Unaffected {
		text += " (not affected)"
	}
	return strings.TrimSpace(text + "  " + strings.Join(ranges, ", "))
}

// searchPackage prints what is said of a package; with a version, what affects it.
func (a *app) searchPackage(cmd *cobra.Command, r *db.Reader, purl, format string) error {
	p, err := sbom.PackageOf(purl)
	if err != nil {
		return command.Usage(cmd, fmt.Errorf("%s: %w", purl, err))
	}
	if p.Version == "" {
		name := advisory.Canonical(p.Ecosystem, p.Name)
		return a.searchName(cmd.Context(), r, p.Ecosystem, name, format)
	}
	result, err := vuln.New(r).Detect(cmd.Context(), detect.Facts{Packages: []seawall.Package{*p}, Now: a.clock()()})
	if err != nil {
		return err
	}
	for _, c := range result.Coverage {
		if c.Status == seawall.CoverageNotEvaluated {
			return seawall.WithHint(fmt.Errorf("%s cannot be judged: %s", command.Printable(purl), c.Reason), c.Remedy)
		}
	}
	if format == "json" {
		if err := command.WriteJSON(a.Stdout, append([]seawall.Finding{}, result.Findings...)); err != nil {
			return err
		}
	} else {
		for _, f := range result.Findings {
			fmt.Fprintf(a.Stdout, "%-10s %-22s %s\n", f.Severity, f.Rule, command.Printable(f.Title))
		}
	}
	if len(result.Findings) == 0 {
		return &command.Error{Code: command.ExitBlocked, Err: fmt.Errorf("%s: no advisory in this database affects it", command.Printable(purl))}
	}
	return nil
}

func (a *app) searchName(ctx context.Context, r *db.Reader, ecosystem, name, format string) error {
	about := map[string]bool{}
	matches, err := r.Find(ecosystem, name)
	if err != nil {
		return err
	}
	for _, m := range matches {
		adv, err := r.Advisory(m.Advisory)
		if err != nil {
			return err
		}
		about[adv.ID] = true
	}
	if format == "json" {
		return a.exportLines(ctx, r, func(adv *advisory.Advisory) bool { return about[adv.ID] })
	}
	for _, m := range matches {
		adv, err := r.Advisory(m.Advisory)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "%-10s %-22s %s\n", adv.Severity, adv.ID, command.Printable(affectedText(m.Affected)))
	}
	return a.none(len(matches), ecosystem+" "+name)
}

// exportLines writes advisories as OSV documents, one a line.
func (a *app) exportLines(ctx context.Context, r *db.Reader, match func(*advisory.Advisory) bool) error {
	w := bufio.NewWriter(a.Stdout)
	found := 0
	for adv, err := range r.Select(match) {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		line, err := osv.Encode(adv)
		if err != nil {
			return fmt.Errorf("%s: %w", adv.ID, err)
		}
		w.Write(line)
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
		found++
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return a.none(found, "nothing to write")
}
