package cli

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	clicompliance "github.com/seawall-security/seawall/internal/cli/compliance"
	"github.com/seawall-security/seawall/internal/compliance"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink/json"
)

func (a *app) complianceCommand() *cobra.Command {
	return clicompliance.Command(a.env(), clicompliance.Deps{Controls: controls, Scan: a.scanToReport})
}

// controls are the rules of every detector, as the frameworks know them.
func controls() []compliance.Control {
	var out []compliance.Control
	for _, e := range explainers() {
		for _, r := range e.Rules() {
			out = append(out, compliance.Control{
				ID: r.ID, Title: r.Title, Severity: r.Severity, Remediation: r.Remediation, Frameworks: compliance.WithCounterparts(r.Frameworks), Manual: r.Manual, Detector: e.Name(),
			})
		}
	}
	return out
}

// frameworksOf are the requirements a rule is evidence for.
func frameworksOf(rule string, now time.Time) []string {
	for _, l := range liveRules() {
		if i := slices.IndexFunc(l.rules, func(r detect.Rule) bool { return r.ID == rule }); i >= 0 {
			return compliance.NewMapper().Frameworks(&seawall.Finding{Kind: l.kind, Rule: rule, Severity: l.rules[i].Severity, Status: seawall.StatusFail}, now)
		}
	}
	all := controls()
	i := slices.IndexFunc(all, func(c compliance.Control) bool { return c.ID == rule })
	return compliance.NewMapper().OfRule(&all[i])
}

// scanToReport runs "seawall scan" with arguments and returns its report. Unless
// they name scanners it is all of them; on a host, where reading every file takes
// minutes, and where there are no files, what is installed and how it is set up.
// What the scan tells on standard error goes there.
func (a *app) scanToReport(ctx context.Context, args []string) (*seawall.Report, error) {
	scanners := scannerNames()
	if slices.Contains([]string{"host", "cluster", "manifests"}, args[0]) {
		scanners = []string{"vuln", "misconfig"}
	}
	args = append([]string{"scan"}, args...)
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--scanners") }) {
		args = append(args, "--scanners", strings.Join(scanners, ","))
	}
	var out bytes.Buffer
	inner := a.Invocation
	inner.Args, inner.Stdout = append(args, "--format", "json"), &out
	if code := Run(ctx, inner); code != command.ExitOK && code != command.ExitBlocked {
		return nil, &command.Error{Code: code, Err: errors.New("the scan ended early"), Silent: true}
	}
	report, _, err := json.Read(&out)
	return report, err
}
