package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The exit codes, a contract with users' scripts (docs/guide/exit-codes.md).
const (
	exitOK         = 0
	exitBlocked    = 1
	exitUsage      = 2
	exitIncomplete = 3
)

// codedError carries its exit code. silent errors were already told on the way.
type codedError struct {
	code   int
	err    error
	silent bool
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// errBlocked: a threshold was crossed. The report has said what.
func errBlocked(reason string) error {
	return &codedError{code: exitBlocked, err: errors.New(reason)}
}

// usageError is a wrong request: exit 2, with a pointer to the command's help.
func usageError(cmd *cobra.Command, err error) error {
	return &codedError{code: exitUsage, err: seawall.WithHint(fmt.Errorf("%w: %w", err, seawall.ErrUsage), "see '"+cmd.CommandPath()+" --help'")}
}

func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, seawall.ErrUsage):
		return exitUsage
	case strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage // of the completion command, which is cobra's own
	default:
		return exitIncomplete
	}
}

// printError tells the user what went wrong, the next step on a line of its own.
func (a *app) printError(ctx context.Context, err error) {
	var coded *codedError
	if errors.As(err, &coded) && coded.silent {
		return
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(a.Stderr, "seawall: interrupted")
		return
	}
	text := strings.TrimSuffix(err.Error(), ": "+seawall.ErrUsage.Error())
	fmt.Fprintf(a.Stderr, "seawall: %s\n", printable(text))
	var hinted *seawall.Hinted
	if errors.As(err, &hinted) && hinted.Hint != "" {
		fmt.Fprintf(a.Stderr, "  %s\n", printable(hinted.Hint))
	}
}

// printable keeps control characters of foreign names out of the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= 0x20 && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '\uFFFD'
	}, s)
}
