package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink/json"
)

func (a *app) convertCommand() *cobra.Command {
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Turn a saved JSON report into any other format",
		Long: `Convert replays a report saved with --format json or jsonl (FILE, or - for
standard input) into any other format, without scanning again.`,
		Example: `  seawall scan image app:1 --format json=app.json
  seawall convert app.json --format html=app.html --format sarif=app.sarif
  seawall convert app.json --severity critical,high --fixable`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, skipped, err := a.readReport(args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if skipped > 0 {
				fmt.Fprintf(a.Stderr, "seawall: %d messages of kinds this version does not know were left out\n", skipped)
			}
			r, err := a.openReports(&out)
			if err != nil {
				return err
			}
			return r.replay(cmd.Context(), report)
		},
	}
	out.add(cmd)
	return cmd
}

func (a *app) readReport(name string) (*seawall.Report, int, error) {
	r := a.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", err, seawall.ErrUnreadable)
		}
		defer f.Close()
		r = f
	}
	return json.Read(r)
}
