package secret

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/detect/secret/live"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Detector turns matches into findings and searches the image configuration.
type Detector struct{ engine *engine }

// Name implements detect.Detector.
func (*Detector) Name() string { return "secret" }

// Rules implements detect.Explainer.
func (d *Detector) Rules() []detect.Rule {
	rules := make([]detect.Rule, len(d.engine.rules))
	for i, r := range d.engine.rules {
		rules[i] = r.Rule
	}
	return rules
}

// Detect implements detect.Detector: one finding per secret and rule, with every
// place it is at, those still visible first.
func (d *Detector) Detect(ctx context.Context, f detect.Facts) (detect.Result, error) {
	type key struct{ rule, fingerprint string }
	index := map[key][]seawall.Match{}
	var order []key
	for _, m := range append(slices.Clone(f.Matches), d.configuration(f.Asset.Image)...) {
		if m.Kind != seawall.KindSecret {
			continue
		}
		k := key{m.Rule, m.Fingerprint}
		if index[k] == nil {
			order = append(order, k)
		}
		index[k] = append(index[k], m)
	}
	var res detect.Result
	for _, k := range order {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		res.Findings = append(res.Findings, d.finding(index[k]))
	}
	return res, nil
}

// finding joins the matches of one secret.
func (d *Detector) finding(matches []seawall.Match) seawall.Finding {
	slices.SortStableFunc(matches, func(a, b seawall.Match) int { return cmp.Compare(rank(a), rank(b)) })
	first := matches[0]
	f := seawall.Finding{
		Kind: seawall.KindSecret, Rule: first.Rule, Status: seawall.StatusFail, SeveritySource: "seawall", Evidence: first.Evidence,
	}
	if r := d.engine.byID[first.Rule]; r != nil {
		f.Title, f.Severity, f.Remediation, f.References = r.Title, r.Severity, r.Remediation, r.References
	} else {
		f.Title, f.Severity = first.Rule, seawall.SeverityHigh
		if description := first.Data["description"]; description != "" {
			f.Title = description
		}
		f.Remediation = "Revoke it, rebuild without it and hand it in at run time."
	}
	for _, m := range matches {
		f.Locations = append(f.Locations, m.Location)
	}
	switch first.Data["verified"] {
	case live.Live:
		f.Evidence += "; its vendor says it is live"
		f.Severity = seawall.SeverityCritical
	case live.Revoked:
		f.Evidence += "; its vendor says it is not valid"
		f.Severity = seawall.SeverityLow
	}
	if commit := first.Data["commit"]; commit != "" {
		f.Title += ", in the git history"
		f.Evidence += "; commit " + commit
	}
	if first.Hidden {
		f.Title += ", deleted by a later layer, still in the image"
	}
	return f
}

// rank orders the places of a secret: visible, then hidden by a later layer.
func rank(m seawall.Match) int {
	if m.Hidden {
		return 1
	}
	return 0
}

// configuration searches what an image says of itself: environment, labels,
// command and build steps, build arguments among them.
func (d *Detector) configuration(image *seawall.ImageInfo) []seawall.Match {
	if image == nil {
		return nil
	}
	var out []seawall.Match
	add := func(field, text string) {
		for _, m := range d.engine.searchText("Dockerfile", text) {
			m.Location = seawall.Location{Resource: "image configuration", Field: field}
			out = append(out, m)
		}
	}
	for _, env := range image.Env {
		name, _, _ := strings.Cut(env, "=")
		add("env "+name, env)
	}
	for _, name := range slices.Sorted(maps.Keys(image.Labels)) {
		add("label "+name, name+"="+image.Labels[name])
	}
	add("entrypoint", strings.Join(image.Entrypoint, " "))
	add("cmd", strings.Join(image.Cmd, " "))
	for _, h := range image.History {
		add("history", h.CreatedBy)
		add("history", h.Comment)
	}
	return out
}

// searchText searches a short text.
func (e *engine) searchText(p, text string) []seawall.Match {
	s := e.newSearch(p, make([]byte, 0, len(text)+1))
	s.buf = append(s.buf, text...)
	s.step(true)
	return s.matches("")
}

// Redact returns text with every secret in it replaced: for what reports show of
// an image's configuration.
func (d *Detector) Redact(text string) string {
	s := d.engine.newSearch("Dockerfile", make([]byte, 0, len(text)+1))
	s.buf = append(s.buf, text...)
	s.step(true)
	if len(s.hits) == 0 {
		return text
	}
	slices.SortFunc(s.hits, func(a, b hit) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	var b strings.Builder
	at := int64(0)
	for _, h := range s.hits {
		if h.end <= at {
			continue
		}
		b.WriteString(text[at:max(h.start, at)])
		b.WriteString("[secret]")
		at = h.end
	}
	b.WriteString(text[at:])
	return b.String()
}
