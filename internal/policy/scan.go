package policy

import (
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Scan is what a scan found in an image, or detectors about an object, prepared for
// many decisions about it: rules were asked once, and what they say no to whatever else
// is so is left out. It is safe for concurrent use.
type Scan struct {
	// Asset is the image; nil for an object.
	Asset *seawall.Asset
	// Findings are those that some rule may match.
	Findings []seawall.Finding

	// asked are the findings that each rule has to be asked about, by their index.
	asked map[*Rule][]int32
}

// Scanned prepares findings for decisions of the set in a phase. They are not kept, but
// for those that some rule may match.
func (s *Set) Scanned(phase string, asset *seawall.Asset, findings []seawall.Finding) *Scan {
	scan := &Scan{Asset: asset, asked: map[*Rule][]int32{}}
	kept := map[int]int32{}
	for _, p := range s.Policies {
		if !p.Uses(phase) {
			continue
		}
		values := (&cases{policy: p, in: &Input{Phase: phase, Asset: asset}}).input(p.environment)
		values.Set("now", expression.Unknown("now"))
		for _, r := range p.Rules {
			if r.subject != subjectFinding {
				continue
			}
			for i := range findings {
				f := &findings[i]
				if f.Status != seawall.StatusFail || !r.mayMatch(f) || !r.matches(f, values) {
					continue
				}
				n, there := kept[i]
				if !there {
					n = int32(len(scan.Findings))
					kept[i] = n
					scan.Findings = append(scan.Findings, *f)
				}
				scan.asked[r] = append(scan.asked[r], n)
			}
		}
	}
	return scan
}

// matches says whether the condition comes to anything but false, where nothing is known
// but the finding.
func (r *Rule) matches(f *seawall.Finding, values *expression.Input) bool {
	values.Set("finding", f)
	matched, err := r.when.Bool(values)
	return matched || err != nil
}

// mayMatch is false where what the rule's condition asks for first (a kind, a
// severity, known exploitation) says that it comes to false.
func (r *Rule) mayMatch(f *seawall.Finding) bool {
	return (r.kinds == nil || slices.Contains(r.kinds, string(f.Kind))) &&
		(r.severities == nil || slices.Contains(r.severities, f.Severity.String())) &&
		(!r.exploited || f.Vulnerability != nil && f.Vulnerability.KEV)
}

// scans asks a rule about what was found beforehand.
func (c *cases) scans(r *Rule) {
	if own := c.in.Own; own != nil {
		for _, n := range own.asked[r] {
			f := &own.Findings[n]
			c.ask(r, f, nil, func(v *expression.Input) { v.Set("finding", f) })
		}
	}
	for i := range c.in.Images {
		image := &c.in.Images[i]
		if image.Scan == nil || len(image.Scan.asked[r]) == 0 || !c.policy.concerns(c.in, c.in.Images[i:i+1]) {
			continue
		}
		for _, n := range image.Scan.asked[r] {
			f := &image.Scan.Findings[n]
			c.ask(r, f, image, func(v *expression.Input) {
				v.Set("finding", f)
				v.Set("image", image)
				v.Set("asset", image.Scan.Asset)
			})
		}
		c.whole(c.values)
	}
}

// RuleUnknownImages is the rule that decisions about images nobody scanned name.
const RuleUnknownImages = "unknownImages"

// unscanned answers for images nobody scanned by the policy's unknownImages.
func (c *cases) unscanned() {
	p := c.policy
	if c.in.Phase != PhaseDeploy || p.UnknownImages == "allow-and-scan" && !p.asksScans {
		return
	}
	for i := range c.in.Images {
		image := &c.in.Images[i]
		if image.Unscanned == "" || !p.concerns(c.in, c.in.Images[i:i+1]) {
			continue
		}
		d := seawall.Decision{Policy: p.Name, Rule: RuleUnknownImages, Phase: c.in.Phase, Action: "block", Mode: p.Mode, Outcome: OutcomeDryRun, Reason: image.Name + ": " + image.Unscanned}
		switch {
		case p.UnknownImages == "deny" || p.Closed && image.Unscannable:
		case p.UnknownImages == "allow-and-scan" && !image.Unscannable:
			d.Action = "alert"
		case !p.Closed:
			d.Outcome = OutcomeFailed
			c.add(d, nil, image)
			continue
		}
		c.settle(&d, &Rule{Name: d.Rule, mode: p.Mode}, nil, image, func(v *expression.Input) { v.Set("image", image) })
		c.add(d, nil, image)
	}
}

// answeredElsewhere says whether an answer hangs on nothing but what a scan of an
// image that nobody scanned would have said.
func (c *cases) answeredElsewhere(unknown *expression.UnknownError, image *Image) bool {
	return c.in.Phase == PhaseDeploy && c.lacks(image, func(i *Image) string { return i.Unscanned }) != "" && !slices.ContainsFunc(unknown.Facts, func(fact string) bool {
		return !strings.HasPrefix(fact, "image.") || byRegistry(fact)
	})
}

// unreached is why a registry did not say what an answer hangs on, "" where it is more than that.
func (c *cases) unreached(unknown *expression.UnknownError, image *Image) string {
	if slices.ContainsFunc(unknown.Facts, func(fact string) bool { return !byRegistry(fact) }) {
		return ""
	}
	return c.lacks(image, func(i *Image) string { return i.Unreached })
}

// byRegistry says whether a fact is one that registries tell.
func byRegistry(fact string) bool {
	return fact == "image.digest" || fact == "image.signed" || fact == "image.signer"
}

// lacks is why a fact of the image, or of some image where a rule is about none, is not known.
func (c *cases) lacks(image *Image, why func(*Image) string) string {
	if image != nil {
		return why(image)
	}
	for i := range c.in.Images {
		if reason := why(&c.in.Images[i]); reason != "" {
			return reason
		}
	}
	return ""
}

// Concerns says whether match and exclude let the policy be asked about the input.
func (p *Policy) Concerns(in Input) bool { return p.Uses(in.Phase) && p.concerns(&in, in.Images) }

// Wants are the facts that a policy's rules for a phase ask about.
type Wants struct {
	// Findings says that some rule is about findings, Kinds of which kinds; nil is any.
	Findings bool
	Kinds    []string
	// Scan: some rule asks what only a scan knows of an image, its findings aside;
	// Signature: whether it is signed, or by whom; Digest: what it is.
	Scan, Signature, Digest bool
	// FirstSeen: some grace is counted from when a finding was first seen.
	FirstSeen bool
}

// Scans says whether scans of images are asked about. Rules about nothing but
// misconfiguration are about objects.
func (w *Wants) Scans() bool {
	return w.Scan || w.some(seawall.KindVulnerability, seawall.KindSecret, seawall.KindMalware, seawall.KindLicense, seawall.KindLifecycle, seawall.KindSignature)
}

// Objects says whether findings about objects are asked about.
func (w *Wants) Objects() bool {
	return w.some(seawall.KindMisconfiguration, seawall.KindSecret, seawall.KindRBAC, seawall.KindNetwork)
}

// some says whether findings of one of the kinds are asked about.
func (w *Wants) some(kinds ...seawall.FindingKind) bool {
	return w.Findings && (w.Kinds == nil || slices.ContainsFunc(kinds, func(k seawall.FindingKind) bool { return slices.Contains(w.Kinds, string(k)) }))
}

// Add is what either asks about.
func (w *Wants) Add(o Wants) {
	anyKind := w.Findings && w.Kinds == nil || o.Findings && o.Kinds == nil
	w.Findings, w.Scan, w.Signature = w.Findings || o.Findings, w.Scan || o.Scan, w.Signature || o.Signature
	w.Digest, w.FirstSeen = w.Digest || o.Digest, w.FirstSeen || o.FirstSeen
	if w.Kinds = append(w.Kinds, o.Kinds...); anyKind {
		w.Kinds = nil
	}
}

// Wants are the policy's in a phase.
func (p *Policy) Wants(phase string) Wants {
	var w Wants
	if !p.Uses(phase) {
		return w
	}
	anyKind := false
	for _, r := range p.Rules {
		if r.subject == subjectFinding {
			w.Findings = true
			anyKind = anyKind || r.kinds == nil
			w.Kinds = append(w.Kinds, r.kinds...)
		}
		w.FirstSeen = w.FirstSeen || r.grace.days > 0 && r.grace.from == "firstSeen"
		programs := []*expression.Program{r.when}
		if r.messageOf != nil {
			programs = append(programs, r.messageOf)
		}
		for _, name := range r.uses {
			if program := p.programs[name]; program != nil {
				programs = append(programs, program)
			}
		}
		for _, program := range programs {
			w.addImage(program.Fields("image"))
		}
	}
	slices.Sort(w.Kinds)
	if w.Kinds = slices.Compact(w.Kinds); anyKind {
		w.Kinds = nil
	}
	return w
}

// addImage notes the fields of an image that an expression names.
func (w *Wants) addImage(fields []string, whole bool) {
	w.Scan, w.Signature, w.Digest = w.Scan || whole, w.Signature || whole, w.Digest || whole
	for _, field := range fields {
		switch field {
		case "name", "registry", "repository", "tag":
		case "digest":
			w.Digest = true
		case "signed", "signer":
			w.Signature = true
		default:
			w.Scan = true
		}
	}
}
