package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/actor"
	"github.com/seawall-security/seawall/internal/detect/behaviour"
	"github.com/seawall-security/seawall/internal/detect/integrity"
	"github.com/seawall-security/seawall/internal/detect/registry"
	"github.com/seawall-security/seawall/internal/detect/signature"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/seawall"
)

func (a *app) explainCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "explain [RULE-ID]",
		Short: "Say what a rule means and what to do about it",
		Long: `Explain prints the rationale and remedy of one of Seawall's own rules (SW-…),
or without an argument lists them all.
Vulnerabilities are explained by the advisory database: 'seawall db search ID'.`,
		Example: "  seawall explain\n  seawall explain SW-OS-001",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return command.Usage(cmd, fmt.Errorf("unknown format %q (want text or json)", format))
			}
			rules := ownRules()
			if len(args) == 0 {
				return a.listRules(rules, format)
			}
			i := slices.IndexFunc(rules, func(r detect.Rule) bool { return strings.EqualFold(r.ID, args[0]) })
			if i < 0 {
				return seawall.WithHint(fmt.Errorf("no rule %q: %w", args[0], seawall.ErrUsage),
					"'seawall explain' lists all rules; advisories are found with 'seawall db search "+command.Printable(args[0])+"'")
			}
			rules[i].Frameworks = frameworksOf(rules[i].ID, a.clock()())
			if format == "json" {
				return command.WriteJSON(a.Stdout, rules[i])
			}
			return a.printRule(rules[i])
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, r := range ownRules() {
				ids = append(ids, r.ID+"\t"+r.Title)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
	}
	command.AddFormat(cmd, &format, "text", "json")
	return cmd
}

// ownRules are the rules of every detector that has some, and of what the agent and
// the server find by themselves.
func ownRules() []detect.Rule {
	var rules []detect.Rule
	for _, e := range explainers() {
		rules = append(rules, e.Rules()...)
	}
	for _, l := range liveRules() {
		rules = append(rules, l.rules...)
	}
	return rules
}

// liveKind are rules of findings that no scan makes, so compliance does not ask for them.
type liveKind struct {
	kind  seawall.FindingKind
	rules []detect.Rule
}

func liveRules() []liveKind {
	return []liveKind{
		{seawall.KindAudit, actor.Rules()},
		{seawall.KindIntegrity, integrity.Rules()},
		{seawall.KindRuntime, behaviour.Rules()},
	}
}

// explainers are the detectors with rules of their own.
func explainers() []detect.Explainer {
	var all scannerFlags
	all.scanners, all.host = scannerNames(), true
	var cfg scan.Config
	if all.complete(&cfg, nil) != nil {
		return nil // only users' own rule files can fail
	}
	var out []detect.Explainer
	for _, d := range append(cfg.Detectors, registry.Detector{}, signature.Detector{}) {
		if e, ok := d.(detect.Explainer); ok {
			out = append(out, e)
		}
	}
	return out
}

func (a *app) listRules(rules []detect.Rule, format string) error {
	if format == "json" {
		return command.WriteJSON(a.Stdout, rules)
	}
	for _, r := range rules {
		if _, err := fmt.Fprintf(a.Stdout, "%-12s %-10s %s\n", r.ID, r.Severity, r.Title); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printRule(r detect.Rule) error {
	fmt.Fprintf(a.Stdout, "%s  %s  (%s)\n\n%s\n\nWhat to do\n%s\n", r.ID, r.Title, r.Severity, r.Rationale, r.Remediation)
	if r.Manual != "" {
		fmt.Fprintf(a.Stdout, "\nNo program can judge this\n%s\n", r.Manual)
	}
	if r.Patch != "" {
		fmt.Fprintf(a.Stdout, "\nPatch\n  %s\n", strings.ReplaceAll(strings.TrimSpace(r.Patch), "\n", "\n  "))
	}
	for _, list := range []struct {
		title string
		items []string
	}{{"References", r.References}, {"Frameworks", r.Frameworks}} {
		if len(list.items) > 0 {
			fmt.Fprintf(a.Stdout, "\n%s\n  %s\n", list.title, strings.Join(list.items, "\n  "))
		}
	}
	return nil
}
