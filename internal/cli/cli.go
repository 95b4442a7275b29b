// Package cli is the command line: one file per subcommand, each turning flags
// into the Config of a role and running it. It is the only package that knows
// every role, and the only one that imports cobra.
//
// A run is a value: Run takes an Invocation with its arguments, environment and
// standard streams, and returns an exit code. Nothing here reads os.Args, prints
// to os.Stdout or ends the process, so that tests run commands in-process.
//
// Settings come from flags, then SEAWALL_* variables, then seawall.yaml, then
// defaults (see config.go).
package cli

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/audit"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/network"
	"github.com/seawall-security/seawall/internal/cli/policy"
	clirbac "github.com/seawall-security/seawall/internal/cli/rbac"
	"github.com/seawall-security/seawall/internal/cli/server"
	"github.com/seawall-security/seawall/internal/cli/verify"
)

// Invocation is one run of the program with everything it touches.
type Invocation struct {
	// Args are the arguments without the program's name.
	Args []string
	// Environ is the environment as "KEY=value".
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Version string
	// Now replaces the clock; nil is time.Now. SOURCE_DATE_EPOCH in Environ wins
	// over both, for reproducible reports (https://reproducible-builds.org/specs/source-date-epoch/).
	Now func() time.Time
}

// Run executes one invocation and returns its exit code.
func Run(ctx context.Context, inv Invocation) int {
	app := &app{Invocation: inv}
	root := app.rootCommand()
	root.SetArgs(inv.Args)
	root.SetIn(inv.Stdin)
	root.SetOut(inv.Stdout)
	root.SetErr(inv.Stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		command.PrintError(ctx, app.Stderr, err)
	}
	return command.ExitCode(err)
}

// app is what the subcommands of one invocation share.
type app struct {
	Invocation
}

// getenv returns a variable of the injected environment; the last one wins, as in execve(2) practice.
func (a *app) getenv(key string) string {
	value, _ := a.lookupEnv(key)
	return value
}

// env is what subcommands of other packages are made with.
func (a *app) env() *command.Env {
	return &command.Env{Stdin: a.Stdin, Stdout: a.Stdout, Stderr: a.Stderr, Version: a.Version, Now: a.clock(), Getenv: a.getenv}
}

func (a *app) lookupEnv(key string) (string, bool) {
	for _, kv := range slices.Backward(a.Environ) {
		if value, ok := strings.CutPrefix(kv, key+"="); ok {
			return value, true
		}
	}
	return "", false
}

const rootLong = `Seawall finds what is dangerous in the whole life of a Kubernetes workload.

This version scans images, registries, root filesystems, hosts, source trees,
SBOMs, manifests and clusters for known vulnerabilities, secrets, malware,
misconfiguration and licences, answers who may do what and who can reach whom,
reports on compliance and verifies signatures: offline from the first run, every
format of report, and always a plain word about what it could not judge.`

const rootExample = `  seawall scan image nginx:1.25                      an image in a registry
  seawall scan image oci:./build --fail-on critical  a local OCI layout, as a CI gate
  seawall scan host --format html=report.html        this machine
  seawall scan fs . --format sarif=seawall.sarif     lock files of a project
  seawall scan manifests deploy/ --fail-on high      YAML, Helm charts, Kustomize
  seawall scan cluster                               the current kubeconfig's cluster
  seawall scan image app --scanners vuln,secret      more than vulnerabilities
  seawall verify image app:1 --key release.pub       who signed it
  seawall db update                                  fetch current advisories`

const exitHelp = `Exit status:
  0  done, nothing at or above the threshold
  1  --fail-on or a policy blocked, or a question was answered no
  2  usage or configuration error
  3  could not complete: target unreadable, archive corrupt or over a safety
     bound, a collector failed (or partial under --strict; packages without
     advisory data under --require-coverage)
`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "seawall",
		Short:         "Security for Kubernetes workloads, from build to run",
		Long:          rootLong,
		Example:       rootExample,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          command.Known,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return command.Usage(cmd, err)
	})
	root.PersistentFlags().String("config", "", "settings file (default: seawall.yaml in the current directory, if there is one)")
	root.SetUsageTemplate(root.UsageTemplate() + "\n" + exitHelp)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.applySettings(cmd) }
	root.AddCommand(
		a.scanCommand(),
		a.convertCommand(),
		a.dbCommand(),
		a.explainCommand(),
		verify.Command(a.env()),
		a.complianceCommand(),
		clirbac.Command(a.env()),
		network.Command(a.env()),
		policy.Command(a.env()),
		audit.Command(a.env()),
		server.Command(a.env(), a.serverImages()),
		a.versionCommand(),
	)
	command.ExplainArgs(root)
	return root
}
