// Package command is what every subcommand of the program is made with, wherever
// its package lies: exit codes as typed errors, usage errors that point to the
// help, completion and format flags, JSON output, and the Env of one invocation.
//
// A subcommand's package exports Command(env *command.Env) *cobra.Command; the
// parent package cli lists them. Errors flow up to cli, which prints them with
// PrintError and maps them with ExitCode.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Env is what an invocation lets a subcommand touch.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Version        string
	// Now is the clock results are stamped with; never nil.
	Now func() time.Time
	// Getenv reads the invocation's environment, never os.Getenv's.
	Getenv func(string) string
}

// CacheDirectory is the flag's value, or else the user's cache directory.
func (e *Env) CacheDirectory(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	base := e.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home := e.Getenv("HOME")
		if home == "" {
			return "", errors.New("neither XDG_CACHE_HOME nor HOME is set: give --cache-dir")
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "seawall"), nil
}

// The exit codes, a contract with users' scripts (docs/guide/exit-codes.md).
const (
	ExitOK         = 0
	ExitBlocked    = 1
	ExitUsage      = 2
	ExitIncomplete = 3
)

// Error carries its exit code. Silent errors were already told on the way.
type Error struct {
	Code   int
	Err    error
	Silent bool
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Blocked: a threshold was crossed, or a question was answered no. The report has said what.
func Blocked(reason string) error {
	return &Error{Code: ExitBlocked, Err: errors.New(reason)}
}

// Usage is a wrong request: exit 2, with a pointer to the command's help.
func Usage(cmd *cobra.Command, err error) error {
	if !errors.Is(err, seawall.ErrUsage) {
		err = fmt.Errorf("%w: %w", err, seawall.ErrUsage)
	}
	return &Error{Code: ExitUsage, Err: seawall.WithHint(err, "see '"+cmd.CommandPath()+" --help'")}
}

// ExitCode is the status an error ends the program with.
func ExitCode(err error) int {
	var coded *Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		return coded.Code
	case errors.Is(err, seawall.ErrUsage):
		return ExitUsage
	case strings.HasPrefix(err.Error(), "unknown command"):
		return ExitUsage // of the completion command, which is cobra's own
	default:
		return ExitIncomplete
	}
}

// PrintError tells the user what went wrong, the next step on a line of its own.
func PrintError(ctx context.Context, w io.Writer, err error) {
	var coded *Error
	if errors.As(err, &coded) && coded.Silent {
		return
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(w, "seawall: interrupted")
		return
	}
	text := strings.TrimSuffix(err.Error(), ": "+seawall.ErrUsage.Error())
	fmt.Fprintf(w, "seawall: %s\n", Printable(text))
	var hinted *seawall.Hinted
	if errors.As(err, &hinted) && hinted.Hint != "" {
		fmt.Fprintf(w, "  %s\n", Printable(hinted.Hint))
	}
}

// Printable keeps control characters of foreign names out of the terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= 0x20 && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// ExplainArgs makes a wrong number of arguments a usage error that shows the right one.
func ExplainArgs(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		ExplainArgs(sub)
	}
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		var coded *Error
		if err == nil || errors.As(err, &coded) {
			return err
		}
		return Usage(cmd, fmt.Errorf("%w: write %s", err, cmd.UseLine()))
	}
}

// Group is a command that only holds subcommands: alone it prints its help, with
// an unknown word it is a usage error that suggests the nearest one.
func Group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: Known,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(commands...)
	return cmd
}

// Known refuses words that are no subcommand and suggests the nearest one.
func Known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %q?", err, near[0])
	}
	return Usage(cmd, err)
}

// AddFormat defines --format with these words, the first one the default.
func AddFormat(cmd *cobra.Command, format *string, words ...string) {
	cmd.Flags().StringVar(format, "format", words[0], "one of: "+JoinWords(words))
	_ = cmd.RegisterFlagCompletionFunc("format", FixedCompletion(words...))
}

// Plural counts a noun: "1 file", "2 files".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// WriteJSON prints a result as an indented document.
func WriteJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// FixedCompletion completes a flag with these words.
func FixedCompletion(words ...string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// JoinWords lists words for help and errors.
func JoinWords(words []string) string { return strings.Join(words, ", ") }
