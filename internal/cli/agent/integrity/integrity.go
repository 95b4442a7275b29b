// Package integrity is the command line of file integrity: taking a baseline of
// chosen trees and checking against it.
package integrity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/integrity"
	"github.com/seawall-security/seawall/internal/sink"
	sinkjson "github.com/seawall-security/seawall/internal/sink/json"
	"github.com/seawall-security/seawall/internal/sink/text"
)

// Command is "seawall-agent integrity".
func Command(env *command.Env) *cobra.Command {
	return command.Group("integrity", "Tell which files of the host were changed",
		"A baseline has the type, permissions, owner and SHA-256 of every file of chosen trees.\nKeep it where whoever changes files cannot change it, too.",
		baselineCommand(env), checkCommand(env))
}

func baselineCommand(env *command.Env) *cobra.Command {
	var output, root string
	var exclude []string
	cmd := &cobra.Command{
		Use:   "baseline [TREE...]",
		Short: "Take a baseline",
		Long: `Baseline reads the trees, absolute paths of directories or files, and writes what they are.
Without TREE it takes those that matter on a node: programs, configuration, kernel modules,
and what starts by itself.`,
		Example: "  seawall-agent integrity baseline --output /var/lib/seawall/baseline.json\n  seawall-agent integrity baseline /etc /usr/local/bin --exclude '/etc/cni/*' --output baseline.json",
		RunE: func(cmd *cobra.Command, trees []string) error {
			if len(trees) == 0 {
				trees = integrity.Trees()
			}
			b, err := take(cmd, env, integrity.Config{Trees: trees, Root: root, Exclude: exclude})
			if err != nil {
				return err
			}
			if output == "" || output == "-" {
				return b.Write(env.Stdout)
			}
			if err := command.ReplaceFile(output, b.Write); err != nil {
				return err
			}
			fmt.Fprintf(env.Stderr, "seawall-agent: %s in %s\n", command.Plural(len(b.Entries), "file"), output)
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write (default: standard output)")
	cmd.Flags().StringArrayVar(&exclude, "exclude", nil, "pattern of paths to leave out, with all in them; repeatable")
	addRoot(cmd, &root)
	return cmd
}

func addRoot(cmd *cobra.Command, root *string) {
	cmd.Flags().StringVar(root, "root", "/", "where the host's file system is")
}

// take makes a baseline; what is unread is told and is in it.
func take(cmd *cobra.Command, env *command.Env, c integrity.Config) (*integrity.Baseline, error) {
	b, err := integrity.Take(cmd.Context(), c, now(env))
	var unread seawall.Incomplete
	if errors.As(err, &unread) && b != nil {
		fmt.Fprintf(env.Stderr, "seawall-agent: %s not read: %s\n", command.Plural(len(unread), "file"), command.Printable(unread.Error()))
		return b, nil
	}
	return b, err
}

func now(env *command.Env) time.Time {
	if env.Now != nil {
		return env.Now()
	}
	return time.Now()
}

func checkCommand(env *command.Env) *cobra.Command {
	var format, root string
	cmd := &cobra.Command{
		Use:   "check BASELINE",
		Short: "Check files against a baseline",
		Long: `Check reads the baseline's trees again and prints what was changed, added or removed. Its
exit status is 1 when something was. A file that could not be read, now or then, is not
evaluated and makes it 3.`,
		Example: "  seawall-agent integrity check /var/lib/seawall/baseline.json\n  seawall-agent integrity check baseline.json --format json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			handler, err := handlerOf(format, env.Stdout)
			if err != nil {
				return command.Usage(cmd, err)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return command.Usage(cmd, err)
			}
			defer f.Close()
			before, err := integrity.Read(f)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			started := now(env)
			after, err := take(cmd, env, integrity.Config{Trees: before.Trees, Root: root, Exclude: before.Exclude})
			if err != nil {
				return err
			}
			return report(cmd.Context(), env, handler, started, integrity.Compare(before, after))
		},
	}
	command.AddFormat(cmd, &format, "table", "json", "jsonl")
	addRoot(cmd, &root)
	return cmd
}

func handlerOf(format string, w io.Writer) (sink.Handler, error) {
	switch format {
	case "json":
		return sinkjson.New(w), nil
	case "jsonl":
		return sinkjson.NewLines(w), nil
	case "table":
		return text.New(w, sink.Options{}), nil
	}
	return nil, fmt.Errorf("unknown format %q (want table, json or jsonl)", format)
}

// report tells the changes as findings about this host.
func report(ctx context.Context, env *command.Env, handler sink.Handler, started time.Time, changes []integrity.Change) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	asset := seawall.Asset{ID: "node:" + name, Kind: seawall.AssetNode, Name: name}
	var summary seawall.Summary
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	messages := []seawall.Message{
		{Run: &seawall.Run{SchemaVersion: seawall.SchemaVersion, Tool: seawall.Tool{Name: "seawall-agent", Version: env.Version}, ID: rand.Text(), Started: stamp(started)}},
		{Asset: &asset},
	}
	status := seawall.CollectorStatus{Asset: asset.ID, Name: "integrity", Status: "ok", Found: len(changes)}
	for i := range changes {
		f := changes[i].Finding(asset.ID, started, nil)
		summary.Add(&f)
		messages = append(messages, seawall.Message{Finding: &f})
	}
	if summary.NotEvaluated > 0 {
		status.Status, status.Reason = "partial", fmt.Sprintf("%s could not be compared", command.Plural(summary.NotEvaluated, "file"))
	}
	messages = append(messages, seawall.Message{Status: &status}, seawall.Message{End: &seawall.End{Ended: stamp(now(env)), Summary: summary}})
	for _, m := range messages {
		if err := handler.Handle(ctx, m); err != nil {
			return errors.Join(err, handler.Close())
		}
	}
	switch err := handler.Close(); {
	case err != nil:
		return err
	case summary.NotEvaluated > 0:
		return fmt.Errorf("%s: %w", status.Reason, seawall.ErrUnreadable)
	case len(changes) > 0:
		return command.Blocked(fmt.Sprintf("%s changed", command.Plural(len(changes), "file")))
	}
	return nil
}
