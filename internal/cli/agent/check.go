package agent

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/sensor/kernel"
)

func probeCommand(env *command.Env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what this kernel supports",
		Long: `Check tries what the agent makes use of on this kernel, with the privileges it has now, and
leaves nothing behind. It ends with 3 when something run cannot do without is missing.`,
		Example: "  seawall-agent check\n  seawall-agent check --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			features := kernel.Probe()
			var err error
			switch format {
			case "json":
				err = command.WriteJSON(env.Stdout, struct {
					Features []kernel.Feature `json:"features"`
				}{features})
			case "table":
				err = printFeatures(env.Stdout, features)
			default:
				return command.Usage(cmd, fmt.Errorf("unknown format %q (want table or json)", format))
			}
			if err != nil {
				return err
			}
			for _, f := range features {
				if f.Required && f.Status != kernel.Supported {
					return fmt.Errorf("%s, which the kernel sensor needs: %s", f.Name, cmp.Or(f.Reason, string(f.Status)))
				}
			}
			return nil
		},
	}
	command.AddFormat(cmd, &format, "table", "json")
	return cmd
}

func printFeatures(w io.Writer, features []kernel.Feature) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "FEATURE\tSTATUS\tNEEDED\tPURPOSE\tDETAIL")
	for _, f := range features {
		needed := "no"
		if f.Required {
			needed = "yes"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", f.Name, f.Status, needed, f.Purpose, command.Printable(f.Reason))
	}
	return out.Flush()
}
