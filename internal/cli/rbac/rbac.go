// Package rbac holds the commands rbac who-can and rbac report: who may do what
// in a cluster or in manifests, by which objects, and how far that leads.
package rbac

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/objects"
	detectrbac "github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/detect/rbac/view"
	"github.com/seawall-security/seawall/internal/seawall"
)

// commands are the subcommands of one invocation.
type commands struct {
	*command.Env
	flags   objects.Flags
	offline bool
}

// Command returns "seawall rbac".
func Command(env *command.Env) *cobra.Command {
	c := &commands{Env: env}
	return command.Group("rbac", "Who may do what, and how far that leads",
		"Access is computed from Roles, ClusterRoles and their bindings exactly as the API server's\nauthorizer does: of the cluster of the current kubeconfig, or of manifests, charts and\nkustomizations named as PATHs.",
		c.whoCanCommand(), c.reportCommand())
}

// add defines the flags both commands have.
func (c *commands) add(cmd *cobra.Command) {
	c.flags.AddManifests(cmd)
	c.flags.AddCluster(cmd)
	cmd.Flags().BoolVar(&c.offline, "offline", false, "never use the network: manifests only")
}

// analyse reads the objects and tells what could not be read.
func (c *commands) analyse(ctx context.Context, paths []string) (*detectrbac.Analysis, error) {
	facts, missed, err := c.flags.Facts(ctx, c.Env, paths, c.offline)
	if err != nil {
		return nil, err
	}
	for _, problem := range missed {
		fmt.Fprintf(c.Stderr, "seawall: %s\n", command.Printable(problem.Error()))
	}
	a := detectrbac.Analyse(facts)
	for _, problem := range a.Problems {
		fmt.Fprintf(c.Stderr, "seawall: %s\n", command.Printable(problem))
	}
	if len(missed) > 0 {
		return a, &command.Error{Code: command.ExitIncomplete, Err: missed, Silent: true}
	}
	return a, nil
}

const whoCanLong = `Who-can lists the users, groups and service accounts that a binding lets do something,
and the objects that let them.

RESOURCE is a plural, singular, short name or kind, with its group where that is not clear
(deploy, deployments.apps, pods/exec), '*' for everything, or a URL (/metrics).
Without --namespace the question is about all namespaces at once, as 'kubectl get -A' asks;
subjects that may only in some namespaces are then counted on standard error.

Members of groups are not listed, they are not in the cluster: a service account is always in
system:authenticated, system:serviceaccounts and system:serviceaccounts:NAMESPACE; --members
lists the known accounts these bring. Members of system:masters may do everything without any
binding. Of manifests, roles every cluster has (cluster-admin, edit, view) need not be in them.`

const whoCanExample = `  seawall rbac who-can get secrets -n shop
  seawall rbac who-can create pods/exec --format json
  seawall rbac who-can update deploy/scale -n shop deploy/
  seawall rbac who-can get /metrics`

// question is what the user asked.
type question struct {
	name, namespace, format string
	members                 bool
}

func (c *commands) whoCanCommand() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use: "who-can VERB RESOURCE[/SUBRESOURCE] [PATH...]", Short: "Who may do something, and which objects let them",
		Long: whoCanLong, Example: whoCanExample, Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return c.whoCan(cmd, args, q) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return complete(args)
		},
	}
	command.AddFormat(cmd, &q.format, "table", "json")
	cmd.Flags().StringVar(&q.name, "resource-name", "", "the name of one object")
	cmd.Flags().StringVarP(&q.namespace, "namespace", "n", "", "the namespace asked about (default: all at once)")
	cmd.Flags().BoolVar(&q.members, "members", false, "also list the known service accounts that are in a group listed")
	c.add(cmd)
	return cmd
}

func complete(args []string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "bind", "escalate"}, cobra.ShellCompDirectiveNoFileComp
	case 1:
		var names []string
		for _, r := range access.Builtin() {
			names = append(names, strings.TrimSuffix(r.Name+"."+r.Group, "."))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

func (c *commands) whoCan(cmd *cobra.Command, args []string, q question) error {
	if q.format != "table" && q.format != "json" {
		return command.Usage(cmd, fmt.Errorf("unknown format %q (want table or json)", q.format))
	}
	a, incomplete := c.analyse(cmd.Context(), args[2:])
	if a == nil {
		return incomplete
	}
	request, note, err := a.Set.Resolve(args[0], args[1], q.name, q.namespace)
	if err != nil {
		return err
	}
	if note != "" {
		fmt.Fprintf(c.Stderr, "seawall: %s\n", command.Printable(note))
	}
	for _, reason := range a.UnreadAccess() {
		fmt.Fprintf(c.Stderr, "seawall: the answer may lack subjects: %s\n", command.Printable(reason))
	}
	grants := a.WhoCan(request)
	if q.members {
		grants = append(grants, a.Members(grants)...)
	}
	answers := access.Answers(grants)
	if err := c.answer(a, request, answers, q.format); err != nil {
		return err
	}
	return incomplete
}

func (c *commands) answer(a *detectrbac.Analysis, request access.Request, answers []access.Answer, format string) error {
	if format == "json" {
		return command.WriteJSON(c.Stdout, map[string]any{"subjects": answers})
	}
	if len(answers) == 0 {
		fmt.Fprintf(c.Stdout, "Nobody can %s by any binding.\n", command.Printable(request.String()))
	} else {
		fmt.Fprintf(c.Stdout, "%s can %s:\n", command.Plural(len(answers), "subject"), command.Printable(request.String()))
		w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
		for _, s := range answers {
			var via []string
			for _, ref := range s.Via {
				via = append(via, place(ref))
			}
			fmt.Fprintf(w, "  %s\t%s\n", command.Printable(s.Subject.String()), command.Printable(strings.Join(via, ", ")))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if some := a.InSomeNamespaces(request); request.Namespace == "" && len(some) > 0 {
		fmt.Fprintf(c.Stderr, "seawall: that is in all namespaces at once; in one namespace %s may, for example with -n %s\n", command.Plural(len(some), "further subject"), some[0].Namespace)
	}
	return nil
}

// place names an object and where it is written.
func place(r access.Ref) string {
	if r.Path == "" {
		return r.String()
	}
	return fmt.Sprintf("%s (%s:%d)", r, r.Path, r.Line)
}

const reportLong = `Report lists every subject with what it may do, the most dangerous first: risky permissions,
the shortest ways from a shell in a pod to cluster-admin, roles, bindings and accounts nobody
uses, tokens mounted for nothing; and what could not be read.

Formats: table; json; html, one page to explore in a browser; svg and dot, a drawing of the ways
to cluster-admin. FORMAT=FILE writes to a file; the flag may be given more than once.`

var reportFormats = []string{"table", "json", "html", "svg", "dot"}

func (c *commands) reportCommand() *cobra.Command {
	var formats []string
	cmd := &cobra.Command{
		Use: "report [PATH...]", Short: "What everybody may do, ranked by risk, and the ways to cluster-admin",
		Long: reportLong, Example: "  seawall rbac report\n  seawall rbac report --format html=access.html\n  seawall rbac report deploy/ --format svg > ways.svg",
		RunE: func(cmd *cobra.Command, args []string) error {
			outputs, err := c.outputs(cmd, formats)
			if err != nil {
				return err
			}
			a, incomplete := c.analyse(cmd.Context(), args)
			if a == nil {
				return incomplete
			}
			for _, o := range outputs {
				if err := c.write(o, a); err != nil {
					return err
				}
			}
			return incomplete
		},
	}
	cmd.Flags().StringArrayVar(&formats, "format", []string{"table"}, "one of: "+command.JoinWords(reportFormats)+"; FORMAT=FILE writes to a file; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("format", command.FixedCompletion(reportFormats...))
	c.add(cmd)
	return cmd
}

// output is a format and the file it goes to, "" for standard output.
type output struct{ format, file string }

func (c *commands) outputs(cmd *cobra.Command, formats []string) ([]output, error) {
	var list []output
	onStdout := false
	for _, spec := range formats {
		format, file, _ := strings.Cut(spec, "=")
		switch {
		case !slices.Contains(reportFormats, format):
			return nil, command.Usage(cmd, fmt.Errorf("unknown format %q (want %s)", format, command.JoinWords(reportFormats)))
		case file == "" && onStdout:
			return nil, command.Usage(cmd, errors.New("only one format can go to standard output; give the others a file: --format "+format+"=FILE"))
		}
		onStdout = onStdout || file == ""
		list = append(list, output{format, file})
	}
	return list, nil
}

func (c *commands) write(o output, a *detectrbac.Analysis) error {
	if o.file == "" {
		return c.render(c.Stdout, o.format, a)
	}
	return command.ReplaceFile(o.file, func(w io.Writer) error { return c.render(w, o.format, a) })
}

func (c *commands) render(w io.Writer, format string, a *detectrbac.Analysis) error {
	switch format {
	case "json":
		return command.WriteJSON(w, a.Report())
	case "html":
		return view.HTML(w, a, c.Now().UTC().Format("2006-01-02"))
	case "svg":
		return view.SVG(w, a)
	case "dot":
		return view.DOT(w, a)
	}
	return table(w, a.Report())
}

// shown is how many of a list the table has; json and html have all.
const shown = 20

func table(w io.Writer, r *detectrbac.Report) error {
	for _, reason := range r.Unread {
		fmt.Fprintf(w, "NOT READ  %s\n", command.Printable(reason))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RISK\tSUBJECT\tDANGEROUS PERMISSIONS\tSTEPS TO CLUSTER-ADMIN")
	n, system, harmless := 0, 0, 0
	for i := range r.Subjects {
		s := &r.Subjects[i]
		switch {
		case s.System:
			system++
			continue
		case s.Risk <= seawall.SeverityNegligible:
			harmless++
			continue
		}
		if n++; n > shown {
			continue
		}
		steps := "-"
		if s.Path != nil {
			steps = fmt.Sprint(len(s.Path))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Risk, command.Printable(s.Subject.String()), command.Printable(held(s.Powers)), steps)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	more(w, n, "subject")
	if harmless > 0 {
		fmt.Fprintf(w, "%s without any dangerous permission not listed\n", command.Plural(harmless, "subject"))
	}
	if system > 0 {
		fmt.Fprintf(w, "%s of the control plane and its nodes not listed\n", command.Plural(system, "subject"))
	}
	fmt.Fprintln(w)
	for i, f := range r.Findings {
		if i < shown {
			fmt.Fprintf(w, "%-8s %s  %s\n", f.Severity, f.Rule, command.Printable(f.Title))
		}
		if i < shown && (f.Rule == "SW-RBAC-050" || f.Rule == "SW-RBAC-051") {
			fmt.Fprintf(w, "           %s\n", command.Printable(strings.ReplaceAll(f.Evidence, "\n", "\n           ")))
		}
	}
	more(w, len(r.Findings), "finding")
	_, err := fmt.Fprintln(w, "Fixes are in --format json and html; 'seawall explain SW-RBAC-…' explains a rule.")
	return err
}

func more(w io.Writer, n int, noun string) {
	if n > shown {
		fmt.Fprintf(w, "… and %s: --format json or html\n", command.Plural(n-shown, "more "+noun))
	}
}

// held is the first few powers in words.
func held(powers []detectrbac.Held) string {
	const few = 3
	var words []string
	for i, p := range powers {
		if i == few {
			words = append(words, fmt.Sprintf("and %d more", len(powers)-few))
			break
		}
		word := p.Power
		if p.Namespace != "" {
			word += " in " + p.Namespace
		}
		words = append(words, word)
	}
	return cmp.Or(strings.Join(words, "; "), "-")
}
