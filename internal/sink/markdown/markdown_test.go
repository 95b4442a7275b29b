package markdown_test

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/markdown"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
)

func render(t testing.TB, r *seawall.Report, o sink.Options) string {
	t.Helper()
	return string(sinktest.Render(t, r, func(w *bytes.Buffer) sink.Handler { return markdown.New(w, o) }))
}

func TestGolden(t *testing.T) {
	sinktest.Golden(t, "report.md", []byte(render(t, sinktest.Report(t), sink.Options{Packages: true})))
}

// Hostile names neither open markup, nor end a table row or cell, nor mention anyone.
func TestHostileNamesStayText(t *testing.T) {
	got := render(t, sinktest.Hostile(), sink.Options{Packages: true})
	for _, bad := range []string{"<script", "<img", "\x1b", "\r", "@everyone", "](javascript"} {
		for line := range strings.Lines(got) {
			if i := strings.Index(line, bad); i >= 0 && strings.Count(line[:i], "`")%2 == 0 {
				t.Errorf("%q is live in %s", bad, line)
			}
		}
	}
	columns := 0
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := len(regexp.MustCompile(`[^\\]\|`).FindAllString(line, -1))
		if columns != 0 && n != columns {
			t.Errorf("%d cells in a table of %d: %s", n, columns, line)
		}
		columns = n
	}
}

func BenchmarkWrite(b *testing.B) {
	sinktest.Bench(b, sinktest.Large(10_000), func(w io.Writer) sink.Handler { return markdown.New(w, sink.Options{}) })
}
