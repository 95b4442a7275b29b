package policy

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/policy"
	"github.com/seawall-security/seawall/internal/policy/export"
)

func (c *commands) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE|DIR...",
		Short: "Write policies as Kubernetes' own",
		Long: `Export writes the policies of the phase deploy as ValidatingAdmissionPolicy and
MutatingAdmissionPolicy with their bindings, so that they hold inside the API server
even while no Seawall runs. Rules about findings, what is in images and who signed
them need more than the API server knows: standard error says what was left out and
why. Exceptions are written in as they are now; export again when they end.`,
		Example: "  seawall policy export policies/ > native.yaml\n  seawall policy export policies/ | kubectl apply -f -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := policy.Load(args)
			if err != nil {
				return err
			}
			exported, err := export.Kubernetes(set, c.Now())
			if err != nil {
				return err
			}
			text, err := exported.YAML()
			if err != nil {
				return err
			}
			for _, why := range exported.LeftOut {
				fmt.Fprintln(c.Stderr, "seawall: left out: "+command.Printable(why))
			}
			_, err = c.Stdout.Write(text)
			return err
		},
	}
}
