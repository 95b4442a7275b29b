package view

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/compliance"
)

//go:embed page.tmpl
var pageText string

//go:embed page.css
var styleText string

//go:embed page.js
var scriptText string

// parsed is the template, read at the first use; plain is set per page.
var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"plain": noPlain, "lines": noPlain, "word": word, "counts": counts, "counted": func(c compliance.Check) string { return counted(&c) }, "day": day,
		"evidence": func(p *page, c compliance.Check) proof { return proof{p, c} },
	}).Parse(pageText))
})

// noPlain stands in where the template is parsed; HTML replaces it.
func noPlain(s string) string { return s }

// lines is Plain for text of several lines.
func (o Options) lines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = o.Plain(line)
	}
	return strings.Join(lines, "\n")
}

// HTML writes one self-contained page: nothing is fetched, and a content
// security policy allows only the page's own style and script. It reads and
// prints without script; the script filters and opens.
func HTML(w io.Writer, r *compliance.Report, o Options) error {
	t, err := parsed().Clone()
	if err != nil {
		return err
	}
	t.Funcs(template.FuncMap{"plain": o.Plain, "lines": o.lines})
	out := bufio.NewWriter(w)
	if err := t.Execute(out, pageOf(r)); err != nil {
		return err
	}
	return out.Flush()
}

// page is what the template shows.
type page struct {
	*compliance.Report
	Style    template.CSS
	Script   template.JS
	Policy   string
	Tiles    []tile
	Database string
	Sections []section
	// ByHand are the requirements with something no tool can show.
	ByHand []*compliance.Result
	Gaps   []gap
}

// tile is one status's count and its share of all, in thousandths, from Start.
type tile struct {
	Status       compliance.Status
	Count        int
	Start, Share int
}

type section struct {
	Title        string
	Summary      compliance.Summary
	Requirements []requirement
}

// requirement is one requirement with its checks by outcome.
type requirement struct {
	*compliance.Result
	Failed, Passed []compliance.Check
	Accepted       []compliance.Check
	// Open are the checks that were not evaluated, are manual or not applicable, those with one reason together.
	Open []open
}

type open struct {
	Status compliance.Status
	Reason string
	Checks []compliance.Check
}

// gap is one thing that could not be judged, on all assets it concerns.
type gap struct {
	compliance.Gap
	Assets []string
}

// proof is a check's evidence, with the page that knows assets' names.
type proof struct {
	Page  *page
	Check compliance.Check
}

func pageOf(r *compliance.Report) *page {
	p := &page{
		Report: r, Style: template.CSS(styleText), Script: template.JS(scriptText), Database: oldestDatabase(r), Gaps: gapsOf(r),
		Policy: fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", hashSource(styleText), hashSource(scriptText)),
	}
	start := 0
	for _, s := range compliance.Statuses() {
		n := r.Summary.Of(s)
		share := n * 1000 / max(r.Summary.Total, 1)
		p.Tiles = append(p.Tiles, tile{s, n, start, share})
		start += share
	}
	for i := range r.Requirements {
		q := &r.Requirements[i]
		if len(q.ByHand) > 0 {
			p.ByHand = append(p.ByHand, q)
		}
		if n := len(p.Sections); n == 0 || p.Sections[n-1].Title != cmp.Or(q.Section, "Requirements") {
			p.Sections = append(p.Sections, section{Title: cmp.Or(q.Section, "Requirements")})
		}
		s := &p.Sections[len(p.Sections)-1]
		s.Requirements = append(s.Requirements, requirementOf(q))
		s.Summary.Add(q.Status)
	}
	return p
}

func requirementOf(q *compliance.Result) requirement {
	out := requirement{Result: q}
	for _, c := range q.Checks {
		switch {
		case c.Status == compliance.Fail:
			out.Failed = append(out.Failed, c)
		case c.Status == compliance.Pass && c.Exceptions > 0:
			out.Accepted = append(out.Accepted, c)
		case c.Status == compliance.Pass:
			out.Passed = append(out.Passed, c)
		default:
			i := slices.IndexFunc(out.Open, func(o open) bool { return o.Status == c.Status && o.Reason == c.Reason })
			if i < 0 {
				out.Open = append(out.Open, open{Status: c.Status, Reason: c.Reason})
				i = len(out.Open) - 1
			}
			out.Open[i].Checks = append(out.Open[i].Checks, c)
		}
	}
	return out
}

func gapsOf(r *compliance.Report) []gap {
	var out []gap
	for _, g := range r.Scope.Gaps {
		i := slices.IndexFunc(out, func(o gap) bool { return o.What == g.What && o.Status == g.Status && o.Reason == g.Reason })
		if i < 0 {
			out = append(out, gap{Gap: g})
			i = len(out) - 1
		}
		out[i].Assets = append(out[i].Assets, g.Asset)
	}
	return out
}

// AssetName is what the user called an asset.
func (p *page) AssetName(id string) string {
	i := slices.IndexFunc(p.Scope.Assets, func(a compliance.Asset) bool { return a.ID == id })
	if i < 0 {
		return id
	}
	return cmp.Or(p.Scope.Assets[i].Name, id)
}

func hashSource(text string) string {
	h := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}

func day(timestamp string) string {
	d, _, _ := strings.Cut(timestamp, "T")
	return d
}
