package version_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/osv-scalibr/semantic"
	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/all"
	"github.com/seawall-security/seawall/internal/advisory/version"
	"github.com/seawall-security/seawall/internal/testenv"
)

// versionsOf returns the versions that occur in the shared advisories, by
// ecosystem family and package, each list sorted as text.
func versionsOf(t testing.TB, archives ...string) map[string]map[string][]string {
	t.Helper()
	found := map[string]map[string]map[string]bool{}
	for _, archive := range archives {
		eachFile(t, testenv.Shared(t, "advisories/"+archive+".tar.gz"), func(name string, data []byte) {
			for _, i := range all.Importers() {
				if !i.Recognizes(name, data[:min(len(data), 64<<10)]) {
					continue
				}
				err := i.Import(t.Context(), name, bytes.NewReader(data), func(r advisory.Record) error {
					if r.Advisory != nil {
						for _, f := range r.Advisory.Affected {
							note(found, f)
						}
					}
					return nil
				})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	out := map[string]map[string][]string{}
	for family, packages := range found {
		out[family] = map[string][]string{}
		for name, set := range packages {
			out[family][name] = slices.Sorted(maps.Keys(set))
		}
	}
	return out
}

func note(found map[string]map[string]map[string]bool, f advisory.Affected) {
	family, _, _ := strings.Cut(f.Ecosystem, ":")
	if found[family] == nil {
		found[family] = map[string]map[string]bool{}
	}
	if found[family][f.Name] == nil {
		found[family][f.Name] = map[string]bool{}
	}
	set := found[family][f.Name]
	for _, v := range f.Versions {
		set[v] = true
	}
	for _, r := range f.Ranges {
		for _, e := range r.Events {
			set[e.Introduced+e.Fixed+e.LastAffected+e.Limit] = true
		}
	}
}

func eachFile(t testing.TB, archive string, visit func(name string, data []byte)) {
	t.Helper()
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
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			visit(h.Name, data)
		}
	}
}

// pairs yields pairs of versions of one package: each with its next ones and
// with others at growing distance, at most limit pairs, the same ones every time.
func pairs(packages map[string][]string, limit int, visit func(a, b string)) {
	n := 0
	for step := 1; n < limit && step < 1000; step = step*2 + 1 {
		for _, name := range slices.Sorted(maps.Keys(packages)) {
			list := packages[name]
			for i := 0; i+step < len(list) && n < limit; i++ {
				visit(list[i], list[i+step])
				n++
			}
		}
	}
}

// TestAgainstSemantic compares with osv-scalibr/semantic on the versions that
// occur in real advisories. Differences are known, by the rule that explains them.
func TestAgainstSemantic(t *testing.T) {
	found := versionsOf(t, "go", "pypi", "crates", "rubygems", "packagist", "almalinux", "bitnami", "debian", "alpine", "wolfi", "retirejs")
	// The npm versions are few; the other languages' are versions too.
	for family, packages := range found {
		scheme, ok := version.SchemeOf(family)
		if !ok || family == "generic" || family == "Node.js" || family == "Kubernetes" {
			continue
		}
		compared, unread, explained := 0, map[string]int{}, map[string]int{}
		pairs(packages, 40000, func(a, b string) {
			ours, err := scheme.Compare(a, b)
			if err != nil {
				unread[err.Error()]++
				return
			}
			theirs, err := theirsCompare(family, a, b)
			if err != nil {
				unread["not read by semantic"]++
				return
			}
			compared++
			if sign(ours) == theirs {
				return
			}
			if reason := difference(scheme, a, b); reason != "" {
				explained[reason]++
				return
			}
			t.Errorf("%s: %q and %q: %d, semantic says %d", family, a, b, ours, theirs)
		})
		t.Logf("%s: %d pairs, %v, differences %v", family, compared, unread, explained)
	}
}

func theirsCompare(family, a, b string) (c int, err error) {
	v, err := semantic.Parse(a, family)
	if err != nil {
		return 0, err
	}
	return v.CompareStr(b)
}

func sign(n int) int { return max(-1, min(1, n)) }

// difference explains why the two may differ.
func difference(s version.Scheme, a, b string) string {
	either := func(holds func(v string) bool) bool { return holds(a) || holds(b) }
	switch s {
	case version.APK:
		if either(func(v string) bool { return !strings.Contains(v, "-r") }) {
			return "apk orders a version without revision before its -r0; semantic takes them as equal"
		}
	case version.Semver:
		if either(func(v string) bool { return strings.Count(v, ".") > 2 && !strings.Contains(v, "-") }) {
			return "semantic takes a fourth number for a pre-release"
		}
	case version.Loose:
		if either(func(v string) bool { _, n, ok := strings.Cut(v, "-"); return ok && strings.Trim(n, "0123456789") == "" }) {
			return "a number after a hyphen is a later build of Bitnami's; semantic takes it for a pre-release"
		}
	case version.RubyGems:
		if either(func(v string) bool { return strings.Contains(v, "-") }) {
			return `Gem::Version reads "-" as ".pre."; semantic as "."`
		}
	case version.Packagist:
		if strings.Count(a, ".") != strings.Count(b, ".") {
			return "Composer fills versions to four numbers before comparing; semantic does not"
		}
	}
	return ""
}

// TestAgainstDpkg asks dpkg itself.
func TestAgainstDpkg(t *testing.T) {
	dpkg := testenv.Tool(t, "dpkg")
	var list [][2]string
	pairs(versionsOf(t, "debian")["Debian"], 300, func(a, b string) { list = append(list, [2]string{a, b}) })
	for _, tricky := range [][2]string{{"1.0~rc1-1", "1.0-1"}, {"1.0-1", "1.0-1+b1"}, {"1:0", "2"}, {"1.0", "1.0-0"}, {"1.0a", "1.0+"}, {"1.0.~", "1.0."}, {"0:1", "1"}, {"1-1-1", "1-1"}, {"09", "9"}} {
		list = append(list, tricky)
	}
	for _, p := range list {
		ours, err := version.DPKG.Compare(p[0], p[1])
		if err != nil {
			t.Errorf("%v: %v", p, err)
			continue
		}
		for operator, want := range map[string]bool{"lt": ours < 0, "eq": ours == 0} {
			err := exec.CommandContext(t.Context(), dpkg, "--compare-versions", p[0], operator, p[1]).Run()
			if (err == nil) != want {
				t.Errorf("dpkg says %s %s %s is %v", p[0], operator, p[1], err == nil)
			}
		}
	}
	t.Logf("%d pairs", len(list))
}

// TestAgainstRPM asks rpm itself, all pairs in a few processes.
func TestAgainstRPM(t *testing.T) {
	rpm := testenv.Tool(t, "rpm")
	var list [][2]string
	pairs(versionsOf(t, "almalinux")["AlmaLinux"], 5000, func(a, b string) { list = append(list, [2]string{a, b}) })
	for _, tricky := range [][2]string{
		{"1.0~rc1-1", "1.0-1"}, {"1.0^git1-1", "1.0-1"}, {"1.0^git1-1", "1.0.1-1"}, {"1.0~rc1^git1-1", "1.0~rc1-1"}, {"1.0a-1", "1.0.a-1"},
		{"1.a-1", "1.1-1"}, {"2_0-1", "2.0-1"}, {"1.05-1", "1.5-1"}, {"0:1-1", "1-1"}, {"1:1-1", "2-1"}, {"1.0.-1", "1.0-1"}, {"a-1", "1-1"},
	} {
		list = append(list, tricky)
	}
	compared := 0
	for chunk := range slices.Chunk(list, 500) {
		var script strings.Builder
		script.WriteString("%{lua:")
		for _, p := range chunk {
			fmt.Fprintf(&script, "print(rpm.vercmp(%q,%q),' ')", p[0], p[1])
		}
		script.WriteString("}")
		out, err := exec.CommandContext(t.Context(), rpm, "--eval", script.String()).Output()
		if err != nil {
			t.Fatal(err)
		}
		answers := strings.Fields(string(out))
		if len(answers) != len(chunk) {
			t.Fatalf("%d answers for %d pairs", len(answers), len(chunk))
		}
		for i, p := range chunk {
			ours, err := version.RPM.Compare(p[0], p[1])
			if err != nil {
				t.Errorf("%v: %v", p, err)
				continue
			}
			if fmt.Sprint(sign(ours)) != answers[i] {
				t.Errorf("%q and %q: %d, rpm says %s", p[0], p[1], ours, answers[i])
			}
			compared++
		}
	}
	t.Logf("%d pairs", compared)
}
