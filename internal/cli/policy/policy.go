// Package policy holds the commands policy check, test and explain, and the flags
// of scans that policies judge.
package policy

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/policy"
)

// Command returns "seawall policy".
func Command(env *command.Env) *cobra.Command {
	c := &commands{env}
	return command.Group("policy", "Check, test and explain policies",
		`Policies decide what is done about findings, objects and images, in every phase
from build to run: one document with CEL conditions. scan --policy applies them.`,
		c.checkCommand())
}

// commands are the subcommands of one invocation.
type commands struct{ *command.Env }

func (c *commands) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE|DIR...", Short: "Check policies and exceptions", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := policy.Load(args)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.Stdout, "%d policies\n", len(set.Policies))
			return nil
		},
	}
}
