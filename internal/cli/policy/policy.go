// Package policy holds the commands policy check, test, explain, export and library, and
// the flags of scans that policies judge.
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/cases"
	"github.com/seawall-security/seawall/internal/policy/kube"
	"github.com/seawall-security/seawall/internal/policy/library"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Command returns "seawall policy".
func Command(env *command.Env) *cobra.Command {
	c := &commands{env}
	return command.Group("policy", "Check, test, explain and export policies",
		`Policies decide what is done about findings, objects and images, in every phase
from build to run: one document with conditions in CEL. scan --policy applies them.`,
		c.checkCommand(), c.testCommand(), c.explainCommand(), c.exportCommand(), c.libraryCommand())
}

// commands are the subcommands of one invocation.
type commands struct{ *command.Env }

func (c *commands) checkCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Check policies and exceptions",
		Long: `Check reads policies and exceptions as scan --policy does: unknown keys, fields that
findings do not have, wrong types and actions that a phase cannot carry out are
errors with their place (exit 2). What is allowed and most likely not meant, and
exceptions that ended, are told (exit 0). So are Kubernetes' own policies, with
their bindings and parameters.`,
		Example: "  seawall policy check policies/\n  seawall policy check policies/ --format json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wordIn(cmd, format); err != nil {
				return err
			}
			set, err := policy.LoadWith(args, kube.Read)
			if err != nil {
				return err
			}
			warnings := set.Lint()
			for _, e := range set.Exceptions {
				if !c.Now().Before(e.Expires) {
					warnings = append(warnings, fmt.Sprintf("%s: exception %s of %s ended", e.Place, e, e.Owner))
				}
			}
			rules := 0
			for _, p := range set.Policies {
				rules += len(p.Rules)
			}
			native := 0
			if set.Native != nil {
				native = len(set.Native.Names())
			}
			if format == "json" {
				return command.WriteJSON(c.Stdout, checked{len(set.Policies), rules, len(set.Exceptions), native, append([]string{}, warnings...)})
			}
			for _, w := range warnings {
				fmt.Fprintln(c.Stdout, command.Printable(w))
			}
			fmt.Fprintf(c.Stdout, "ok: %s, %s, %s", plural(len(set.Policies), "policy", "policies"), command.Plural(rules, "rule"), command.Plural(len(set.Exceptions), "exception"))
			if native > 0 {
				fmt.Fprintf(c.Stdout, ", %s of Kubernetes", plural(native, "policy", "policies"))
			}
			fmt.Fprintln(c.Stdout)
			return nil
		},
	}
	command.AddFormat(cmd, &format, "text", "json")
	return cmd
}

// checked is what policy check --format json prints.
type checked struct {
	Policies   int      `json:"policies"`
	Rules      int      `json:"rules"`
	Exceptions int      `json:"exceptions"`
	Native     int      `json:"native"`
	Warnings   []string `json:"warnings"`
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// wordIn checks --format.
func wordIn(cmd *cobra.Command, format string) error {
	if format != "text" && format != "json" {
		return command.Usage(cmd, fmt.Errorf("unknown format %q (want text or json)", format))
	}
	return nil
}

func (c *commands) testCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "test FILE|DIR...",
		Short: "Run the tests of policies",
		Long: `Test runs the documents of kind PolicyTest in the files and directories, with the
policies and exceptions there: findings, reports, images, objects and requests, and
what is to be decided about them, or what is to become of a pod. It tells for every
rule whether some case asked for both of its answers. Exit 1 when a case fails.`,
		Example: "  seawall policy test policies/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wordIn(cmd, format); err != nil {
				return err
			}
			result, err := cases.Run(args)
			if err != nil {
				return err
			}
			if format == "json" {
				err = command.WriteJSON(c.Stdout, result)
			} else {
				c.writeTests(result)
			}
			if err == nil && result.Failed() > 0 {
				return command.Blocked(command.Plural(result.Failed(), "case") + " failed")
			}
			if err == nil && len(result.Cases) == 0 {
				return fmt.Errorf("no document of kind %s in %s: %w", policy.KindTest, strings.Join(args, ", "), seawall.ErrUsage)
			}
			return err
		},
	}
	command.AddFormat(cmd, &format, "text", "json")
	return cmd
}

func (c *commands) writeTests(r *cases.Result) {
	for i := range r.Cases {
		t := &r.Cases[i]
		if len(t.Problems) == 0 {
			continue
		}
		fmt.Fprintf(c.Stdout, "FAIL %s: %s: %s\n", t.Place, t.Test, command.Printable(t.Name))
		for _, p := range t.Problems {
			fmt.Fprintf(c.Stdout, "     %s\n", command.Printable(p))
		}
	}
	for _, rule := range r.Rules {
		missing := ""
		switch {
		case rule.Matched == 0 && rule.Unmatched == 0:
			missing = "no case asks it"
		case rule.Matched == 0:
			missing = "it matches in no case"
		case rule.Unmatched == 0:
			missing = "it matches in every case"
		default:
			continue
		}
		fmt.Fprintf(c.Stdout, "untested: policy %s, rule %s: %s\n", rule.Policy, rule.Rule, missing)
	}
	fmt.Fprintf(c.Stdout, "%s, %d failed; %.0f %% of the answers of %s asked for\n",
		command.Plural(len(r.Cases), "case"), r.Failed(), 100*r.Coverage, command.Plural(len(r.Rules), "rule"))
}

// explained is one answer of a rule with its parts.
type explained struct {
	Policy  string            `json:"policy"`
	Rule    string            `json:"rule"`
	Finding string            `json:"finding,omitempty"`
	Image   string            `json:"image,omitempty"`
	Answer  string            `json:"answer"`
	Steps   []expression.Step `json:"steps,omitempty"`
	// Changes are what becomes of the object, - as it is, + as it would be.
	Changes []string `json:"changes,omitempty"`
}

func (c *commands) explainCommand() *cobra.Command {
	var format, input, object, finding, phase string
	cmd := &cobra.Command{
		Use:   "explain FILE|DIR... --input REPORT.json|--object FILE",
		Short: "Tell why a policy decided what it did, part by part",
		Long: `Explain asks the policies about a saved report (scan --format json), or about a
Kubernetes object, and shows what every part of each condition came to. Without
--finding only what matched is shown; with it every rule's answer about that
finding. Of an object that is a pod, it shows what policies change in it; of any
object, what Kubernetes' own policies say.`,
		Example: "  seawall scan image app:1 --format json=report.json\n  seawall policy explain policies/ --input report.json\n  seawall policy explain kev.yaml --input report.json --finding CVE-2021-44228\n  seawall policy explain policies/ --object pod.yaml --phase deploy",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wordIn(cmd, format); err != nil {
				return err
			}
			if (input == "") == (object == "") {
				return command.Usage(cmd, errors.New("--input names the report to explain, or --object the object"))
			}
			set, err := policy.LoadWith(args, kube.Read)
			if err != nil {
				return err
			}
			in, err := c.asked(input, object, phase)
			if err != nil {
				return err
			}
			answers, err := explain(set, in, finding)
			if err != nil {
				return err
			}
			answers = append(answers, explainObject(set, in)...)
			if finding != "" && len(answers) == 0 {
				return fmt.Errorf("no rule for phase %s is asked about a failing finding %q: %w", in.Phase, finding, seawall.ErrUsage)
			}
			if format == "json" {
				return command.WriteJSON(c.Stdout, append([]explained{}, answers...))
			}
			c.writeAnswers(answers)
			return nil
		},
	}
	command.AddFormat(cmd, &format, "text", "json")
	flags := cmd.Flags()
	flags.StringVar(&input, "input", "", "the JSON report")
	flags.StringVar(&object, "object", "", "a YAML file with the Kubernetes object")
	flags.StringVar(&finding, "finding", "", "only this finding, by its identifier or its rule")
	flags.StringVar(&phase, "phase", policy.PhaseBuild, "the phase to decide for: "+command.JoinWords(policy.Phases()))
	_ = cmd.RegisterFlagCompletionFunc("phase", command.FixedCompletion(policy.Phases()...))
	return cmd
}

// asked is the input that a saved report or an object makes.
func (c *commands) asked(input, object, phase string) (policy.Input, error) {
	in := policy.Input{Phase: phase, Now: c.Now(), Mutator: mutate.New(nil)}
	if policy.ActionsOf(phase) == nil {
		return in, fmt.Errorf("--phase %q: want %s: %w", phase, command.JoinWords(policy.Phases()), seawall.ErrUsage)
	}
	if object != "" {
		return readObject(object, in)
	}
	return reported(input, in)
}

// readObject is the input with the first object of a file.
func readObject(name string, in policy.Input) (policy.Input, error) {
	text, err := policy.ReadFile(name)
	if err != nil {
		return in, err
	}
	documents, err := policy.Documents(name, text)
	if err != nil {
		return in, err
	}
	if len(documents) != 1 {
		return in, fmt.Errorf("--object %s: want one object, got %d: %w", name, len(documents), seawall.ErrUsage)
	}
	m, err := kube.Object(documents[0])
	if err != nil {
		return in, err
	}
	return in.About(m), nil
}

// reported is the input with a saved report.
func reported(name string, in policy.Input) (policy.Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return in, fmt.Errorf("--input: %w: %w", err, seawall.ErrUsage)
	}
	defer f.Close()
	var report seawall.Report
	if err := json.NewDecoder(f).Decode(&report); err != nil {
		return in, fmt.Errorf("--input %s: %w: %w", name, err, seawall.ErrCorrupt)
	}
	return policy.Reported(&report, in), nil
}

// explain asks every rule; finding "" keeps the answers that matched.
func explain(set *policy.Set, in policy.Input, finding string) ([]explained, error) {
	in.Exceptions = set.Exceptions
	var answers []explained
	var failed error
	for _, p := range set.Policies {
		p.Observe(in, func(o *policy.Observed) {
			if finding == "" && !o.Matched && o.Err == nil {
				return
			}
			if finding != "" && (o.Finding == nil || o.Finding.ID != finding && o.Finding.Rule != finding) {
				return
			}
			a := explained{Policy: p.Name, Rule: o.Rule.Name, Answer: "no"}
			var unknown *expression.UnknownError
			switch {
			case errors.As(o.Err, &unknown):
				a.Answer = "yes, since it is " + o.Err.Error()
			case o.Err != nil:
				a.Answer = "cannot be judged: " + o.Err.Error()
			case o.Matched:
				a.Answer = "yes"
			}
			if o.Finding != nil {
				a.Finding = o.Finding.ID + " " + o.Finding.Title
			}
			if o.Image != nil {
				a.Image = o.Image.Name
			}
			steps, err := o.Explain()
			if err != nil {
				failed = err
			}
			a.Steps = steps
			answers = append(answers, a)
		})
	}
	return answers, failed
}

// explainObject tells what mutations make of the input's object, and what Kubernetes' own
// policies say of it.
func explainObject(set *policy.Set, in policy.Input) []explained {
	if in.Object == nil {
		return nil
	}
	var answers []explained
	changed, decisions := set.Mutate(in)
	for i := range decisions {
		d := &decisions[i]
		answers = append(answers, explained{Policy: d.Policy, Rule: d.Rule, Answer: d.Action + ", " + d.Outcome + ": " + d.Reason})
	}
	if lines := mutate.Diff(in.Object, changed); len(lines) > 0 {
		answers[len(answers)-1].Changes = lines
	}
	if set.Native == nil {
		return answers
	}
	if lines := mutate.Diff(set.Native.Mutate(in)); len(lines) > 0 {
		answers = append(answers, explained{Policy: "MutatingAdmissionPolicy", Answer: "mutate, enforced", Changes: lines})
	}
	native := set.Native.Decide(in)
	for i := range native {
		d := &native[i]
		answers = append(answers, explained{Policy: d.Policy, Rule: d.Rule, Answer: d.Action + ", " + d.Outcome + ": " + d.Reason})
	}
	return answers
}

func (c *commands) writeAnswers(answers []explained) {
	for i := range answers {
		a := &answers[i]
		fmt.Fprintf(c.Stdout, "%s: %s\n", titled(a.Policy, a.Rule), command.Printable(a.Answer))
		for _, about := range []string{a.Finding, a.Image} {
			if about != "" {
				fmt.Fprintf(c.Stdout, "  about %s\n", command.Printable(about))
			}
		}
		for _, s := range a.Steps {
			text := strings.Join(strings.Fields(s.Text), " ")
			fmt.Fprintf(c.Stdout, "  %s%s  =>  %s\n", strings.Repeat("  ", s.Depth), command.Printable(text), command.Printable(s.Value))
		}
		for _, line := range a.Changes {
			fmt.Fprintf(c.Stdout, "  %s\n", command.Printable(line))
		}
	}
	if len(answers) == 0 {
		fmt.Fprintln(c.Stdout, "no rule matches")
	}
}

func (c *commands) libraryCommand() *cobra.Command {
	var tests bool
	cmd := &cobra.Command{
		Use:     "library [NAME]",
		Short:   "List the starter policies, or print one",
		Example: "  seawall policy library\n  seawall policy library no-known-exploited > policies/no-known-exploited.yaml\n  seawall policy library no-known-exploited --tests > policies/no-known-exploited.test.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if tests && len(args) == 0 {
				return command.Usage(cmd, errors.New("--tests wants the NAME of a policy"))
			}
			if len(args) == 1 {
				text := library.Text
				if tests {
					text = library.Tests
				}
				document, ok := text(args[0])
				if !ok {
					return fmt.Errorf("there is no policy %q in the library (want %s): %w", args[0], strings.Join(library.Names(), ", "), seawall.ErrUsage)
				}
				_, err := c.Stdout.Write(document)
				return err
			}
			for _, name := range library.Names() {
				text, _ := library.Text(name)
				set, err := policy.Parse(name+".yaml", text)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.Stdout, "%-20s %s\n", name, set.Policies[0].Description)
			}
			return nil
		},
		ValidArgsFunction: command.FixedCompletion(library.Names()...),
	}
	cmd.Flags().BoolVar(&tests, "tests", false, "print the policy's tests instead")
	return cmd
}
