package text_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/sinktest"
	"github.com/seawall-security/seawall/internal/sink/text"
)

func render(t testing.TB, r *seawall.Report, o sink.Options) string {
	t.Helper()
	return string(sinktest.Render(t, r, func(w *bytes.Buffer) sink.Handler { return text.New(w, o) }))
}

func TestGolden(t *testing.T) {
	for _, width := range []int{80, 140} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			got := render(t, sinktest.Report(t), sink.Options{Width: width, Packages: width == 140})
			sinktest.Golden(t, fmt.Sprintf("report-%d.txt", width), []byte(got))
		})
	}
}

// Colour must not move anything: without its codes the coloured text is the plain one.
func TestColorOnlyAddsCodes(t *testing.T) {
	codes := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	colored := render(t, sinktest.Report(t), sink.Options{Color: true})
	if !codes.MatchString(colored) {
		t.Fatal("no colour in the coloured table")
	}
	if codes.ReplaceAllString(colored, "") != render(t, sinktest.Report(t), sink.Options{}) {
		t.Error("coloured and plain tables differ in more than codes")
	}
}

// Every failing finding is in the table, by its CVE or else its rule; in a
// narrow one, where lists are folded, no identifier is cut.
func TestIdentifiersAreNeverCut(t *testing.T) {
	r := sinktest.Report(t)
	known := make(map[string]bool)
	wide, narrow := render(t, r, sink.Options{Width: 80}), render(t, r, sink.Options{Width: 40})
	for i := range r.Findings {
		f := &r.Findings[i]
		known[f.Rule] = true
		if f.Vulnerability != nil {
			for _, a := range f.Vulnerability.Aliases {
				known[a] = true
			}
		}
		names := []string{f.Rule}
		if f.Vulnerability != nil {
			names = append(names, f.Vulnerability.Aliases...)
		}
		if f.Status == seawall.StatusFail && !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(wide, n) }) {
			t.Errorf("%s is missing", f.Rule)
		}
	}
	for _, id := range regexp.MustCompile(`(CVE|GHSA|GO|MAL|SW)-[\w-]+`).FindAllString(narrow, -1) {
		if !known[id] {
			t.Errorf("%s is cut", id)
		}
	}
}

// Only what is surely minor is folded, and it is named and counted.
func TestFold(t *testing.T) {
	r := &seawall.Report{Asset: &seawall.Asset{ID: "a"}}
	add := func(name string, s seawall.Severity, kev bool) {
		r.Findings = append(r.Findings, seawall.Finding{Rule: "CVE-" + name, Status: seawall.StatusFail, Severity: s, Asset: "a",
			Package: &seawall.PackageRef{Name: name, Version: "1"}, Vulnerability: &seawall.Vulnerability{ID: "CVE-" + name, KEV: kev}})
	}
	for i := range 25 {
		add(fmt.Sprintf("exploited%02d", i), seawall.SeverityLow, true)
		add(fmt.Sprintf("low%02d", i), seawall.SeverityLow, false)
		add(fmt.Sprintf("unknown%02d", i), seawall.SeverityUnknown, false)
	}
	got := render(t, r, sink.Options{})
	for i := range r.Findings {
		f := &r.Findings[i]
		folded := strings.HasPrefix(f.Package.Name, "low")
		if !strings.Contains(got, f.Package.Name) || strings.Contains(got, f.Rule) == folded {
			t.Errorf("%s: named %v, listed %v", f.Package.Name, strings.Contains(got, f.Package.Name), strings.Contains(got, f.Rule))
		}
	}
	if want := "+25 packages with only low or negligible findings (25):"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

// Wide characters take two columns: sixteen words of two fill 79 columns.
func TestWideCharactersWrap(t *testing.T) {
	r := &seawall.Report{Asset: &seawall.Asset{ID: "a", Name: strings.Repeat("包裹 ", 40)}}
	first, _, _ := strings.Cut(render(t, r, sink.Options{Width: 80}), "\n")
	if n := strings.Count(first, "包裹"); n != 16 {
		t.Errorf("%d words in the first line, want 16", n)
	}
}

func TestNoTerminalEscapesGetThrough(t *testing.T) {
	got := render(t, sinktest.Hostile(), sink.Options{Packages: true})
	for _, bad := range []string{"\x1b", "\x07", "\r", "\u202e", "\x00"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q reaches the terminal", bad)
		}
	}
	if !strings.Contains(got, `\x1b[31mred`) {
		t.Error("the escape is not shown as text")
	}
}

func TestBrokenRunPrintsNothing(t *testing.T) {
	var out bytes.Buffer
	if err := text.New(&out, sink.Options{}).Close(); err != nil || out.Len() > 0 {
		t.Errorf("wrote %q, error %v", out.String(), err)
	}
}

func BenchmarkTable(b *testing.B) {
	sinktest.Bench(b, sinktest.Large(10_000), func(w io.Writer) sink.Handler { return text.New(w, sink.Options{}) })
}

// Checks that were not made for the same reason are one entry, which names each.
func TestNotEvaluatedByReason(t *testing.T) {
	r := sinktest.Report(t)
	for _, rule := range []string{"SW-TEN-004", "SW-AUTH-008", "SW-NET-020"} {
		f := seawall.Finding{ID: rule, Kind: seawall.KindMisconfiguration, Rule: rule, Title: "title of " + rule, Severity: seawall.SeverityLow,
			Status: seawall.StatusNotEvaluated, Reason: "no cluster here", Asset: r.Asset.ID}
		if rule == "SW-NET-020" {
			f.Reason = "no plugin here"
		}
		r.Findings = append(r.Findings, f)
	}
	got := render(t, r, sink.Options{Width: 100})
	for _, want := range []string{
		"?         2 checks not evaluated: no cluster here\n          SW-AUTH-008, SW-TEN-004\n",
		"?         SW-NET-020 title of SW-NET-020 (not evaluated: no plugin here)\n",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, got)
		}
	}
}
