package triage

import (
	"cmp"
	"slices"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
)

// Fleet tells a report about a registry and its images, which is read across
// images rather than one by one.
func (v *View) Fleet() bool {
	return len(v.Assets) > 1 && v.Assets[0].Kind == seawall.AssetRegistry
}

// Problem is one thing that is wrong in several images, or in one of several.
type Problem struct {
	// Worst is the finding to show of it.
	Worst *seawall.Finding
	// Packages are those concerned with their versions, sorted; empty without any.
	Packages []string
	// Assets are where it is, in the report's order.
	Assets []*Asset
}

// Across gathers the failing findings shown of all assets but the first by what
// they are about, worst first; of equals, those in more images first.
func (v *View) Across() []*Problem {
	type key struct {
		rule, title string
	}
	index := map[key]*Problem{}
	var problems []*Problem
	add := func(k key, a *Asset, f *seawall.Finding) {
		p := index[k]
		if p == nil {
			p = &Problem{Worst: f}
			index[k] = p
			problems = append(problems, p)
		}
		if compareFindings(f, p.Worst) < 0 {
			p.Worst = f
		}
		if f.Package != nil {
			p.Packages = append(p.Packages, f.Package.Name+" "+f.Package.Version)
		}
		if n := len(p.Assets); n == 0 || p.Assets[n-1] != a {
			p.Assets = append(p.Assets, a)
		}
	}
	for i := range v.Assets[1:] {
		a := &v.Assets[i+1]
		for j := range a.Groups {
			for _, f := range a.Groups[j].Findings {
				add(key{rule: f.Rule}, a, f)
			}
		}
		for _, f := range a.Others {
			add(key{f.Rule, f.Title}, a, f)
		}
	}
	for _, p := range problems {
		slices.Sort(p.Packages)
		p.Packages = slices.Compact(p.Packages)
	}
	slices.SortStableFunc(problems, func(a, b *Problem) int {
		return cmp.Or(
			cmp.Compare(exploited(b.Worst), exploited(a.Worst)),
			cmp.Compare(b.Worst.Severity, a.Worst.Severity),
			cmp.Compare(len(b.Assets), len(a.Assets)),
			compareFindings(a.Worst, b.Worst),
		)
	})
	return problems
}

// SharedLayer is a layer of several images that brings findings into all of them.
type SharedLayer struct {
	seawall.LayerInfo
	Assets []*Asset
	// Counts are the findings it brings, each counted once whatever the number of images.
	Counts seawall.Summary
}

// SharedLayers returns them, worst first.
func (v *View) SharedLayers() []*SharedLayer {
	index := map[string]*SharedLayer{}
	var layers []*SharedLayer
	for i := range v.Assets {
		a := &v.Assets[i]
		if a.Image == nil {
			continue
		}
		for _, info := range a.Image.Layers {
			l := index[info.Digest]
			if l == nil {
				l = &SharedLayer{LayerInfo: info}
				index[info.Digest] = l
				layers = append(layers, l)
			}
			if n := len(l.Assets); n == 0 || l.Assets[n-1] != a {
				l.Assets = append(l.Assets, a)
			}
		}
	}
	v.countLayers(index)
	layers = slices.DeleteFunc(layers, func(l *SharedLayer) bool { return len(l.Assets) < 2 || l.Counts == seawall.Summary{} })
	slices.SortStableFunc(layers, func(a, b *SharedLayer) int {
		return cmp.Or(compareCounts(a.Counts, b.Counts), cmp.Compare(len(b.Assets), len(a.Assets)))
	})
	return layers
}

func (v *View) countLayers(index map[string]*SharedLayer) {
	type once struct{ layer, rule, subject string }
	seen := map[once]bool{}
	count := func(f *seawall.Finding) {
		if f.Layer == nil || index[f.Layer.Digest] == nil {
			return
		}
		if k := (once{f.Layer.Digest, f.Rule, subject(f)}); !seen[k] {
			seen[k] = true
			index[f.Layer.Digest].Counts.Add(f)
		}
	}
	for i := range v.Assets {
		for j := range v.Assets[i].Groups {
			for _, f := range v.Assets[i].Groups[j].Findings {
				count(f)
			}
		}
		for _, f := range v.Assets[i].Others {
			count(f)
		}
	}
}

// compareCounts puts more findings of the worst severity first.
func compareCounts(a, b seawall.Summary) int {
	for _, s := range seawall.Severities() {
		if c := cmp.Compare(b.Of(s), a.Of(s)); c != 0 {
			return c
		}
	}
	return 0
}

// Counts are the failing findings shown of an asset, by severity.
func (a *Asset) Counts() seawall.Summary {
	var s seawall.Summary
	for i := range a.Groups {
		for _, f := range a.Groups[i].Findings {
			s.Add(f)
		}
	}
	for _, f := range a.Others {
		s.Add(f)
	}
	return s
}

// ByCounts returns all assets but the first, worst first.
func (v *View) ByCounts() []*Asset {
	var list []*Asset
	counts := map[*Asset]seawall.Summary{}
	for i := range v.Assets[1:] {
		a := &v.Assets[i+1]
		list, counts[a] = append(list, a), a.Counts()
	}
	slices.SortStableFunc(list, func(a, b *Asset) int { return compareCounts(counts[a], counts[b]) })
	return list
}

// Fix is the version that mends a problem's package, "" when there is none or several.
func (p *Problem) Fix() string {
	if p.Worst.Vulnerability == nil || len(p.Worst.Vulnerability.Fixed) == 0 || len(p.Packages) > 1 {
		return ""
	}
	return p.Worst.Vulnerability.Fixed[0]
}

// Text is what a problem is called after its identifier: the packages, or the finding's title.
func (p *Problem) Text() string {
	if p.Worst.Vulnerability == nil || len(p.Packages) == 0 {
		return sink.Plain(p.Worst.Title)
	}
	return sink.Plain(p.Packages[0])
}
