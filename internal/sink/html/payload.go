package html

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// payload is the JSON the script renders. Names are short because they repeat.
type payload struct {
	Assets   []string  `json:"assets"`
	Layers   []string  `json:"layers"`
	Groups   []group   `json:"groups"`
	Others   []problem `json:"others"`
	Waived   []problem `json:"waived"`
	Packages []pkg     `json:"packages"`
}

// group is one package to upgrade. Asset and Layer are indexes; a Layer of -1 is unknown.
type group struct {
	Asset     int             `json:"a"`
	Name      string          `json:"n"`
	Version   string          `json:"v"`
	Ecosystem string          `json:"e"`
	Upgrade   string          `json:"u,omitempty"`
	NoFix     string          `json:"x,omitempty"`
	Advice    string          `json:"r,omitempty"`
	Packages  []string        `json:"k,omitempty"`
	Layer     int             `json:"l"`
	Paths     []string        `json:"p,omitempty"`
	Findings  []vulnerability `json:"f"`
}

type vulnerability struct {
	ID       string   `json:"i"`
	URL      string   `json:"h,omitempty"`
	Aliases  []string `json:"y,omitempty"`
	Severity int      `json:"s"`
	Source   string   `json:"q,omitempty"`
	KEV      bool     `json:"k,omitempty"`
	EPSS     float64  `json:"e,omitempty"`
	CVSS     string   `json:"c,omitempty"`
	Fixed    string   `json:"f,omitempty"`
	State    string   `json:"t,omitempty"`
	Summary  string   `json:"d,omitempty"`
	Note     string   `json:"r,omitempty"`
}

// problem is a finding that is no vulnerable package, or one that is not counted.
type problem struct {
	Asset    int    `json:"a"`
	Kind     string `json:"k"`
	Rule     string `json:"i"`
	URL      string `json:"h,omitempty"`
	Title    string `json:"n"`
	Severity int    `json:"s"`
	Status   string `json:"t"`
	Reason   string `json:"r,omitempty"`
	Where    string `json:"w,omitempty"`
	Evidence string `json:"e,omitempty"`
	Fix      string `json:"f,omitempty"`
	Layer    int    `json:"l"`
}

type pkg struct {
	Asset     int    `json:"a"`
	Name      string `json:"n"`
	Version   string `json:"v"`
	Ecosystem string `json:"e"`
	License   string `json:"c,omitempty"`
	Path      string `json:"p,omitempty"`
}

// builder numbers the layers as they are met.
type builder struct {
	payload
	layerIndex map[string]int
}

func payloadOf(v *triage.View, o sink.Options) *payload {
	b := &builder{layerIndex: make(map[string]int), payload: payload{
		Assets: []string{}, Layers: []string{}, Groups: []group{}, Others: []problem{}, Waived: []problem{}, Packages: []pkg{},
	}}
	index := make(map[string]int)
	for i := range v.Assets {
		a := &v.Assets[i]
		index[a.ID] = i
		b.Assets = append(b.Assets, cmp.Or(a.Name, a.ID))
		for j := range a.Groups {
			b.Groups = append(b.Groups, b.group(i, &a.Groups[j]))
		}
		for _, f := range a.Others {
			b.Others = append(b.Others, b.problem(i, f))
		}
		for _, list := range [][]*seawall.Finding{a.NotEvaluated, a.Suppressed} {
			for _, f := range list {
				b.Waived = append(b.Waived, b.problem(i, f))
			}
		}
	}
	if o.Packages {
		for i := range v.Report.Packages {
			p := &v.Report.Packages[i]
			row := pkg{Asset: index[p.Asset], Name: p.Name, Version: p.Version, Ecosystem: p.Ecosystem, License: strings.Join(p.Licenses, ", ")}
			if len(p.Locations) > 0 {
				row.Path = triage.PathOf(p.Locations[0])
			}
			b.Packages = append(b.Packages, row)
		}
	}
	return &b.payload
}

// layer returns the index of a layer's label, -1 for none.
func (b *builder) layer(l *seawall.LayerInfo) int {
	if l == nil {
		return -1
	}
	label := fmt.Sprintf("layer %d", l.Index)
	if l.Base {
		label += " (base image)"
	}
	if l.CreatedBy != "" && !l.Base { // the steps of a base image are not the reader's
		label += ": " + l.CreatedBy
	}
	n, seen := b.layerIndex[label]
	if !seen {
		n = len(b.Layers)
		b.layerIndex[label] = n
		b.Layers = append(b.Layers, label)
	}
	return n
}

func (b *builder) group(asset int, g *triage.Group) group {
	out := group{Asset: asset, Name: g.Name, Version: g.Version, Ecosystem: g.Ecosystem, Upgrade: g.Upgrade, Advice: g.Worst().Remediation, Layer: b.layer(g.Layer), Paths: g.Paths}
	if g.Upgrade == "" {
		out.NoFix = g.NoFix()
	}
	if len(g.Packages) > 1 {
		out.Packages = g.Packages
	}
	for _, f := range g.Findings {
		out.Findings = append(out.Findings, vulnerabilityOf(f))
	}
	return out
}

func vulnerabilityOf(f *seawall.Finding) vulnerability {
	v := f.Vulnerability
	out := vulnerability{
		ID: f.Rule, URL: sink.AdvisoryURL(f.Rule), Severity: int(f.Severity), Source: f.SeveritySource, KEV: v.KEV,
		State: string(v.State), Summary: v.Summary, Fixed: strings.Join(v.Fixed, ", "), Note: f.Reason,
	}
	for _, a := range v.Aliases {
		if a != f.Rule {
			out.Aliases = append(out.Aliases, a)
		}
	}
	if v.EPSS != nil {
		out.EPSS = v.EPSS.Score
	}
	if len(v.CVSS) > 0 {
		out.CVSS = fmt.Sprintf("%.1f", v.CVSS[0].Score)
	}
	return out
}

func (b *builder) problem(asset int, f *seawall.Finding) problem {
	out := problem{
		Asset: asset, Kind: string(f.Kind), Rule: f.Rule, URL: sink.AdvisoryURL(f.Rule), Title: f.Title, Severity: int(f.Severity),
		Status: string(f.Status), Reason: f.Reason, Evidence: f.Evidence, Fix: f.Remediation, Layer: b.layer(f.Layer),
	}
	if f.Location != nil {
		out.Where = triage.PlaceOf(*f.Location)
	}
	return out
}
