package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/detect"
	detectall "github.com/seawall-security/seawall/internal/detect/all"
	"github.com/seawall-security/seawall/internal/seawall"
)

func (a *app) explainCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "explain RULE-ID",
		Short: "Say what a rule means and what to do about it",
		Long: `Explain prints the rationale and remedy of one of Seawall's own rules (SW-…).
Vulnerabilities are explained by the advisory database: 'seawall db search ID'.`,
		Example: "  seawall explain SW-OS-001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rules := ownRules()
			for _, r := range rules {
				if !strings.EqualFold(r.ID, args[0]) {
					continue
				}
				switch format {
				case "json":
					return writeJSON(a.Stdout, r)
				case "text":
					return a.printRule(r)
				}
				return usageError(cmd, fmt.Errorf("unknown format %q (want text or json)", format))
			}
			var ids []string
			for _, r := range rules {
				ids = append(ids, r.ID)
			}
			return seawall.WithHint(fmt.Errorf("no rule %q: %w", args[0], seawall.ErrUsage),
				"own rules: "+joinWords(ids)+"; advisories: seawall db search "+printable(args[0]))
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, r := range ownRules() {
				ids = append(ids, r.ID+"\t"+r.Title)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
	}
	addFormat(cmd, &format, "text", "json")
	return cmd
}

// ownRules are the rules of every detector that has some.
func ownRules() []detect.Rule {
	var rules []detect.Rule
	for _, d := range detectall.Detectors(nil) {
		if e, ok := d.(detect.Explainer); ok {
			rules = append(rules, e.Rules()...)
		}
	}
	return rules
}

func (a *app) printRule(r detect.Rule) error {
	fmt.Fprintf(a.Stdout, "%s  %s  (%s)\n\n%s\n\nWhat to do\n%s\n", r.ID, r.Title, r.Severity, r.Rationale, r.Remediation)
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

func joinWords(words []string) string { return strings.Join(words, ", ") }
