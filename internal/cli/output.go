package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seawall-security/seawall/internal/cli/command"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	sinkall "github.com/seawall-security/seawall/internal/sink/all"
)

const defaultWidth = 80

// outputFlags are what a user may say about reports.
type outputFlags struct {
	formats  []string
	severity []string
	fixable  bool
	packages bool
	color    string
}

func (f *outputFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.formats, "format", nil, "report format, to standard output, or FORMAT=FILE; repeatable (default table)\n"+formatHelp())
	flags.StringSliceVar(&f.severity, "severity", nil, "show only these severities: critical,high,medium,low,negligible,unknown")
	flags.BoolVar(&f.fixable, "fixable", false, "show only vulnerabilities that a published version mends")
	flags.BoolVar(&f.packages, "packages", false, "also list packages in table, markdown and html")
	flags.StringVar(&f.color, "color", "auto", "colour the table: auto, always or never (NO_COLOR is respected)")
	_ = cmd.RegisterFlagCompletionFunc("format", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return formatNames(), cobra.ShellCompDirectiveNoSpace
	})
	_ = cmd.RegisterFlagCompletionFunc("severity", command.FixedCompletion("critical", "high", "medium", "low", "negligible", "unknown"))
	_ = cmd.RegisterFlagCompletionFunc("color", command.FixedCompletion("auto", "always", "never"))
}

func formatNames() []string {
	var names []string
	for _, f := range sinkall.Formats() {
		names = append(names, f.Name)
	}
	return names
}

func formatHelp() string {
	var b strings.Builder
	for _, f := range sinkall.Formats() {
		fmt.Fprintf(&b, "  %-10s %s\n", f.Name, f.Summary)
	}
	return strings.TrimRight(b.String(), "\n")
}

// reports are the open handlers of one run and the files they write to. A file
// appears under its name only when commit is called: an interrupted run leaves
// neither half a report nor a temporary file.
type reports struct {
	handler sink.Handler
	files   []pendingFile
}

// pendingFile is a report being written; name is where it goes, "" for what is
// written in place.
type pendingFile struct {
	file *os.File
	name string
}

// openReports opens every requested format. Its errors are usage errors.
func (a *app) openReports(f *outputFlags) (*reports, error) {
	options, err := f.options(a)
	if err != nil {
		return nil, err
	}
	formats := f.formats
	if len(formats) == 0 {
		formats = []string{"table"}
	}
	r := &reports{}
	var handlers []sink.Handler
	stdout := ""
	for _, spec := range formats {
		format, file := splitFormat(spec)
		w := a.Stdout
		if file != "" {
			if w, err = r.create(file); err != nil {
				r.discard()
				return nil, err
			}
		} else if stdout != "" {
			r.discard()
			return nil, seawall.WithHint(fmt.Errorf("--format %s and --format %s both want standard output: %w", stdout, spec, seawall.ErrUsage),
				"give one of them a file: --format "+format+"=FILE")
		} else {
			stdout = spec
		}
		o := options
		if file != "" {
			o.Color, o.Width = false, defaultWidth
		}
		h, err := sinkall.Open(format, w, o)
		if err != nil {
			r.discard()
			return nil, err
		}
		handlers = append(handlers, h)
	}
	r.handler = sink.Multi(handlers...)
	return r, nil
}

// splitFormat parts "html=report.html". A template's own file comes first:
// "template=FILE" or "template=FILE=OUTPUT".
func splitFormat(spec string) (format, file string) {
	format, rest, _ := strings.Cut(spec, "=")
	if format != "template" {
		return format, rest
	}
	template, out, _ := strings.Cut(rest, "=")
	return format + "=" + template, out
}

// create opens a report's file. What is there and is no regular file (a device,
// a pipe, /dev/stderr) is written to as it is, never replaced.
func (r *reports) create(name string) (io.Writer, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return nil, fmt.Errorf("opening report: %s is a directory: %w", name, seawall.ErrUsage)
		}
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("opening report: %w: %w", err, seawall.ErrUsage)
		}
		r.files = append(r.files, pendingFile{file: file})
		return file, nil
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, fmt.Errorf("opening report: %w: %w", err, seawall.ErrUsage)
	}
	r.files = append(r.files, pendingFile{file: file, name: name})
	return file, nil
}

// commit closes the handlers and puts every file under its name.
func (r *reports) commit() error {
	err := r.handler.Close()
	for _, p := range r.files {
		if p.name != "" {
			err = errors.Join(err, p.file.Chmod(0o644))
		}
		err = errors.Join(err, p.file.Close())
	}
	if err != nil {
		r.discard()
		return fmt.Errorf("writing report: %w", err)
	}
	for _, p := range r.files {
		if p.name == "" {
			continue
		}
		if err := os.Rename(p.file.Name(), p.name); err != nil {
			r.discard()
			return fmt.Errorf("writing report: %w", err)
		}
	}
	return nil
}

// discard removes what commit did not put in place.
func (r *reports) discard() {
	for _, p := range r.files {
		p.file.Close()
		if p.name != "" {
			os.Remove(p.file.Name())
		}
	}
}

func (f *outputFlags) options(a *app) (sink.Options, error) {
	o := sink.Options{Packages: f.packages, Fixable: f.fixable, Width: defaultWidth}
	for _, word := range f.severity {
		s, err := seawall.ParseSeverity(word)
		if err != nil {
			return o, fmt.Errorf("--severity: %w: %w", err, seawall.ErrUsage)
		}
		o.Severities = append(o.Severities, s)
	}
	width, terminal := terminalWidth(a.Stdout)
	if terminal {
		o.Width = width
	}
	switch f.color {
	case "auto":
		o.Color = terminal && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	case "always":
		o.Color = true
	case "never":
	default:
		return o, fmt.Errorf("--color %q: want auto, always or never: %w", f.color, seawall.ErrUsage)
	}
	return o, nil
}

// terminalWidth tells whether w is a terminal and how many columns it has.
func terminalWidth(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		return defaultWidth, true
	}
	return width, true
}

// replay sends a finished report through handlers and puts the files in place.
func (r *reports) replay(ctx context.Context, report *seawall.Report) error {
	for m := range report.Messages {
		if err := r.handler.Handle(ctx, m); err != nil {
			r.discard()
			return err
		}
	}
	return r.commit()
}
