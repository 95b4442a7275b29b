// Package agent is the command line of seawall-agent, a program of its own that
// links little: rules, sensors and the two plain report formats.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/agent"
	"github.com/seawall-security/seawall/internal/cli/agent/integrity"
	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/cli/live"
	"github.com/seawall-security/seawall/internal/detect/rules"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	sinkjson "github.com/seawall-security/seawall/internal/sink/json"
	"github.com/seawall-security/seawall/internal/sink/text"
)

// Run executes one invocation and returns its exit code.
func Run(ctx context.Context, env *command.Env, args []string) int {
	root := rootCommand(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		command.PrintError(ctx, env.Stderr, err)
	}
	return command.ExitCode(err)
}

const exitHelp = `Exit status:
  0  done
  1  files are not as they were (integrity check)
  2  usage or configuration error, a rule file with a mistake among them
  3  could not complete: a recording that cannot be read, a sensor that fails, a kernel
     that lacks what the sensor needs
`

func rootCommand(env *command.Env) *cobra.Command {
	root := command.Group("seawall-agent", "Judge what happens on a node by rules",
		"Events of the kernel and the Kubernetes audit log, as they happen or from recordings, are\njudged by rules in Falco's language; rule files people have work unchanged.",
		runCommand(env), probeCommand(env), replayCommand(env), rulesCommand(env), integrity.Command(env), versionCommand(env))
	root.Example = "  seawall-agent run --policy policies/ --output jsonl=/var/log/seawall.jsonl\n  seawall-agent replay audit.log --source k8s_audit --rules k8s_audit_rules.yaml\n  seawall-agent rules check my_rules.yaml\n  seawall-agent rules list --rules falco_rules.yaml --format json"
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(command.Usage)
	command.ExplainArgs(root)
	root.SetUsageTemplate(root.UsageTemplate() + "\n" + exitHelp)
	return root
}

func versionCommand(env *command.Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(env.Stdout, "seawall-agent", env.Version)
			return err
		},
	}
}

func replayCommand(env *command.Env) *cobra.Command {
	var source, format string
	var files []string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run a recording through rules",
		Long: `Replay judges recorded events and prints what the rules found, one finding per event.

For --source k8s_audit FILE is an audit log as an API server writes it: events one a line,
a single event, or an EventList. For --source syscall it is lines of JSON:

  {"time": "2026-11-21T09:00:00Z", "type": "execve", "fields": {"proc.name": "nc", …}}

FILE - is standard input. Without --rules Seawall's own rules judge.`,
		Example: "  seawall-agent replay /var/log/kubernetes/audit.log --source k8s_audit --format json\n  seawall-agent replay events.jsonl --source syscall --rules falco_rules.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{rules.SourceSyscall, rules.SourceAudit}, source) {
				return command.Usage(cmd, fmt.Errorf("--source %q: want syscall or k8s_audit", source))
			}
			engine, err := load(cmd, files)
			if err != nil {
				return err
			}
			return replay(cmd, env, engine, source, format, args[0])
		},
	}
	cmd.Flags().StringVar(&source, "source", rules.SourceSyscall, "what the recording is of: syscall or k8s_audit")
	live.AddFiles(cmd, &files)
	command.AddFormat(cmd, &format, "table", "json", "jsonl")
	_ = cmd.RegisterFlagCompletionFunc("source", command.FixedCompletion(rules.SourceSyscall, rules.SourceAudit))
	return cmd
}

func replay(cmd *cobra.Command, env *command.Env, engine *rules.Engine, source, format, name string) error {
	var handler sink.Handler
	switch format {
	case "json":
		handler = sinkjson.New(env.Stdout)
	case "jsonl":
		handler = sinkjson.NewLines(env.Stdout)
	case "table":
		handler = text.New(env.Stdout, sink.Options{})
	default:
		return command.Usage(cmd, fmt.Errorf("unknown format %q (want table, json or jsonl)", format))
	}
	in, label := env.Stdin, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("%w: %w", err, seawall.ErrUnreadable)
		}
		defer f.Close()
		in, label = f, name
	}
	cfg := agent.Config{Tool: seawall.Tool{Name: "seawall-agent", Version: env.Version}, Engine: engine, Source: source, Now: env.Now}
	outcome, err := agent.Replay(cmd.Context(), cfg, label, in, handler)
	if err = errors.Join(err, handler.Close()); err != nil {
		return err
	}
	if outcome.Damaged > 0 {
		fmt.Fprintf(env.Stderr, "seawall-agent: %s could not be read (the report names the first ones)\n", command.Plural(outcome.Damaged, "line"))
	}
	return nil
}

// load compiles rule files, or Seawall's own rules.
func load(cmd *cobra.Command, names []string) (*rules.Engine, error) {
	engine, err := live.Compile(names)
	var missing *fs.PathError
	if errors.As(err, &missing) {
		return nil, usage(cmd, err)
	}
	return engine, err
}

func rulesCommand(env *command.Env) *cobra.Command {
	return command.Group("rules", "List and check rules", "Rules are written in Falco's language: lists, macros and rules in YAML files.",
		listCommand(env), checkCommand(env))
}

func listCommand(env *command.Env) *cobra.Command {
	var format string
	var files []string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List rules and whether each runs",
		Long: `List prints every rule with its priority, its source, the event types it is asked for
and its state: ok, disabled, or unsupported with the fields nothing fills.

PREVENTION is how early the agent can stop what a rule is about in a container: "kernel" ends
the process at exec before its first instruction, "permission" refuses the exec, and "after"
ends the process when the event has been judged. --format json also says why.`,
		Example: "  seawall-agent rules list\n  seawall-agent rules list --rules falco_rules.yaml --rules local_rules.yaml --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := load(cmd, files)
			if err != nil {
				return err
			}
			switch format {
			case "json":
				return command.WriteJSON(env.Stdout, struct {
					Rules []rules.Status `json:"rules"`
				}{engine.Rules()})
			case "table":
				return printRules(env.Stdout, engine.Rules())
			}
			return command.Usage(cmd, fmt.Errorf("unknown format %q (want table or json)", format))
		},
	}
	live.AddFiles(cmd, &files)
	command.AddFormat(cmd, &format, "table", "json")
	return cmd
}

func printRules(w io.Writer, all []rules.Status) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "RULE\tPRIORITY\tSOURCE\tSTATE\tPREVENTION\tEVENTS")
	for _, s := range all {
		events := cmp.Or(strings.Join(s.Events, ","), "all")
		if len(s.Events) > 4 {
			events = strings.Join(s.Events[:4], ",") + fmt.Sprintf(",… (%d)", len(s.Events))
		}
		if s.State != rules.StateOK {
			events = ""
		}
		prevention := ""
		if p := s.Prevention; p != nil {
			prevention = p.Class
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", command.Printable(s.Name), strings.ToLower(s.Priority), s.Source, cmp.Or(command.Printable(s.Reason), s.State), prevention, events)
	}
	return out.Flush()
}

func checkCommand(env *command.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE...",
		Short:   "Check rule files for mistakes",
		Long:    "Check reads rule files in order, as --rules does, and tells every mistake with its file, line\nand column. Rules that ask for a field nothing fills are named and are no mistake.",
		Example: "  seawall-agent rules check falco_rules.yaml local_rules.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			engine, err := load(cmd, args)
			if err != nil {
				return err
			}
			count := map[string]int{}
			for _, s := range engine.Rules() {
				count[s.State]++
				if s.State == rules.StateUnsupported {
					fmt.Fprintf(env.Stderr, "%s: rule %q will not run: %s\n", s.Place, command.Printable(s.Name), command.Printable(s.Reason))
				}
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: %d run, %d are disabled, %d are unsupported\n",
				command.Plural(len(engine.Rules()), "rule"), count[rules.StateOK], count[rules.StateDisabled], count[rules.StateUnsupported])
			return err
		},
	}
}
