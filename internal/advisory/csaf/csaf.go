// Package csaf imports Red Hat's CSAF VEX documents, one per CVE
// (https://security.access.redhat.com/data/csaf/v2/vex/).
//
// Data flows: the product tree resolves each product id to an rpm (and module
// stream) on a release of Red Hat Enterprise Linux; the statuses and
// remediations then say of each: fixed in, affected and whether a fix will come,
// not affected, under investigation. Products other than the main releases
// (extended support, containers, OpenShift, …) are counted and left out: their
// fixes are other builds.
package csaf

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Importer reads one document.
type Importer struct{}

// maxSize: documents on CVEs of Go's standard library, which every product has, come close to 50 MB.
const maxSize = 128 << 20

// Name implements advisory.Importer.
func (Importer) Name() string { return "redhat-csaf" }

// Recognizes implements advisory.Importer.
func (Importer) Recognizes(_ string, head []byte) bool {
	if !document.IsJSON(head) || !bytes.Contains(head, []byte(`"csaf_version"`)) || !bytes.Contains(head, []byte("redhat.com")) {
		return false
	}
	for key := range document.Keys(head) {
		return key == "document"
	}
	return false
}

// Import implements advisory.Importer.
func (Importer) Import(_ context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	var d csafDocument
	if err := document.Decode(r, maxSize, &d); err != nil {
		return err
	}
	t := newTree(&d)
	for i := range d.Vulnerabilities {
		v := &d.Vulnerabilities[i]
		if v.CVE == "" {
			return fmt.Errorf("vulnerability %d without a CVE: %w", i, seawall.ErrCorrupt)
		}
		affected, others, err := v.statements(t)
		if err != nil {
			return fmt.Errorf("%s: %w", v.CVE, err)
		}
		if others > 0 {
			if err := emit(advisory.Record{Skipped: "product other than RHEL"}); err != nil {
				return err
			}
		}
		a := v.advisory(&d)
		a.Affected = affected
		if err := emit(advisory.Record{Advisory: a}); err != nil {
			return err
		}
	}
	return nil
}

func (v *vulnerability) advisory(d *csafDocument) *advisory.Advisory {
	a := &advisory.Advisory{
		ID: v.CVE, Source: "redhat", Summary: d.Document.Title,
		Published: document.Time(string(v.Released)),
		Modified:  document.Time(string(d.Document.Tracking.Current)),
	}
	if a.Published == "" {
		a.Published = document.Time(string(d.Document.Tracking.Initial))
	}
	// "None" and other words outside the scale are no severity.
	a.Severity, _ = seawall.ParseSeverity(string(d.Document.Aggregate.Text))
	if v.CWE.ID != "" {
		a.CWEs = []string{v.CWE.ID}
	}
	seen := map[string]bool{}
	for _, s := range v.Scores {
		for _, vector := range [...]document.Word{s.V3.Vector, s.V2.Vector} {
			if c, ok := document.CVSS("redhat", string(vector)); ok && !seen[c.Vector] {
				seen[c.Vector] = true
				a.CVSS = append(a.CVSS, c)
			}
		}
	}
	for _, ref := range v.References {
		if ref.URL != "" {
			a.References = append(a.References, string(ref.URL))
		}
	}
	return a
}

// remarks is what the document says of a product besides its status.
type remarks struct {
	state    seawall.VulnerabilityState
	fixedAt  string
	severity seawall.Severity
}

func (v *vulnerability) remarks() map[string]remarks {
	out := map[string]remarks{}
	for _, r := range v.Remediations {
		state := remediationState(r.Category, string(r.Details))
		for _, id := range r.Products {
			m := out[id]
			if state != "" {
				m.state = state
			}
			if r.Category == "vendor_fix" {
				m.fixedAt = document.Time(string(r.Date))
			}
			out[id] = m
		}
	}
	for _, t := range v.Threats {
		if t.Category != "impact" {
			continue
		}
		for _, id := range t.Products {
			m := out[id]
			m.severity, _ = seawall.ParseSeverity(string(t.Details)) // other words are no severity
			out[id] = m
		}
	}
	return out
}

// remediationState reads Red Hat's words for why there is no fix.
func remediationState(category, details string) seawall.VulnerabilityState {
	details = strings.ToLower(details)
	switch {
	case category != "no_fix_planned" && category != "none_available":
		return ""
	case strings.Contains(details, "out of support"):
		return seawall.StateEndOfLife
	case strings.Contains(details, "will not fix"):
		return seawall.StateWillNotFix
	case strings.Contains(details, "defer"):
		return seawall.StateDeferred
	case category == "no_fix_planned":
		return seawall.StateWillNotFix
	}
	return seawall.StateAffected
}

// key is what statements are merged by: the same package comes once per architecture.
type key struct{ ecosystem, name, module string }

// merger collects one statement per key. The order of calls is the order of
// trust: a fix is not undone by a later word on the same package.
type merger struct {
	tree    *tree
	remarks map[string]remarks
	at      map[key]int
	list    []advisory.Affected
	others  int
}

func (v *vulnerability) statements(t *tree) (list []advisory.Affected, others int, err error) {
	m := merger{tree: t, remarks: v.remarks(), at: map[key]int{}}
	for _, ids := range [...][]string{v.Status.Fixed, v.Status.FirstFixed} {
		for _, id := range ids {
			if err := m.fixed(id); err != nil {
				return nil, 0, fmt.Errorf("product %s: %w", id, err)
			}
		}
	}
	for _, id := range v.Status.KnownAffected {
		m.open(id, seawall.StateAffected)
	}
	for _, id := range v.Status.UnderInvestigation {
		m.open(id, seawall.StateUnderInvestigation)
	}
	for _, id := range v.Status.KnownNotAffected {
		m.add(id, advisory.Affected{Unaffected: true})
	}
	return m.list, m.others, nil
}

// add appends a statement unless the package has one. It returns where the
// package's statement is, -1 for other products, and whether it is this one.
func (m *merger) add(id string, a advisory.Affected) (at int, added bool) {
	p, ok := m.tree.resolve(id)
	if !ok {
		m.others++
		return -1, false
	}
	k := key{p.ecosystem, p.name, p.module}
	if at, ok := m.at[k]; ok {
		return at, false
	}
	a.Ecosystem, a.Name, a.Module = p.ecosystem, p.name, p.module
	a.Severity = m.remarks[id].severity
	m.at[k] = len(m.list)
	m.list = append(m.list, a)
	return m.at[k], true
}

// fixed notes the version an update brought. Every version named as fixed holds
// the fix, so the lowest is where being affected ends. Source packages are left
// to the binaries the same update lists.
func (m *merger) fixed(id string) error {
	p, ok := m.tree.resolve(id)
	if !ok {
		m.others++
		return nil
	}
	if p.source {
		return nil
	}
	if err := version.RPM.Check(p.version); err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	at, added := m.add(id, advisory.Affected{State: seawall.StateFixed})
	if !added {
		known := m.list[at].Ranges[0].Events[1].Fixed
		if c, err := version.RPM.Compare(p.version, known); err != nil || c >= 0 {
			return err
		}
	}
	m.list[at].Ranges = []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, p.version)}
	m.list[at].FixedAt = m.remarks[id].fixedAt
	return nil
}

func (m *merger) open(id string, state seawall.VulnerabilityState) {
	if said := m.remarks[id].state; said != "" && state == seawall.StateAffected {
		state = said
	}
	m.add(id, advisory.Affected{State: state, Ranges: []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, "")}})
}
