package text

import (
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

// What is shown of a fleet before it is folded with a count.
const (
	fleetProblems = 40
	fleetLayers   = 10
	fleetImages   = 200
	fleetNames    = 4
)

// fleet writes what is wrong in the images of a registry: by problem, by shared
// layer, by image. Each image's own list is a scan of that image away.
func (t *table) fleet() {
	t.problems(t.view.Across())
	t.sharedLayers(t.view.SharedLayers())
	t.images(t.view.ByCounts())
	if t.options.Packages {
		for i := range t.view.Assets[1:] {
			a := &t.view.Assets[i+1]
			t.prose(0, a.Name, bold)
			t.packages(a.ID)
		}
	}
}

func (t *table) problems(list []*triage.Problem) {
	if len(list) == 0 {
		return
	}
	t.prose(0, "ACROSS IMAGES, worst first", bold)
	for i, p := range list {
		if i == fleetProblems {
			t.prose(2, fmt.Sprintf("+%d more: --format json or html, or --severity", len(list)-i), dim)
			break
		}
		words := []word{{sink.Plain(p.Worst.Rule), bold}}
		if p.Worst.Vulnerability != nil {
			words = identifiers(p.Worst)
		}
		words = append(words, split(p.Text(), plain)...)
		if fix := p.Fix(); fix != "" {
			words = append(words, word{"->", plain}, word{sink.Plain(fix), green})
		}
		if n := len(p.Packages); n > 1 {
			words = append(words, split(fmt.Sprintf("and %d more", n-1), dim)...)
		}
		t.wrap([]word{severityWord(p.Worst.Severity)}, 11, words)
		t.prose(11, "in "+names(p.Assets, len(t.view.Assets)-1), dim)
	}
	t.blank()
}

func (t *table) sharedLayers(list []*triage.SharedLayer) {
	if len(list) == 0 {
		return
	}
	t.prose(0, "SHARED LAYERS, mended once for all their images", bold)
	for i, l := range list {
		if i == fleetLayers {
			t.prose(2, fmt.Sprintf("+%d more", len(list)-i), dim)
			break
		}
		head := []word{{shortDigest(l.Digest), bold}}
		t.wrap([]word{{"  ", plain}}, 2, append(head, counts(l.Counts)...))
		if l.CreatedBy != "" {
			t.prose(4, shorten(l.CreatedBy, 2*t.width), dim)
		}
		t.prose(4, "in "+names(l.Assets, len(t.view.Assets)-1), dim)
	}
	t.blank()
}

func (t *table) images(list []*triage.Asset) {
	t.prose(0, fmt.Sprintf("IMAGES (%d), worst first", len(list)), bold)
	for i, a := range list {
		if i == fleetImages {
			t.prose(2, fmt.Sprintf("+%d more: --format json", len(list)-i), dim)
			break
		}
		words := append([]word{{sink.Plain(a.Name), plain}}, counts(a.Counts())...)
		if a.Failing() == 0 {
			verdict, clean := a.Nothing()
			st := yellow
			if clean {
				st = green
			}
			words = append(words, split(verdict, st)...)
		}
		if a.Image != nil && len(a.Image.RepoTags) > 1 {
			words = append(words, split(fmt.Sprintf("(+%s)", triage.Count(len(a.Image.RepoTags)-1, "tag")), dim)...)
		}
		t.wrap([]word{{"  ", plain}}, 4, words)
	}
	t.prose(2, "all of one image: seawall scan image NAME", dim)
	t.blank()
}

// counts writes the severities that have findings.
func counts(s seawall.Summary) []word {
	var words []word
	for _, sev := range seawall.Severities() {
		if n := s.Of(sev); n > 0 {
			words = append(words, word{fmt.Sprintf("%d\u00a0%s", n, sev), styleOf(sev)})
		}
	}
	return words
}

// names lists assets, the first few by name.
func names(assets []*triage.Asset, all int) string {
	if len(assets) == all && all > fleetNames {
		return fmt.Sprintf("all %d images", all)
	}
	var list []string
	for i, a := range assets {
		if i == fleetNames {
			list = append(list, fmt.Sprintf("+%d more", len(assets)-i))
			break
		}
		list = append(list, a.Name)
	}
	return triage.Count(len(assets), "image") + ": " + strings.Join(list, ", ")
}

// shortDigest is enough of a digest to find it.
func shortDigest(d string) string {
	d = sink.Plain(d)
	if algorithm, sum, ok := strings.Cut(d, ":"); ok && len(sum) > 12 {
		return algorithm + ":" + sum[:12]
	}
	return d
}
