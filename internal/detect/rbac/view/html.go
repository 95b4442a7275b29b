package view

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
	"sync"

	"github.com/seawall-security/seawall/internal/detect/rbac"
	"github.com/seawall-security/seawall/internal/detect/rbac/access"
	"github.com/seawall-security/seawall/internal/seawall"
)

//go:embed page.tmpl
var pageText string

//go:embed style.css
var styleText string

//go:embed app.js
var scriptText string

var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageText)) })

// payload is the page's data. Lists refer to roles and bindings by index.
type payload struct {
	Subjects  []subject  `json:"subjects"`
	Bindings  []binding  `json:"bindings"`
	Roles     []role     `json:"roles"`
	Resources []resource `json:"resources"`
	Findings  []finding  `json:"findings"`
}

type subject struct {
	access.Subject
	Risk      string       `json:"risk"`
	System    bool         `json:"system,omitempty"`
	Powers    []rbac.Held  `json:"powers"`
	Bindings  []int        `json:"bindings"`
	Workloads []access.Ref `json:"workloads,omitempty"`
	Path      []rbac.Step  `json:"path,omitempty"`
}

type binding struct {
	access.Ref
	Role     int              `json:"role"` // -1 when it does not exist
	RoleRef  access.Ref       `json:"roleRef"`
	Subjects []access.Subject `json:"subjects"`
}

type role struct {
	access.Ref
	Rules []rule `json:"rules"`
}

// rule names the ClusterRole it came from, where it is aggregated.
type rule struct {
	access.Rule
	From string `json:"from,omitempty"`
}

type resource struct {
	Group      string   `json:"group"`
	Name       string   `json:"name"`
	Also       []string `json:"also"`
	Namespaced bool     `json:"namespaced"`
}

type finding struct {
	Rule        string   `json:"rule"`
	Severity    string   `json:"severity"`
	Title       string   `json:"title"`
	Evidence    string   `json:"evidence"`
	Remediation string   `json:"remediation"`
	Places      []string `json:"places"`
}

// content is what the template shows without script.
type content struct {
	Asset, Policy, Generated string
	Style                    template.CSS
	Script, Data             template.JS
	Drawing                  template.HTML
	Unread, Problems         []string
	Subjects, Paths          int
	Tiles                    []tile
}

type tile struct {
	Name  string
	Count int
}

// HTML writes everything as one page that needs no network: paths, subjects with
// what they may do, findings with their fixes, and the question who can.
func HTML(w io.Writer, a *rbac.Analysis, generated string) error {
	report := a.Report()
	p := payloadOf(a, report)
	data, err := json.Marshal(p) // escapes <, > and &, so no </script> can appear
	if err != nil {
		return err
	}
	c := content{
		Asset: cmp.Or(report.Name, report.Asset), Generated: generated, Style: template.CSS(styleText), Script: template.JS(scriptText), Data: template.JS(data),
		Drawing: template.HTML(drawing(a)), // built here, every string escaped
		Unread:  report.Unread, Problems: report.Problems, Subjects: len(report.Subjects),
		Policy: fmt.Sprintf("default-src 'none'; style-src %s %s; script-src %s; img-src data:; base-uri 'none'; form-action 'none'",
			hashSource(styleText), hashSource(svgStyle), hashSource(scriptText)),
	}
	counts := map[seawall.Severity]int{}
	for _, f := range report.Findings {
		counts[f.Severity]++
	}
	for _, s := range []seawall.Severity{seawall.SeverityCritical, seawall.SeverityHigh, seawall.SeverityMedium, seawall.SeverityLow} {
		c.Tiles = append(c.Tiles, tile{s.String(), counts[s]})
	}
	for _, s := range report.Subjects {
		if s.Path != nil && !s.System {
			c.Paths++
		}
	}
	out := bufio.NewWriter(w)
	if err := page().Execute(out, c); err != nil {
		return err
	}
	return out.Flush()
}

func payloadOf(a *rbac.Analysis, report *rbac.Report) payload {
	p := payload{Subjects: []subject{}, Bindings: []binding{}, Roles: []role{}, Findings: []finding{}}
	roles, bindings := map[*access.Role]int{}, map[*access.Binding]int{}
	for _, b := range a.Bindings() {
		at := -1
		if b.Role != nil {
			var ok bool
			if at, ok = roles[b.Role]; !ok {
				at = len(p.Roles)
				roles[b.Role] = at
				p.Roles = append(p.Roles, roleOf(b.Role))
			}
		}
		bindings[b] = len(p.Bindings)
		p.Bindings = append(p.Bindings, binding{Ref: b.Ref, Role: at, RoleRef: b.RoleRef, Subjects: b.Subjects})
	}
	for _, s := range report.Subjects {
		one := subject{Subject: s.Subject, Risk: s.Risk.String(), System: s.System, Powers: s.Powers, Workloads: s.Workloads, Path: s.Path, Bindings: []int{}}
		for _, b := range a.BindingsOf(s.Subject) {
			one.Bindings = append(one.Bindings, bindings[b])
		}
		p.Subjects = append(p.Subjects, one)
	}
	for _, r := range a.Set.Resources() {
		p.Resources = append(p.Resources, resource{r.Group, r.Name, append([]string{r.Singular}, r.Short...), r.Namespaced})
	}
	for _, f := range report.Findings {
		one := finding{Rule: f.Rule, Severity: f.Severity.String(), Title: f.Title, Evidence: f.Evidence, Remediation: f.Remediation}
		for _, l := range f.Locations {
			place := l.Resource
			if l.Path != "" {
				place += fmt.Sprintf(" (%s:%d)", l.Path, l.Line)
			}
			one.Places = append(one.Places, place)
		}
		p.Findings = append(p.Findings, one)
	}
	return p
}

func roleOf(r *access.Role) role {
	out := role{Ref: r.Ref, Rules: []rule{}}
	for _, one := range r.Rules {
		from := ""
		if one.From != nil {
			from = one.From.Name
		}
		out.Rules = append(out.Rules, rule{one, from})
	}
	return out
}

func hashSource(text string) string {
	h := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}
