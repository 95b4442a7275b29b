// Package html writes one self-contained page: no network, no dependencies, a
// content security policy that allows only the page's own style and script by
// hash. What could not be judged, the totals, incidents and the next step are plain HTML
// and readable without script; the findings travel as JSON in the page and are
// rendered as the reader scrolls, so ten thousand of them open at once.
//
// Every string of the scanned thing reaches the page either through
// html/template or as JSON that the script writes with textContent; neither can
// become markup.
package html

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

//go:embed page.tmpl
var pageText string

//go:embed style.css
var styleText string

//go:embed app.js
var scriptText string

// page is parsed at the first use, not at start.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{"plain": sink.Plain}).Parse(pageText))
})

// New returns the handler of the html format.
func New(w io.Writer, o sink.Options) sink.Handler {
	return sink.Whole(func(r *seawall.Report) error {
		v := triage.New(r, o)
		data, err := json.Marshal(payloadOf(v, o)) // escapes <, > and &, so no </script> can appear
		if err != nil {
			return err
		}
		out := bufio.NewWriter(w)
		if err := page().Execute(out, contentOf(v, data)); err != nil {
			return err
		}
		return out.Flush()
	})
}

// content is what the template shows without script.
type content struct {
	Title, Subtitle string
	Policy          string
	Style           template.CSS
	Script          template.JS
	Data            template.JS
	Gaps            []gap
	Incomplete      []incomplete
	Incidents       []triage.Incident
	MoreIncidents   int
	Verdicts        []triage.Verdict
	Decided         string
	Tiles           []tile
	Exploited       int
	Fixable         int
	Suppressed      int
	Hidden          int
	Next            string
	Database        string
	Generated       string
	Tool            string
}

type gap struct{ Ecosystems, Status, Reason, Remedy, Packages string }
type incomplete struct{ Name, Status, Reason, Asset string }

// tile is the count of one severity.
type tile struct {
	Name  string
	Count int
}

func contentOf(v *triage.View, data []byte) content {
	r := v.Report
	c := content{
		Title: "Seawall report", Tool: strings.TrimSpace(r.Tool.Name + " " + r.Tool.Version),
		Style: template.CSS(styleText), Script: template.JS(scriptText), Data: template.JS(data),
		Policy: fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; img-src data:; base-uri 'none'; form-action 'none'",
			hashSource(styleText), hashSource(scriptText)),
		Exploited: v.Exploited, Fixable: v.Fixable, Suppressed: r.Summary.Suppressed, Hidden: v.Hidden, Next: v.Next(),
		Generated: day(cmp.Or(r.Run.Ended, r.Run.Started)),
	}
	if len(v.Assets) > 0 {
		c.Title, c.Subtitle = cmp.Or(v.Assets[0].Name, v.Assets[0].ID), strings.Join(v.Assets[0].Facts(), " · ")
	}
	if n := len(v.Assets); n > 1 {
		c.Subtitle = fmt.Sprintf("%s · and %s", c.Subtitle, triage.Count(n-1, "other asset"))
	}
	for _, s := range seawall.Severities() {
		c.Tiles = append(c.Tiles, tile{s.String(), r.Summary.Of(s)})
	}
	for _, g := range v.MergedGaps() {
		c.Gaps = append(c.Gaps, gap{g.Ecosystems(), string(g.Status), g.Reason, g.Remedy, triage.Count(g.Packages, "package")})
	}
	c.Incidents = v.Incidents()
	if n := len(c.Incidents); n > triage.MostIncidents {
		c.Incidents, c.MoreIncidents = c.Incidents[:triage.MostIncidents], n-triage.MostIncidents
	}
	c.Verdicts = v.Verdicts()
	c.Decided = triage.CountVerdicts(c.Verdicts)
	for _, s := range v.Incomplete {
		c.Incomplete = append(c.Incomplete, incomplete{s.Name, string(s.Status), s.Reason, v.AssetName(s.Asset)})
	}
	if db := r.Database; db != nil {
		c.Database = "advisories of " + day(db.Built)
		if age, ok := v.DatabaseAge(); ok {
			c.Database += ", " + triage.Count(int(age/(24*time.Hour)), "day") + " old"
		}
	}
	return c
}

func hashSource(text string) string {
	h := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}

func day(timestamp string) string {
	d, _, _ := strings.Cut(timestamp, "T")
	return cmp.Or(d, "an unknown day")
}
