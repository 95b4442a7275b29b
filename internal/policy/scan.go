package policy

import (
	"slices"

	"github.com/seawall-security/seawall/internal/expression"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Scan is what a scan found in an image, prepared for many decisions about those who
// run it: rules that look at nothing but a finding were asked once. It is safe for
// concurrent use.
type Scan struct {
	Asset *seawall.Asset
	// Findings are those that some rule may match.
	Findings []seawall.Finding

	// asked are the findings that each rule has to be asked about, by their index.
	asked map[*Rule][]int32
}

// Scanned prepares an image's findings for decisions of the set in a phase. They are
// not kept, but for those that some rule may match.
func (s *Set) Scanned(phase string, asset *seawall.Asset, findings []seawall.Finding) *Scan {
	scan := &Scan{Asset: asset, asked: map[*Rule][]int32{}}
	kept := map[int]int32{}
	for _, p := range s.Policies {
		if !p.Uses(phase) {
			continue
		}
		values := (&cases{policy: p, in: &Input{Phase: phase, Asset: asset}}).input(p.environment)
		for _, r := range p.Rules {
			if r.subject != subjectFinding {
				continue
			}
			alone := p.alone(r)
			for i := range findings {
				f := &findings[i]
				if f.Status != seawall.StatusFail || !r.mayMatch(f) || alone && !r.matches(f, values) {
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

// alone says whether a rule's condition depends on the finding and its asset alone.
func (p *Policy) alone(r *Rule) bool {
	return !slices.ContainsFunc(p.named(r.when), func(name string) bool {
		return slices.Contains([]string{"image", "workload", "object", "request", "namespace", "now"}, name)
	})
}

// matches says whether the condition comes to anything but false.
func (r *Rule) matches(f *seawall.Finding, values *expression.Input) bool {
	values.Set("finding", f)
	matched, err := r.when.Bool(values)
	return matched || err != nil
}

// mayMatch is false where the finding's kind or severity says that the rule's
// condition comes to false.
func (r *Rule) mayMatch(f *seawall.Finding) bool {
	kinds, severities := r.when.Guard("finding.kind"), r.when.Guard("finding.severity")
	return (kinds == nil || slices.Contains(kinds, string(f.Kind))) && (severities == nil || slices.Contains(severities, f.Severity.String()))
}

// scans asks a rule about what scans found in the input's images.
func (c *cases) scans(r *Rule) {
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

// Wants are the policy's in a phase.
func (p *Policy) Wants(phase string) Wants {
	var w Wants
	if !p.Uses(phase) {
		return w
	}
	any := false
	for _, r := range p.Rules {
		if r.subject == subjectFinding {
			w.Findings = true
			kinds := r.when.Guard("finding.kind")
			any = any || kinds == nil
			w.Kinds = append(w.Kinds, kinds...)
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
	if w.Kinds = slices.Compact(w.Kinds); any {
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
