package triage

import (
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/seawall-security/seawall/internal/seawall"
)

// upgrade finds the smallest version that mends every finding a published
// version mends. Where an advisory lists a fix per release line, the one on the
// line of the target counts. It is "" when nothing is mended or two versions
// cannot be put in order.
func upgrade(ecosystem string, findings []*seawall.Finding) string {
	target := ""
	for range findings { // each pass that changes target settles at least one finding
		before := target
		for _, f := range findings {
			needed := fixFor(f.Vulnerability.Fixed, target)
			if needed == "" || needed == target {
				continue
			}
			later, err := less(ecosystem, target, needed)
			if err != nil {
				return ""
			}
			if later {
				target = needed
			}
		}
		if target == before {
			break
		}
	}
	return target
}

// fixFor picks from the fixed versions the one on target's release line, which
// is the one that shares most leading parts with it; the first listed decides ties.
func fixFor(fixed []string, target string) string {
	best, shared := "", -1
	for _, v := range fixed {
		if n := sharedParts(v, target); n > shared {
			best, shared = v, n
		}
	}
	return best
}

func sharedParts(a, b string) int {
	n := 0
	for {
		partA, restA, moreA := strings.Cut(a, ".")
		partB, restB, moreB := strings.Cut(b, ".")
		if partA != partB || partA == "" {
			return n
		}
		n++
		if !moreA || !moreB {
			return n
		}
		a, b = restA, restB
	}
}

// less tells whether a comes before b in the ecosystem's version order; "" comes first.
func less(ecosystem, a, b string) (bool, error) {
	if a == "" {
		return true, nil
	}
	v, err := semantic.Parse(a, orderOf(ecosystem))
	if err != nil {
		return false, err
	}
	c, err := v.CompareStr(b)
	return c < 0, err
}

// orderOf names an ecosystem of the semantic package with the same version order.
func orderOf(ecosystem string) string {
	name, _, _ := strings.Cut(ecosystem, ":")
	switch name {
	case "Amazon Linux", "Oracle Linux", "CentOS", "CentOS Stream", "Fedora", "Photon OS", "Azure Linux", "Arch":
		return "Red Hat"
	case "Kubernetes", "Node.js", "generic", "GitHub Actions":
		return "Bitnami"
	case "CocoaPods":
		return "RubyGems"
	}
	return name
}
