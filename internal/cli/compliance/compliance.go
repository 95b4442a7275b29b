// Package compliance holds the commands compliance list, show and report: which
// frameworks there are, what each asks for and by which rules it is shown, and
// the report on scans already made or made now.
package compliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/compliance/view"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/json"
)

// Deps are what the commands need of the rest of the command line.
type Deps struct {
	// Controls are the rules of every detector of this program.
	Controls func() []compliance.Control
	// Scan runs "seawall scan" with arguments and returns its report.
	Scan func(ctx context.Context, args []string) (*seawall.Report, error)
}

// commands are the subcommands of one invocation.
type commands struct {
	*command.Env
	Deps
}

// Command returns "seawall compliance".
func Command(env *command.Env, deps Deps) *cobra.Command {
	c := &commands{env, deps}
	return command.Group("compliance", "Judge scans by a framework: PCI DSS, NIST, CIS, …",
		"Compliance maps findings to the requirements of frameworks and says of each whether it\nholds, by what evidence, what could not be evaluated, and what no tool can show.",
		c.listCommand(), c.showCommand(), c.reportCommand())
}

func (c *commands) listCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "list", Short: "List the frameworks", Args: cobra.NoArgs,
		Example: "  seawall compliance list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			all, err := compliance.All(c.Controls())
			if err != nil {
				return err
			}
			if format == "json" {
				return command.WriteJSON(c.Stdout, listed(all))
			}
			for _, f := range all {
				if _, err := fmt.Fprintf(c.Stdout, "%-18s %4d  %s\n", f.ID, f.Requirements(), f.Title); err != nil {
					return err
				}
			}
			return nil
		},
	}
	command.AddFormat(cmd, &format, "table", "json")
	return cmd
}

// entry is a framework in the list's JSON form.
type entry struct {
	ID           string   `json:"id"`
	Title        string   `json:"title"`
	Publisher    string   `json:"publisher"`
	URL          string   `json:"url"`
	Aliases      []string `json:"aliases,omitempty"`
	Note         string   `json:"note,omitempty"`
	Requirements int      `json:"requirements"`
}

func listed(all []*compliance.Framework) []entry {
	var out []entry
	for _, f := range all {
		out = append(out, entry{f.ID, f.Title, f.Publisher, f.URL, f.Aliases, f.Note, f.Requirements()})
	}
	return out
}

func (c *commands) showCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a framework's requirements and the rules behind each", Args: cobra.ExactArgs(1),
		Example: "  seawall compliance show pci-dss\n  seawall compliance show cis-k8s --format json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "table", "json"); err != nil {
				return err
			}
			// A report on no input at all has every requirement with its checks.
			f, err := c.framework(args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				return command.WriteJSON(c.Stdout, f)
			}
			return c.show(f)
		},
		ValidArgsFunction: c.completeFramework,
	}
	command.AddFormat(cmd, &format, "table", "json")
	return cmd
}

func (c *commands) show(f *compliance.Framework) error {
	r := compliance.Evaluate(f, c.Controls(), nil, compliance.Options{Now: c.Now()})
	fmt.Fprintf(c.Stdout, "%s\n%s\n", f.Title, f.URL)
	if f.Note != "" {
		fmt.Fprintln(c.Stdout, f.Note)
	}
	section := ""
	for _, q := range r.Requirements {
		if q.Section != section {
			section = q.Section
			fmt.Fprintf(c.Stdout, "\n%s\n", section)
		}
		fmt.Fprintf(c.Stdout, "  %-9s %s\n", q.ID, q.Title)
		if len(q.Checks) > 0 {
			fmt.Fprintf(c.Stdout, "            %s\n", strings.Join(names(q.Checks), "  "))
		}
		for _, text := range q.ByHand {
			fmt.Fprintf(c.Stdout, "            by hand: %s\n", text)
		}
	}
	return nil
}

// names lists checks; of many rules of one area only the first and the last are named.
func names(checks []compliance.Check) []string {
	areas := map[string][]string{}
	var order []string
	for _, check := range checks {
		area := check.ID
		if i := strings.LastIndexByte(area, '-'); strings.HasPrefix(area, "SW-") && i > 2 {
			area = area[:i]
		}
		if areas[area] == nil {
			order = append(order, area)
		}
		areas[area] = append(areas[area], check.ID)
	}
	slices.Sort(order)
	var out []string
	for _, area := range order {
		ids := areas[area]
		slices.Sort(ids)
		if n := len(ids); n > 4 {
			ids = []string{fmt.Sprintf("%s … %s (%d)", ids[0], ids[n-1], n)}
		}
		out = append(out, ids...)
	}
	return out
}

// framework loads a framework by name, or from a file of the user's.
func (c *commands) framework(name string) (*compliance.Framework, error) {
	if !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
		return compliance.Load(name, c.Controls())
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("framework: %w: %w", err, seawall.ErrUsage)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, compliance.MaxFrameworkBytes+1))
	if err != nil {
		return nil, fmt.Errorf("framework: %w: %w", err, seawall.ErrUnreadable)
	}
	return compliance.Parse(name, raw)
}

func (c *commands) completeFramework(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := compliance.All(nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, f := range all {
		out = append(out, f.ID+"\t"+f.Title)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func checkFormat(cmd *cobra.Command, format string, words ...string) error {
	if !slices.Contains(words, format) {
		return command.Usage(cmd, fmt.Errorf("unknown format %q (want %s)", format, command.JoinWords(words)))
	}
	return nil
}

// reportFlags are the settings of compliance report.
type reportFlags struct {
	framework    string
	inputs       []string
	format       string
	failOn       string
	alertOn      string
	requirements []string
	evidence     int
	verbose      bool
}

func (c *commands) reportCommand() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report --framework ID (--input REPORT.json... | KIND [TARGET...])",
		Short: "Report on a framework's requirements",
		Long: `Report on a framework's requirements, by scan reports already saved (--input, several
of them make one report) or by a scan made now: KIND and TARGET are what 'seawall scan'
takes; flags of the scan stand after --. Such a scan looks for everything, on a host
and in a cluster for vulnerabilities and misconfiguration, unless --scanners says otherwise.

A requirement passes only when something was looked at and nothing was left open.
--fail-on and --alert-on are thresholds: fail is reached by requirements that fail,
not-evaluated also by those that could not be evaluated, manual also by those that wait
for a person. --alert-on names them on standard error, --fail-on exits with 1.`,
		Example: `  seawall compliance report --framework pci-dss --input image.json --input cluster.json --format html > pci.html
  seawall compliance report --framework cis-k8s --fail-on fail cluster
  seawall compliance report --framework nist-800-190 --format json -- image app:1 --offline`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return c.report(cmd, &f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.framework, "framework", "", "the framework: its identifier, or a YAML file of your own")
	flags.StringArrayVar(&f.inputs, "input", nil, "a report saved with --format json or jsonl, - for standard input; repeatable")
	flags.StringVar(&f.failOn, "fail-on", "", "exit 1 when a requirement has this status or a worse one: fail, not-evaluated, manual")
	flags.StringVar(&f.alertOn, "alert-on", "", "the same threshold, only told on standard error")
	flags.StringSliceVar(&f.requirements, "requirement", nil, "only these requirements; * at the end stands for anything (6.3.*)")
	flags.IntVar(&f.evidence, "evidence", 20, "findings listed per check; 0 lists all")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "in the table, the checks of every requirement")
	command.AddFormat(cmd, &f.format, formats()...)
	_ = cmd.RegisterFlagCompletionFunc("framework", c.completeFramework)
	for _, name := range []string{"fail-on", "alert-on"} {
		_ = cmd.RegisterFlagCompletionFunc(name, command.FixedCompletion("fail", "not-evaluated", "manual"))
	}
	return cmd
}

func formats() []string { return []string{"table", "html", "json", "markdown"} }

func (c *commands) report(cmd *cobra.Command, f *reportFlags, args []string) error {
	if err := f.check(cmd, args); err != nil {
		return err
	}
	framework, err := c.framework(f.framework)
	if err != nil {
		return err
	}
	if err := framework.Keep(f.requirements); err != nil {
		return command.Usage(cmd, err)
	}
	inputs, err := c.inputs(cmd.Context(), f.inputs, args)
	if err != nil {
		return err
	}
	r := compliance.Evaluate(framework, c.Controls(), inputs, compliance.Options{
		Tool: seawall.Tool{Name: "seawall", Version: c.Version}, Now: c.Now(), Evidence: f.evidence,
	})
	if err := c.write(r, f); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	c.alert(r, f.alertOn)
	if n := len(r.Reaching(compliance.Status(f.failOn))); f.failOn != "" && n > 0 {
		return command.Blocked(fmt.Sprintf("--fail-on %s: %s of %s", f.failOn, command.Plural(n, "requirement"), framework.ID))
	}
	return nil
}

func (f *reportFlags) check(cmd *cobra.Command, args []string) error {
	switch {
	case f.framework == "":
		return seawall.WithHint(command.Usage(cmd, errors.New("no --framework")), "'seawall compliance list' names them")
	case (len(f.inputs) == 0) == (len(args) == 0):
		return command.Usage(cmd, errors.New("give either --input, or what to scan"))
	case f.evidence < 0:
		return command.Usage(cmd, errors.New("--evidence "+strconv.Itoa(f.evidence)+": want 0 or more"))
	}
	for _, threshold := range []string{f.failOn, f.alertOn} {
		if !slices.Contains([]string{"", "fail", "not-evaluated", "manual"}, threshold) {
			return command.Usage(cmd, fmt.Errorf("threshold %q: want fail, not-evaluated or manual", threshold))
		}
	}
	return checkFormat(cmd, f.format, formats()...)
}

// inputs reads saved reports, or makes one.
func (c *commands) inputs(ctx context.Context, names, args []string) ([]compliance.Input, error) {
	if len(args) > 0 {
		r, err := c.Scan(ctx, args)
		if err != nil {
			return nil, err
		}
		return []compliance.Input{{Name: "scan " + strings.Join(args, " "), Report: r}}, nil
	}
	var out []compliance.Input
	for _, name := range names {
		r, err := c.read(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, compliance.Input{Name: name, Report: r})
	}
	return out, nil
}

func (c *commands) read(name string) (*seawall.Report, error) {
	in := c.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, seawall.ErrUnreadable)
		}
		defer f.Close()
		in = f
	}
	r, skipped, err := json.Read(in)
	if err == nil && skipped > 0 {
		fmt.Fprintf(c.Stderr, "seawall: %s: %s of kinds this version does not know were left out\n", command.Printable(name), command.Plural(skipped, "message"))
	}
	return r, err
}

func (c *commands) write(r *compliance.Report, f *reportFlags) error {
	o := view.Options{Plain: sink.Plain, Verbose: f.verbose}
	switch f.format {
	case "json":
		return command.WriteJSON(c.Stdout, r)
	case "markdown":
		return view.Markdown(c.Stdout, r, o)
	case "html":
		return view.HTML(c.Stdout, r, o)
	default:
		return view.Table(c.Stdout, r, o)
	}
}

// alert names on standard error the requirements that reach the threshold.
func (c *commands) alert(r *compliance.Report, threshold string) {
	if threshold == "" {
		return
	}
	for _, q := range r.Reaching(compliance.Status(threshold)) {
		fmt.Fprintf(c.Stderr, "seawall: %s:%s %s: %s\n", r.Framework.ID, q.ID, q.Status, command.Printable(q.Reason))
	}
}
