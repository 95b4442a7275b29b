package compliance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// matches tells whether a pattern (an identifier, or a beginning and *) takes an identifier.
func matches(pattern, id string) bool {
	if beginning, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(id, beginning)
	}
	return pattern == id
}

func anyMatches(patterns []string, ids ...string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return matches(p, id) })
	})
}

// counts tells whether a finding is one of those selected, by what it is about.
func (k *Kind) counts(f *seawall.Finding, now time.Time) bool {
	if f.Kind != k.Kind {
		return false
	}
	if f.Status != seawall.StatusFail && f.Status != seawall.StatusSuppressed {
		return true // a check's outcome has no severity of its own
	}
	if f.Severity < k.Severity {
		return false
	}
	v := f.Vulnerability
	if k.KEV && (v == nil || !v.KEV) {
		return false
	}
	return k.FixedDays == 0 || v != nil && len(v.Fixed) > 0 && fixedFor(v, now) >= time.Duration(k.FixedDays)*24*time.Hour
}

// fixedFor is how long ago the fix was published; very long when nobody knows.
func fixedFor(v *seawall.Vulnerability, now time.Time) time.Duration {
	const forever = 1<<63 - 1
	if v.FixedAt == nil {
		return forever
	}
	at, err := time.Parse(time.RFC3339, *v.FixedAt)
	if err != nil {
		return forever
	}
	return now.Sub(at)
}

// String is how reports name the selection.
func (k *Kind) String() string {
	var b strings.Builder
	b.WriteString(string(k.Kind))
	if k.Severity > seawall.SeverityUnknown {
		fmt.Fprintf(&b, ">=%s", k.Severity)
	}
	if k.FixedDays > 0 {
		fmt.Fprintf(&b, ",fixed>%dd", k.FixedDays)
	}
	if k.KEV {
		b.WriteString(",exploited")
	}
	return b.String()
}

// Title says in words what the selection is.
func (k *Kind) Title() string {
	noun := map[seawall.FindingKind]string{
		seawall.KindVulnerability: "Known vulnerabilities", seawall.KindSecret: "Credentials in files and images", seawall.KindMalware: "Malware",
		seawall.KindMisconfiguration: "Misconfigurations", seawall.KindLicense: "Licences that are not allowed", seawall.KindSignature: "Missing or wrong signatures",
		seawall.KindLifecycle: "Software past its end of support", seawall.KindRBAC: "Excessive permissions", seawall.KindNetwork: "Missing network isolation",
		seawall.KindRuntime: "Suspicious behaviour at run time", seawall.KindAudit: "Suspicious requests in the audit log", seawall.KindIntegrity: "Changed files",
	}[k.Kind]
	if k.KEV {
		noun += " that are exploited in the wild"
	}
	if k.Severity > seawall.SeverityUnknown && k.Severity < seawall.SeverityCritical {
		noun += ", " + k.Severity.String() + " or worse"
	} else if k.Severity == seawall.SeverityCritical {
		noun += ", critical"
	}
	if k.FixedDays > 0 {
		noun += fmt.Sprintf(", fixed for more than %d days", k.FixedDays)
	}
	return noun
}

// Mapper tells which requirements a finding is evidence for. It is safe for concurrent use.
type Mapper struct {
	once sync.Once
	all  []mapped
	mu   sync.Mutex
	memo map[string][]string
}

// mapped is a requirement with what selects findings.
type mapped struct {
	id string
	*Requirement
}

// NewMapper returns the mapper of the built-in frameworks, which are read while
// the caller goes on: a scan's first finding comes later.
func NewMapper() *Mapper {
	m := &Mapper{memo: map[string][]string{}}
	go m.once.Do(m.load)
	return m
}

// Frameworks returns the identifiers the finding has and those of the
// requirements it is evidence for, sorted, each once. The slice is shared: it
// must not be changed. Now is the time to judge ages by.
func (m *Mapper) Frameworks(f *seawall.Finding, now time.Time) []string {
	m.once.Do(m.load)
	m.mu.Lock()
	defer m.mu.Unlock()
	key := m.key(f, now)
	ids, known := m.memo[key]
	if !known {
		ids = slices.Clone(WithCounterparts(f.Frameworks))
		for i := range m.all {
			if r := &m.all[i]; r.takes(f, now) {
				ids = append(ids, r.id)
			}
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
		m.memo[key] = ids
	}
	return ids
}

// OfRule returns the same for a rule: what all its failing findings carry.
func (m *Mapper) OfRule(c *Control) []string {
	kind := seawall.KindMisconfiguration
	if j := judgeOf(c.Detector); j != nil && len(j.kinds) > 0 {
		kind = j.kinds[0]
	}
	return m.Frameworks(&seawall.Finding{Kind: kind, Rule: c.ID, Severity: c.Severity, Status: seawall.StatusFail, Frameworks: c.Frameworks}, time.Time{})
}

// takes tells whether a finding is evidence for a requirement, by its selectors alone.
func (r *Selection) takes(f *seawall.Finding, now time.Time) bool {
	return anyMatches(r.Rules, f.Rule) || anyMatches(r.Benchmarks, f.Frameworks...) ||
		slices.ContainsFunc(r.Kinds, func(k Kind) bool { return k.counts(f, now) })
}

// key holds all that the answer depends on: vulnerabilities are many, and differ
// only in what Kind looks at.
func (m *Mapper) key(f *seawall.Finding, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s %s", f.Kind, f.Severity, f.Status, strings.Join(f.Frameworks, " "))
	if v := f.Vulnerability; v != nil {
		days := -1
		if len(v.Fixed) > 0 {
			days = int(min(fixedFor(v, now)/(24*time.Hour), maxFixedDays))
		}
		fmt.Fprintf(&b, " %t %d", v.KEV, days)
		return b.String()
	}
	b.WriteString(" " + f.Rule)
	return b.String()
}

// maxFixedDays is beyond every age a framework asks for; it bounds the memory of the Mapper.
const maxFixedDays = 400

// load reads the frameworks that are mapped by data; benchmarks are named by the rules themselves.
func (m *Mapper) load() {
	all, _ := decodeAll() // embedded files: a test decodes every one
	for _, f := range all {
		if f.Numbers != "" {
			continue
		}
		for _, s := range f.Sections {
			for i := range s.Requirements {
				m.all = append(m.all, mapped{f.ID + ":" + s.Requirements[i].ID, &s.Requirements[i]})
			}
		}
	}
}
