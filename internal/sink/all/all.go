// Package all lists every report format, so that only one place knows them.
package all

import (
	"fmt"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/cyclonedx"
	"github.com/seawall-security/seawall/internal/sink/gitlab"
	"github.com/seawall-security/seawall/internal/sink/html"
	"github.com/seawall-security/seawall/internal/sink/json"
	"github.com/seawall-security/seawall/internal/sink/junit"
	"github.com/seawall-security/seawall/internal/sink/markdown"
	"github.com/seawall-security/seawall/internal/sink/openvex"
	"github.com/seawall-security/seawall/internal/sink/sarif"
	"github.com/seawall-security/seawall/internal/sink/spdx"
	"github.com/seawall-security/seawall/internal/sink/template"
	"github.com/seawall-security/seawall/internal/sink/text"
)

// Format is one way to write a report.
type Format struct {
	Name string
	// Summary describes it in one line for help texts.
	Summary string
	open    opener
}

type opener func(io.Writer, sink.Options) sink.Handler

// Formats returns every format in the order help shows them.
func Formats() []Format {
	return []Format{
		{"table", "readable text, worst first (default)", text.New},
		{"json", "the whole report as one document, schema seawall/v1", filtered(json.New)},
		{"jsonl", "the same as a stream of JSON lines", filtered(json.NewLines)},
		{"sarif", "SARIF 2.1.0 for code scanning", filtered(sarif.New)},
		{"cyclonedx", "CycloneDX 1.6 JSON: packages and vulnerabilities", filtered(cyclonedx.New)},
		{"spdx", "SPDX 2.3 JSON: packages", filtered(spdx.New)},
		{"openvex", "OpenVEX 0.2.0: one statement per vulnerability", filtered(openvex.New)},
		{"junit", "JUnit XML for continuous integration", filtered(junit.New)},
		{"html", "one self-contained page to search, filter and print", html.New},
		{"markdown", "Markdown for pull requests and issues", markdown.New},
		{"gitlab", "GitLab security report, schema 15", filtered(gitlab.New)},
		{"template", "template=FILE: your own Go text/template", nil},
	}
}

// filtered opens a format that knows no display options.
func filtered(newHandler func(io.Writer) sink.Handler) opener {
	return func(w io.Writer, o sink.Options) sink.Handler { return sink.Filtered(newHandler(w), o) }
}

// Open returns the handler of a format as the user names it: "sarif", or
// "template=FILE". The caller closes w after the handler. An unknown name or an
// unusable template wraps seawall.ErrUsage.
func Open(format string, w io.Writer, o sink.Options) (sink.Handler, error) {
	name, file, _ := strings.Cut(format, "=")
	if name == "template" {
		if file == "" {
			return nil, seawall.WithHint(fmt.Errorf("format template needs a file: %w", seawall.ErrUsage), "--format template=FILE")
		}
		h, err := template.New(w, file)
		if err != nil {
			return nil, err
		}
		return sink.Filtered(h, o), nil
	}
	var names []string
	for _, f := range Formats() {
		if f.Name == format {
			return f.open(w, o), nil
		}
		names = append(names, f.Name)
	}
	return nil, seawall.WithHint(fmt.Errorf("unknown format %q: %w", format, seawall.ErrUsage), "formats: "+strings.Join(names, ", "))
}
