package policy

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/kube"
	"github.com/seawall-security/seawall/internal/policy/mutate"
	"github.com/seawall-security/seawall/internal/seawall"
)

// ScanFlags are the flags of scans that policies judge.
type ScanFlags struct {
	paths []string
	phase string
}

// Add defines the flags.
func (f *ScanFlags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.paths, "policy", nil, "policies and exceptions to decide by, Kubernetes' own (ValidatingAdmissionPolicy, MutatingAdmissionPolicy) too: files, and directories of .yaml files; exit 1 when one blocks")
	flags.StringVar(&f.phase, "phase", "", "which phase the policies decide for: build, registry, deploy or run (default: registry for scan registry, deploy for scan cluster, else build)")
	_ = cmd.RegisterFlagCompletionFunc("phase", command.FixedCompletion(policy.Phases()...))
}

// Load reads the policies; the gate is nil where none were given.
func (f *ScanFlags) Load(cmd *cobra.Command) (*policy.Gate, error) {
	phase := f.phase
	switch {
	case phase == "" && cmd.Name() == "registry":
		phase = policy.PhaseRegistry
	case phase == "" && cmd.Name() == "cluster":
		phase = policy.PhaseDeploy
	case phase == "":
		phase = policy.PhaseBuild
	case !slices.Contains(policy.Phases(), phase):
		return nil, command.Usage(cmd, fmt.Errorf("--phase %q: want %s", phase, command.JoinWords(policy.Phases())))
	}
	if len(f.paths) == 0 {
		if f.phase != "" {
			return nil, command.Usage(cmd, fmt.Errorf("--phase says which phase --policy decides for, and there is no --policy"))
		}
		return nil, nil
	}
	set, err := policy.LoadWith(f.paths, kube.Read)
	if err != nil {
		return nil, err
	}
	return &policy.Gate{Set: set, Phase: phase, Mutator: mutate.New(nil)}, nil
}

// Text is a decision in a line. One of a policy of Kubernetes as a whole has no rule.
func Text(d *seawall.Decision) string { return titled(d.Policy, d.Rule) + ": " + d.Reason }

func titled(policy, rule string) string {
	if rule == "" {
		return "policy " + policy
	}
	return "policy " + policy + ", rule " + rule
}

// Blocked is the error of a scan that policies block.
func Blocked(decisions []seawall.Decision) error {
	d := &decisions[0]
	text := Text(d)
	if n := len(decisions) - 1; n > 0 {
		text += fmt.Sprintf(" (and %s more)", command.Plural(n, "decision"))
	}
	return command.Blocked(text + ": blocked")
}
