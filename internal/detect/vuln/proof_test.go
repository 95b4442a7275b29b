package vuln

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/osv-scalibr/semantic"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/testenv"
	yaml "go.yaml.in/yaml/v3"
)

// TestProof walks every advisory of the shared snapshots. For each version an
// advisory's own text names, and the one just before each fix, the text is read
// once more, by the small readers below and with another library's version
// order, and must agree with what the detector says after import and database.
func TestProof(t *testing.T) {
	for name, read := range map[string]reader{
		"go": osvProbes, "pypi": osvProbes, "crates": osvProbes, "almalinux": osvProbes, "bitnami": osvProbes, "kubernetes-osv": osvProbes,
		"rubygems": rubyProbes, "packagist": phpProbes, "debian": debianProbes, "alpine": alpineProbes, "wolfi": wolfiProbes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prove(t, testenv.Shared(t, "advisories/"+name+".tar.gz"), read)
		})
	}
}

// probe is one version and what the text says of it.
type probe struct {
	advisory                 string // the identifier the advisory goes by in a finding
	ecosystem, name, version string
	module                   string
	affected                 bool
	// what the version is in the text: "fixed", "before fixed", "introduced", …
	role string
}

// reader reads one raw file; skip counts what is left out, by reason.
type reader func(name string, data []byte, skip func(reason string)) ([]probe, error)

func prove(t *testing.T, archive string, read reader) {
	w := db.NewWriter(db.Options{})
	skipped, roles := map[string]int{}, map[string]int{}
	var probes []probe
	files, asked := 0, 0
	eachFile(t, archive, func(name string, data []byte) {
		if !imported(t, w, name, data) {
			return
		}
		files++
		list, err := read(name, data, func(reason string) { skipped[reason]++ })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		probes = append(probes, list...)
	})
	r := &only{Reader: reopen(t, w), found: map[string]map[string][]advisory.Match{}}
	wrong := 0
	for len(probes) > 0 {
		n := 1
		for n < len(probes) && probes[n].advisory == probes[0].advisory {
			n++
		}
		for i, found := range says(t, r, probes[:n]) {
			p := probes[i]
			asked++
			roles[fmt.Sprintf("%s: affected %v", p.role, p.affected)]++
			if found != p.affected {
				if wrong++; wrong <= 20 {
					t.Errorf("%s: %s %s %s %s (%s): found %v, the text says %v", p.advisory, p.ecosystem, p.name, p.version, p.module, p.role, found, p.affected)
				}
			}
		}
		probes = probes[n:]
	}
	if files == 0 || asked < files/2 {
		t.Errorf("%d versions in %d files", asked, files)
	}
	t.Logf("%d files, %d versions asked about, %d wrong; %v; left out: %v", files, asked, wrong, roles, skipped)
}

// eachFile reads a .tar.gz.
func eachFile(t *testing.T, archive string, visit func(name string, data []byte)) {
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		visit(h.Name, data)
	}
}

func imported(t *testing.T, w *db.Writer, name string, data []byte) bool {
	for _, i := range all.Importers() {
		if !i.Recognizes(name, data[:min(len(data), 64<<10)]) {
			continue
		}
		err := i.Import(t.Context(), name, bytes.NewReader(data), func(r advisory.Record) error { return w.Add("proof", r) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return true
	}
	return false
}

func reopen(t *testing.T, w *db.Writer) *db.Reader {
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	r, err := db.New(b.Bytes(), "proof", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// only is a database of which one advisory answers, so that another on the same
// vulnerability does not speak for it.
type only struct {
	*db.Reader
	id string
	// found keeps the database's answers: for each package, its statements by advisory.
	found map[string]map[string][]advisory.Match
}

func (o *only) Find(ecosystem, name string) ([]advisory.Match, error) {
	key := ecosystem + " " + name
	if o.found[key] == nil {
		matches, err := o.Reader.Find(ecosystem, name)
		if err != nil {
			return nil, err
		}
		o.found[key] = map[string][]advisory.Match{}
		for _, m := range matches {
			a, err := o.Advisory(m.Advisory)
			if err != nil {
				return nil, err
			}
			o.found[key][a.ID] = append(o.found[key][a.ID], m)
		}
	}
	return o.found[key][o.id], nil
}

// says tells for probes of one advisory whether the detector finds it.
func says(t *testing.T, r *only, probes []probe) []bool {
	var packages []seawall.Package
	found := make([]bool, len(probes))
	for i, p := range probes {
		// The place carries the probe's number through the detector.
		packages = append(packages, seawall.Package{
			Ecosystem: p.ecosystem, Name: p.name, Version: p.version, Module: p.module, Locations: []seawall.Location{{Line: i + 1}},
		})
	}
	r.id = probes[0].advisory
	result, err := New(r).Detect(t.Context(), detect.Facts{Packages: packages})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range result.Findings {
		for _, l := range f.Locations {
			found[l.Line-1] = true
		}
	}
	return found
}

// osvText is an OSV document as its schema has it, no more than this test needs.
type osvText struct {
	ID, Summary, Withdrawn string
	Related, Aliases       []string
	Affected               []struct {
		Package  struct{ Ecosystem, Name string }
		Ranges   []osvRange
		Versions []string
	}
}

type osvRange struct {
	Type   string
	Events []map[string]string
}

func osvProbes(name string, data []byte, skip func(string)) ([]probe, error) {
	var o osvText
	unmarshal := yaml.Unmarshal
	if path.Ext(name) == ".json" {
		unmarshal = json.Unmarshal
	}
	if err := unmarshal(data, &o); err != nil {
		return nil, err
	}
	if o.Withdrawn != "" {
		skip("withdrawn advisory")
		return nil, nil
	}
	if strings.HasPrefix(o.ID, "ALBA") || strings.HasPrefix(o.ID, "ALEA") {
		if !slices.ContainsFunc(slices.Concat(o.Related, o.Aliases), func(s string) bool { return strings.HasPrefix(s, "CVE-") }) {
			skip("bug fix or enhancement erratum without CVE: no vulnerability")
			return nil, nil
		}
	}
	var list []probe
	seen := map[string]bool{}
	for _, a := range o.Affected {
		ecosystem := a.Package.Ecosystem
		if ecosystem == "kubernetes" {
			ecosystem = "Kubernetes"
		}
		add := func(role, v string) {
			p := probe{advisory: o.ID, ecosystem: ecosystem, name: a.Package.Name, version: v, role: role, module: stream(o.Summary, v)}
			if key := p.name + " " + v; !seen[key] && v != "" {
				seen[key] = true
				var err error
				if p.affected, err = o.names(p); err != nil {
					skip("a version the other library does not read")
					return
				}
				list = append(list, p)
			}
		}
		for _, r := range a.Ranges {
			if r.Type == "GIT" {
				skip("commit range")
				continue
			}
			if v := unreadable(ecosystem, r.Events); v != "" {
				skip(fmt.Sprintf("range with %q, no version of %s", v, ecosystem))
				continue
			}
			if slices.ContainsFunc(r.Events, func(e map[string]string) bool { return described.MatchString(e["introduced"]) }) {
				skip("range from a git description, which no version order places")
				continue
			}
			for _, e := range r.Events {
				add("introduced", release(a.Package.Name, e["introduced"]))
				add("fixed", e["fixed"])
				add("before fixed", before(ecosystem, a.Package.Name, e["fixed"]))
				add("last affected", e["last_affected"])
			}
		}
		for i := 0; i < len(a.Versions); i += max(1, len(a.Versions)/3) {
			add("enumerated", a.Versions[i])
		}
	}
	return list, nil
}

// described matches what git describe writes: 3.6.5-8-g210218.
var described = regexp.MustCompile(`-\d+-g[0-9a-f]+$`)

// unreadable returns an event's version that its ecosystem does not understand, "" when there is none.
func unreadable(ecosystem string, events []map[string]string) string {
	for _, e := range events {
		for _, v := range e {
			if _, err := version.Parse(ecosystem, v); err != nil {
				return v
			}
		}
	}
	return ""
}

// release: Go is never installed as "1.21.0-0", the advisories' mark for "1.21 and its candidates".
func release(name, v string) string {
	switch {
	case v == "0":
		return ""
	case name == "stdlib" || name == "toolchain" || name == "golang" && strings.HasSuffix(v, "-0"):
		return strings.Replace(v, "-0", "-rc.1", 1)
	}
	return v
}

// before is a version just before a fix, "" when there is no fix.
func before(ecosystem, name, fixed string) string {
	family, _, _ := strings.Cut(ecosystem, ":")
	if fixed == "" {
		return ""
	}
	switch family {
	case "PyPI":
		if strings.Contains(fixed, "dev") {
			return ""
		}
		return fixed + ".dev0"
	case "Bitnami":
		if strings.Contains(fixed, "-") {
			return "" // builds and candidates: what comes just before them is not certain
		}
		return fixed + "-rc.0"
	case "AlmaLinux", "Debian":
		return fixed + "~"
	case "RubyGems":
		return fixed + ".A"
	case "Packagist":
		return fixed + "-dev"
	case "Alpine", "Wolfi":
		base, revision, _ := strings.Cut(fixed, "-r")
		if revision == "" || revision == "0" {
			return base + "_alpha"
		}
		return base
	}
	number, build, _ := strings.Cut(fixed, "+")
	if build != "" {
		build = "+" + build
	}
	switch {
	case strings.HasSuffix(number, "-0"):
		return ""
	case name == "stdlib" || name == "toolchain":
		return strings.Split(number, "-")[0] + "-beta.1"
	case strings.Contains(number, "-"):
		return number[:strings.Index(number, "-")] + "-0" + build
	}
	return release(name, number+"-0") + build
}

var streamName = regexp.MustCompile(`\b([A-Za-z0-9][A-Za-z0-9_.-]*):([A-Za-z0-9][A-Za-z0-9_.-]*)`)

// stream is the module a modular build belongs to, by the erratum's title.
func stream(summary, v string) string {
	if !strings.Contains(v, ".module") {
		return ""
	}
	return streamName.FindString(summary)
}

// otherOrder is the other library's name for an ecosystem's order, and how it wants versions
// written: it has none for Kubernetes, and reads Bitnami's build numbers ("1.25.1-3") as pre-releases.
func otherOrder(ecosystem string) (string, func(string) string) {
	same := func(v string) string { return v }
	switch ecosystem {
	case "Kubernetes":
		return "Go", same
	case "Bitnami":
		return "RubyGems", func(v string) string {
			if number, ok := strings.CutSuffix(v, "-0"); ok {
				return number + ".A"
			}
			return strings.ReplaceAll(v, "-", ".")
		}
	}
	return ecosystem, same
}

// names evaluates the document by the OSV schema's algorithm, with another library's order.
func (o *osvText) names(p probe) (bool, error) {
	ecosystem, spell := otherOrder(p.ecosystem)
	v, err := semantic.Parse(spell(p.version), ecosystem)
	if err != nil {
		return false, err
	}
	for _, a := range o.Affected {
		if a.Package.Name != p.name || a.Package.Ecosystem != p.ecosystem && p.ecosystem != "Kubernetes" {
			continue
		}
		if slices.Contains(a.Versions, p.version) {
			return true, nil
		}
		for _, r := range a.Ranges {
			if r.Type == "GIT" {
				continue
			}
			in, err := within(v, r.Events, ecosystem, spell)
			if in || err != nil {
				return in, err
			}
		}
	}
	return false, nil
}

func within(v semantic.Version, events []map[string]string, ecosystem string, spell func(string) string) (bool, error) {
	type point struct{ kind, version string }
	var points []point
	for _, e := range events {
		for kind, version := range e {
			points = append(points, point{kind, spell(version)})
		}
	}
	var bad error
	slices.SortStableFunc(points, func(a, b point) int {
		if a.version == "0" || b.version == "0" {
			return strings.Compare(a.version, b.version) * min(len(a.version), 1)
		}
		x, err := semantic.Parse(a.version, ecosystem)
		if err != nil {
			bad = err
			return 0
		}
		c, err := x.CompareStr(b.version)
		if err != nil {
			bad = err
		}
		return c
	})
	affected := false
	for _, p := range points {
		if p.version == "0" {
			affected = true
			continue
		}
		c, err := v.CompareStr(p.version)
		if err != nil {
			return false, err
		}
		switch {
		case p.kind == "introduced" && c >= 0:
			affected = true
		case p.kind == "fixed" && c >= 0, p.kind == "last_affected" && c > 0:
			affected = false
		}
	}
	return affected, bad
}

// rubyProbes: every requirement that names what is patched or never affected
// holds its own bound; the version just before a patched bound is affected
// unless another requirement holds it.
func rubyProbes(name string, data []byte, skip func(string)) ([]probe, error) {
	var e struct {
		Gem, CVE, GHSA, OSVDB string
		Patched               []string `yaml:"patched_versions"`
		Unaffected            []string `yaml:"unaffected_versions"`
	}
	if err := yaml.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	if e.Gem == "" {
		skip("a Ruby engine, not a gem")
		return nil, nil
	}
	id := "OSVDB-" + e.OSVDB
	if e.GHSA != "" {
		id = "GHSA-" + e.GHSA
	}
	if e.CVE != "" {
		id = "CVE-" + e.CVE
	}
	var list []probe
	good := slices.Concat(e.Patched, e.Unaffected)
	for _, requirement := range good {
		for _, bound := range strings.Split(requirement, ",") {
			operator, v, _ := strings.Cut(strings.TrimSpace(bound), " ")
			add := func(role, v string, affected bool) {
				list = append(list, probe{advisory: id, ecosystem: "RubyGems", name: e.Gem, version: v, role: role, affected: affected})
			}
			switch operator {
			case ">=", "~>", "<=", "=":
				in, err := gemHolds(good, v)
				if err != nil {
					skip("a version the other library does not read")
					continue
				}
				add(operator, v, !in)
				if operator == ">=" || operator == "~>" {
					low := v + ".A"
					if in, err = gemHolds(good, low); err != nil {
						skip("a version the other library does not read")
						continue
					}
					add("before "+operator, low, !in)
				}
			default:
				skip("bound " + operator + " names no version of its own")
			}
		}
	}
	if len(good) == 0 {
		list = append(list, probe{advisory: id, ecosystem: "RubyGems", name: e.Gem, version: "1.0", role: "no fix", affected: true})
	}
	return list, nil
}

// gemHolds says whether any requirement holds a version.
func gemHolds(requirements []string, text string) (bool, error) {
	asGem := func(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "-", ".pre.") } // as Gem::Version does, semantic does not
	v, err := semantic.Parse(asGem(text), "RubyGems")
	if err != nil {
		return false, err
	}
	for _, requirement := range requirements {
		holds := true
		for _, bound := range strings.Split(requirement, ",") {
			operator, other, _ := strings.Cut(strings.TrimSpace(bound), " ")
			c, err := v.CompareStr(asGem(other))
			if err != nil {
				return false, err
			}
			switch operator {
			case ">=":
				holds = holds && c >= 0
			case ">":
				holds = holds && c > 0
			case "<":
				holds = holds && c < 0
			case "<=":
				holds = holds && c <= 0
			case "=":
				holds = holds && c == 0
			case "~>":
				// Below the next release of all numbers but the last: same prefix in the released numbers.
				numbers := strings.Split(regexp.MustCompile(`^[0-9.]*[0-9]`).FindString(other), ".")
				prefix := strings.Join(numbers[:max(len(numbers)-1, 1)], ".")
				holds = holds && c >= 0 && (strings.HasPrefix(text, prefix+".") || text == prefix)
			default:
				return false, fmt.Errorf("operator %q", operator)
			}
		}
		if holds {
			return true, nil
		}
	}
	return false, nil
}

// phpProbes: a branch's ">=" bound is affected, its "<" bound is not unless another branch holds it.
func phpProbes(name string, data []byte, skip func(string)) ([]probe, error) {
	var e struct {
		CVE, Reference string
		Branches       map[string]struct{ Versions []string }
	}
	if err := yaml.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	pkg := strings.TrimPrefix(e.Reference, "composer://")
	if e.CVE == "" || e.CVE == "~" {
		skip("without a CVE: its identifier is made by the importer")
		return nil, nil
	}
	var list []probe
	for _, b := range e.Branches {
		for _, bound := range b.Versions {
			operator := bound[:len(bound)-len(strings.TrimLeft(bound, "<>=!~^ "))]
			v := strings.TrimSpace(bound[len(operator):])
			add := func(role, v string) {
				affected := false
				for _, other := range e.Branches {
					in, err := composerHolds(other.Versions, v)
					if err != nil {
						skip(err.Error())
						return
					}
					affected = affected || in
				}
				list = append(list, probe{advisory: e.CVE, ecosystem: "Packagist", name: pkg, version: v, role: role, affected: affected})
			}
			add(strings.TrimSpace(operator), v)
			if strings.HasPrefix(operator, "<") {
				add("before "+strings.TrimSpace(operator), v+"-dev")
			}
		}
	}
	return list, nil
}

// fourNumbers fills a version as Composer does before comparing; semantic does not.
func fourNumbers(v string) string {
	n := len(v) - len(strings.TrimLeft(v, "0123456789."))
	return v[:n] + strings.Repeat(".0", max(0, 3-strings.Count(v[:n], "."))) + v[n:]
}

func composerHolds(bounds []string, text string) (bool, error) {
	v, err := semantic.Parse(fourNumbers(text), "Packagist")
	if err != nil {
		return false, err
	}
	for _, bound := range bounds {
		operator := bound[:len(bound)-len(strings.TrimLeft(bound, "<>=!~^ "))]
		c, err := v.CompareStr(fourNumbers(strings.TrimSpace(bound[len(operator):])))
		if err != nil {
			return false, err
		}
		holds := false
		switch strings.TrimSpace(operator) {
		case ">=":
			holds = c >= 0
		case ">":
			holds = c > 0
		case "<":
			holds = c < 0
		case "<=":
			holds = c <= 0
		case "=", "", "==":
			holds = c == 0
		default:
			return false, fmt.Errorf("operator %q", operator)
		}
		if !holds {
			return false, nil
		}
	}
	return true, nil
}

var (
	dsaHead = regexp.MustCompile(`^\[[^\]]+\] ((?:DSA|DLA)-\S+)`)
	dsaFix  = regexp.MustCompile(`^\t\[([a-z]+)\] - (\S+) (\S+)`)
)

// debianProbes: each release line of an announcement names the fixed version.
func debianProbes(name string, data []byte, skip func(string)) ([]probe, error) {
	releases := map[string]string{
		"bookworm": "12", "bullseye": "11", "buster": "10", "stretch": "9", "jessie": "8", "wheezy": "7", "squeeze": "6", "lenny": "5", "etch": "4",
		"sarge": "3.1", "woody": "3.0", "potato": "2.2",
	}
	var list []probe
	id := ""
	for _, line := range strings.Split(string(data), "\n") {
		if m := dsaHead.FindStringSubmatch(line); m != nil {
			id = m[1]
			continue
		}
		m := dsaFix.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		release, ok := releases[m[1]]
		if !ok || strings.HasPrefix(m[3], "<") {
			skip("release line without a version: " + m[3])
			continue
		}
		ecosystem := "Debian:" + release
		list = append(list,
			probe{advisory: id, ecosystem: ecosystem, name: m[2], version: m[3], role: "fixed"},
			probe{advisory: id, ecosystem: ecosystem, name: m[2], version: m[3] + "~", role: "before fixed", affected: true})
	}
	return list, nil
}

var cve = regexp.MustCompile(`^CVE-\d+-\d+$`)

// alpineProbes: secfixes name the version that fixes each identifier; "0" is never affected.
func alpineProbes(name string, data []byte, skip func(string)) ([]probe, error) {
	var e struct {
		Distribution string `yaml:"distroversion"`
		Packages     []struct {
			Pkg struct {
				Name     string
				SecFixes map[string][]string `yaml:"secfixes"`
			}
		}
	}
	if err := yaml.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	var list []probe
	for _, p := range e.Packages {
		lowest := map[string]string{}
		for fixed, ids := range p.Pkg.SecFixes {
			fixed, _, _ = strings.Cut(fixed, " ")
			for _, line := range ids {
				id, _, _ := strings.Cut(line, " ")
				if !cve.MatchString(id) {
					skip("identifier that is no CVE")
					continue
				}
				if known, ok := lowest[id]; ok {
					c := semantic.MustParse(fixed, "Alpine")
					if n, err := c.CompareStr(known); err != nil || n >= 0 {
						continue
					}
				}
				lowest[id] = fixed
			}
		}
		for id, fixed := range lowest {
			if version.APK.Check(fixed) != nil {
				skip(fmt.Sprintf("%q is no version of apk", fixed))
				continue
			}
			probeOf := func(v, role string, affected bool) probe {
				return probe{advisory: id, ecosystem: "Alpine:" + e.Distribution, name: p.Pkg.Name, version: v, role: role, affected: affected}
			}
			if fixed == "0" {
				list = append(list, probeOf("1.0-r0", "never affected", false))
				continue
			}
			list = append(list, probeOf(fixed, "fixed", false), probeOf(before("Alpine", "", fixed), "before fixed", true))
		}
	}
	return list, nil
}

// wolfiProbes: the last event that is not a detection decides.
func wolfiProbes(name string, data []byte, skip func(string)) ([]probe, error) {
	var f struct {
		Package    struct{ Name string }
		Advisories []struct {
			ID      string
			Aliases []string
			Events  []struct {
				Timestamp, Type string
				Data            struct {
					Fixed string `yaml:"fixed-version"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	perID := map[string]int{}
	name = f.Package.Name
	ids := make([]string, len(f.Advisories))
	for i, a := range f.Advisories {
		ids[i] = a.ID
		for _, alias := range a.Aliases {
			if strings.HasPrefix(alias, "CVE-") {
				ids[i] = alias
				break
			}
		}
		perID[ids[i]]++
	}
	var list []probe
	for i, a := range f.Advisories {
		if perID[ids[i]] > 1 {
			skip("several entries on one CVE of one package")
			continue
		}
		slices.SortStableFunc(a.Events, func(x, y struct {
			Timestamp, Type string
			Data            struct {
				Fixed string `yaml:"fixed-version"`
			}
		}) int {
			return strings.Compare(x.Timestamp, y.Timestamp)
		})
		probeOf := func(v, role string, affected bool) {
			list = append(list, probe{advisory: ids[i], ecosystem: "Wolfi", name: name, version: v, role: role, affected: affected})
		}
		last := ""
		fixed := ""
		for _, e := range a.Events {
			if e.Type != "detection" {
				last, fixed = e.Type, e.Data.Fixed
			}
		}
		switch {
		case last == "false-positive-determination" || fixed == "0":
			probeOf("1.0-r0", "not affected", false)
		case last == "fixed" && version.APK.Check(fixed) != nil:
			skip(fmt.Sprintf("%q is no version of apk", fixed))
		case last == "fixed":
			probeOf(fixed, "fixed", false)
			probeOf(before("Wolfi", "", fixed), "before fixed", true)
		default:
			probeOf("1.0-r0", "open", true)
		}
	}
	return list, nil
}
