package cli

import (
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/posture"
	"github.com/seawall-security/seawall/internal/scan"
)

// postureScan lends the flags and the running of every scan to the commands of package posture.
func (a *app) postureScan() posture.Scan {
	var f scanFlags
	return posture.Scan{
		AddFlags: func(cmd *cobra.Command, scanners ...string) {
			f.add(cmd)
			f.scanners = scanners
			cmd.Flags().Lookup("scanners").DefValue = "[" + strings.Join(scanners, ",") + "]"
		},
		Run: func(cmd *cobra.Command, targets []scan.Target, adjust func(*scan.Config)) error {
			// What is held here is findings, which live to the end: less headroom than
			// package main gives costs little and keeps 10,000 objects within their budget.
			if a.getenv("GOGC") == "" {
				defer debug.SetGCPercent(debug.SetGCPercent(100))
			}
			return a.runTargets(cmd, &f, targets, func(cfg *scan.Config) error {
				adjust(cfg)
				return nil
			})
		},
		Settings: func() posture.Settings { return posture.Settings{Name: f.name, Offline: f.offline, Quiet: f.quiet} },
	}
}
