// Package template writes a report through the user's own Go text/template, for
// formats nobody else needs. The template gets the seawall.Report; the
// functions are listed at functions. A template's output is the user's
// responsibility: text/template escapes nothing by itself.
package template

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// maxSize bounds a template file.
const maxSize = 4 << 20

// New reads and parses the template at path. Its errors name the file and line
// and wrap seawall.ErrUsage.
func New(w io.Writer, path string) (sink.Handler, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("template: %w: %w", err, seawall.ErrUsage)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("template %s is larger than %d MiB: %w", path, maxSize>>20, seawall.ErrUsage)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("template: %w: %w", err, seawall.ErrUsage)
	}
	t, err := template.New(filepath.Base(path)).Funcs(functions()).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, seawall.ErrUsage)
	}
	return sink.Whole(func(r *seawall.Report) error {
		out := bufio.NewWriter(w)
		if err := t.Execute(out, r); err != nil {
			return fmt.Errorf("%w: %w", err, seawall.ErrUsage)
		}
		return out.Flush()
	}), nil
}

// functions are what a template may call beside text/template's own:
//
//	json V          V as compact JSON
//	html S          S escaped for HTML and XML
//	plain S         S without control characters, for terminals and logs
//	upper, lower S  in other case
//	join LIST SEP   LIST as one string
//	replace S A B   S with every A replaced by B
//	contains S SUB  whether SUB is in S
//	failing LIST    the findings of LIST that fail
//	kind K LIST     the findings of LIST of kind K ("vulnerability", "secret", …)
//	atLeast W LIST  the findings of LIST of severity W or worse
//	advisory ID     the address of the advisory
func functions() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"html":     html.EscapeString,
		"plain":    sink.Plain,
		"upper":    strings.ToUpper,
		"lower":    strings.ToLower,
		"join":     strings.Join,
		"replace":  strings.ReplaceAll,
		"contains": strings.Contains,
		"failing": func(list []seawall.Finding) []seawall.Finding {
			return keep(list, func(f *seawall.Finding) bool { return f.Status == seawall.StatusFail })
		},
		"kind": func(k string, list []seawall.Finding) []seawall.Finding {
			return keep(list, func(f *seawall.Finding) bool { return string(f.Kind) == k })
		},
		"atLeast": func(word string, list []seawall.Finding) ([]seawall.Finding, error) {
			least, err := seawall.ParseSeverity(word)
			return keep(list, func(f *seawall.Finding) bool { return f.Severity >= least }), err
		},
		"advisory": sink.AdvisoryURL,
	}
}

func keep(list []seawall.Finding, want func(*seawall.Finding) bool) []seawall.Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f seawall.Finding) bool { return !want(&f) })
}
