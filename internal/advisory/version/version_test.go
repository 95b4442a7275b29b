package version

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seawall-security/seawall/internal/advisory"
)

// ordered lists versions oldest first; those joined in one row are the same version.
var ordered = map[Scheme][][]string{
	DPKG: {
		{"0"}, {"1.0~~"}, {"1.0~rc1-1"}, {"1.0", "0:1.0", "1.0-0", "01.0"}, {"1.0-1"}, {"1.0-1+b1"}, {"1.0-1+deb12u1"}, {"1.0-2"},
		{"1.0a"}, {"1.0+dfsg-1"}, {"1.0.1"}, {"1.10"}, {"1:0.1"}, {"10:0"},
	},
	RPM: {
		{"1.0~rc1-1"}, {"1.0-1.el8", "0:1.0-1.el8"}, {"1.0-1.el8_2.1"}, {"1.0-2"}, {"1.0^git1-1"}, {"1.0.a-1", "1.0a-1"}, {"1.0.1-1", "1.0_1-1"}, {"1.10-1"}, {"1:0.1-1"},
	},
	APK: {
		{"1.0_alpha"}, {"1.0_alpha1"}, {"1.0_beta1-r0"}, {"1.0_rc2"}, {"1.0"}, {"1.0-r0"}, {"1.0-r10"}, {"1.0_git20200101"}, {"1.0_p1"}, {"1.0a"}, {"1.0b"}, {"1.01"}, {"1.1"}, {"1.2.0"}, {"1.12"}, {"20200101"},
	},
	Semver: {
		{"1.0.0-0"}, {"1.0.0-2"}, {"1.0.0-11"}, {"1.0.0-alpha"}, {"1.0.0-alpha.1"}, {"1.0.0-beta", "1.0.0beta"}, {"1.0.0-rc.1"},
		{"1.0.0", "v1.0.0", "1", "1.0", "1.0.0+build"}, {"1.0.0.1"}, {"1.0.1-0.20200101000000-abcdef123456"}, {"1.0.1"}, {"99999999999999999999999.0.0"},
	},
	Loose: {{"1.1.1-0"}, {"1.1.1-beta1"}, {"1.1.1-rc.0"}, {"1.1.1"}, {"1.1.1-3"}, {"1.1.1-10"}, {"1.1.1a"}, {"1.1.1w"}, {"1.1.1z"}, {"1.1.1za"}, {"1.1.2"}, {"2021.12.27"}},
	PEP440: {
		{"1.0.dev1"}, {"1.0a1.dev1"}, {"1.0a1", "1.0.alpha-1", "1.0A1"}, {"1.0a2"}, {"1.0b1"}, {"1.0rc1", "1.0c1", "1.0-preview_1"},
		{"1.0", "1", "v1.0.0", "01.0"}, {"1.0+abc"}, {"1.0+5"}, {"1.0+5.1"}, {"1.0.post1.dev2"}, {"1.0.post1", "1.0-1", "1.0.r1"}, {"1.0.1"}, {"1.10"}, {"1!0.5"},
	},
	Maven: {
		{"1-alpha-1", "1-a1"}, {"1.0.0-alpha.1"}, {"1-beta-2"}, {"1-m3", "1-milestone-3"}, {"1-rc1", "1-CR1"}, {"1-SNAPSHOT"}, {"1", "1.0", "1.ga", "1-final", "1.0.0-0"}, {"1-sp"}, {"1-foo"}, {"1-1"}, {"1.1"}, {"1.10"},
		{"31.0-android"}, {"31.0-jre"},
	},
	RubyGems: {{"1.0.A"}, {"1.0.a", "1.a"}, {"1.0.b1"}, {"1.0-pre", "1.0.pre.pre"}, {"1.0.pre", "1.pre"}, {"1.0.rc1"}, {"1", "1.0", "1.0.0"}, {"1.0.1"}, {"1.2.b"}, {"1.2"}, {"1.10"}},
	NuGet:    {{"1.0.0-ALPHA", "1.0.0-alpha"}, {"1.0.0", "1.0.0.0", "1.0"}, {"1.0.0.1"}, {"1.0.1"}},
	Packagist: {
		{"1.0-dev"}, {"1.0-alpha1", "1.0.0.0-a1", "v1.0alpha.1"}, {"1.0-beta2"}, {"1.0-RC1"}, {"1.0", "1.0.0.0", "v1.0", "1.0-stable"}, {"1.0-p1", "1.0-patch1"}, {"1.0.1"}, {"1.10"}, {"1.x-dev"}, {"2.0"},
	},
	CRAN: {{"1.0"}, {"1.0.0", "1-0-0"}, {"1.0-1"}, {"1.2"}, {"1.10"}},
}

func TestOrder(t *testing.T) {
	for scheme, rows := range ordered {
		for i, row := range rows {
			for j, other := range rows {
				for _, a := range row {
					for _, b := range other {
						got, err := scheme.Compare(a, b)
						if err != nil {
							t.Fatalf("scheme %d: %v", scheme, err)
						}
						if sign(got) != sign(i-j) {
							t.Errorf("scheme %d: Compare(%q, %q) = %d, want the sign of %d", scheme, a, b, got, i-j)
						}
					}
				}
			}
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestInvalid(t *testing.T) {
	for scheme, versions := range map[Scheme][]string{
		DPKG:      {"", "a:1", "1:", "1.0-", "1 0", "-1"},
		RPM:       {"", "x:1-1", "1:", "1 2"},
		APK:       {"", "a1", "1.0-1", "1.0_foo1", "1.0-r", "1..0", "v1.0", "1.0-r1-r2"},
		Semver:    {"", "latest", "v", "1.0.0-", "1.0.0 beta", "(devel)", "1..0"},
		PEP440:    {"", "2004b-foo", "1.0.x", "1.0+", "abc", "1.0a1b1"},
		Maven:     {"", "${revision}", "[1.0,2.0)"},
		RubyGems:  {"", "a", "1..0", "1.0.", "1.0 0"},
		Packagist: {"", "dev-master", "1.0-foo", "abc"},
		NuGet:     {"", "*", "x"},
		CRAN:      {"", "1.", "a", "1.0b"},
	} {
		for _, v := range versions {
			if err := scheme.Check(v); !errors.Is(err, ErrInvalid) {
				t.Errorf("scheme %d: Check(%q) = %v, want ErrInvalid", scheme, v, err)
			}
		}
	}
	if _, err := Parse("Gentoo", "1.0"); !errors.Is(err, ErrInvalid) {
		t.Errorf("an ecosystem without an order: got %v", err)
	}
}

func TestAffected(t *testing.T) {
	events := func(e ...advisory.RangeEvent) []advisory.Range { return []advisory.Range{{Events: e}} }
	in := func(v string) advisory.RangeEvent { return advisory.RangeEvent{Introduced: v} }
	fix := func(v string) advisory.RangeEvent { return advisory.RangeEvent{Fixed: v} }
	through := func(v string) advisory.RangeEvent { return advisory.RangeEvent{LastAffected: v} }
	limit := func(v string) advisory.RangeEvent { return advisory.RangeEvent{Limit: v} }
	for name, test := range map[string]struct {
		statement advisory.Affected
		yes, no   []string
	}{
		"every version": {advisory.Affected{}, []string{"0.0.1", "9"}, nil},
		"from the start": {advisory.Affected{Ranges: events(in("0"), fix("1.2.0"))},
			[]string{"0.0.0-0", "1.1.9", "1.2.0-rc.1"}, []string{"1.2.0", "1.2.1", "2.0.0"}},
		"last affected": {advisory.Affected{Ranges: events(in("1.0.0"), through("1.2.0"))},
			[]string{"1.0.0", "1.2.0"}, []string{"0.9.0", "1.0.0-rc.1", "1.2.1"}},
		"one version": {advisory.Affected{Ranges: events(in("1.2.0"), through("1.2.0"))}, []string{"1.2.0"}, []string{"1.1.0", "1.2.1"}},
		"branches out of order": {advisory.Affected{Ranges: events(in("1.17.0"), fix("1.17.3"), in("1.16.0"), fix("1.16.7"))},
			[]string{"1.16.0", "1.16.6", "1.17.2"}, []string{"1.15.0", "1.16.7", "1.17.3", "1.18.0"}},
		"fixed then broken again": {advisory.Affected{Ranges: events(in("0"), fix("1.0.0"), in("1.0.0"), fix("2.0.0"))}, []string{"0.1.0", "1.0.0"}, []string{"2.0.0"}},
		"empty":                   {advisory.Affected{Ranges: events(in("1.0.0"), fix("1.0.0"))}, nil, []string{"0.9.0", "1.0.0", "1.1.0"}},
		"never introduced":        {advisory.Affected{Ranges: events(fix("1.0.0"))}, nil, []string{"0.9.0", "1.0.0"}},
		"limit":                   {advisory.Affected{Ranges: events(in("1.0.0"), limit("2.0.0"))}, []string{"1.0.0", "1.9.0"}, []string{"0.1.0", "2.0.0", "3.0.0"}},
		"any limit":               {advisory.Affected{Ranges: events(in("1.0.0"), limit("2.0.0"), limit("3.0.0"))}, []string{"2.5.0"}, []string{"3.0.0"}},
		"no limit":                {advisory.Affected{Ranges: events(in("1.0.0"), limit("*"))}, []string{"1.0.0", "99.0.0"}, []string{"0.1.0"}},
		"enumerated":              {advisory.Affected{Versions: []string{"1.0.0", "junk version"}}, []string{"1.0.0", "v1.0.0"}, []string{"1.0.1"}},
		"enumerated beside a range": {advisory.Affected{Ranges: events(in("2.0.0")), Versions: []string{"1.0.0"}},
			[]string{"1.0.0", "2.0.0"}, []string{"1.5.0"}},
	} {
		for want, versions := range map[bool][]string{true: test.yes, false: test.no} {
			for _, text := range versions {
				v, err := Parse("npm", text)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := v.Affected(&test.statement); got != want || err != nil {
					t.Errorf("%s: %s affected = %v, %v; want %v", name, text, got, err, want)
				}
			}
		}
	}
}

func TestAffectedBadEvent(t *testing.T) {
	v, err := Parse("npm", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	statement := advisory.Affected{Ranges: []advisory.Range{{Events: []advisory.RangeEvent{{Introduced: "0"}, {Fixed: "soon"}}}}}
	if got, err := v.Affected(&statement); got || !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, %v; want an ErrInvalid", got, err)
	}
}

// text writes a set's ranges on one line.
func text(s Set) string {
	out := ""
	for _, r := range s.Ranges() {
		for _, e := range r.Events {
			switch {
			case e.Introduced != "":
				out += " " + e.Introduced
			case e.Fixed != "":
				out += "<" + e.Fixed
			case e.LastAffected != "":
				out += "<=" + e.LastAffected
			}
		}
	}
	return out
}

func TestParseNPM(t *testing.T) {
	for expression, want := range map[string]string{
		"":                     " 0",
		"*":                    " 0",
		"1.2.3":                " 1.2.3<=1.2.3",
		"=v1.2.3":              " 1.2.3<=1.2.3",
		"1.2":                  " 1.2.0<1.3.0-0",
		"18.x || 20.X":         " 18.0.0<19.0.0-0 20.0.0<21.0.0-0",
		"18.x||19.x":           " 18.0.0<19.0.0-0 19.0.0<20.0.0-0",
		"1.x.3":                " 1.0.0<2.0.0-0",
		"^1.2.3":               " 1.2.3<2.0.0-0",
		"^0.2.3":               " 0.2.3<0.3.0-0",
		"^0.0.3":               " 0.0.3<0.0.4-0",
		"^1.2.3-beta.2":        " 1.2.3-beta.2<2.0.0-0",
		"^0.0":                 " 0.0.0<0.1.0-0",
		"~1.2.3":               " 1.2.3<1.3.0-0",
		"~1":                   " 1.0.0<2.0.0-0",
		"~> 1.2":               " 1.2.0<1.3.0-0",
		">=1.2.0 <2.0.0":       " 1.2.0<2.0.0",
		">= 1.2.0, < 2.0.0":    " 1.2.0<2.0.0",
		">1.2.3":               " 1.2.4-0",
		">1.2.3-rc.1":          " 1.2.3-rc.1.0",
		">1.2":                 " 1.3.0-0",
		"<=1.2":                " 0<1.3.0-0",
		"<=1.2.3":              " 0<=1.2.3",
		"<1.2":                 " 0<1.2.0",
		"1.2 - 2.3.4":          " 1.2.0<=2.3.4",
		"1.2.3 - 2":            " 1.2.3<3.0.0-0",
		">=2 <1":               "",
		"<*":                   "",
		"!=1.5.0":              " 0<1.5.0 1.5.1-0",
		"<= 4.3.9 || >=5 <5.1": " 0<=4.3.9 5.0.0<5.1.0",
	} {
		got, err := ParseNPM(expression)
		if err != nil || text(got) != want {
			t.Errorf("ParseNPM(%q) = %q, %v; want %q", expression, text(got), err, want)
		}
	}
	for _, expression := range []string{"latest", "1.2.3.4.5", ">", "1.2.3-", "1..2", "x1", "^^1", "1 - ", "18446744073709551616"} {
		if got, err := ParseNPM(expression); err == nil {
			t.Errorf("ParseNPM(%q) = %q, want an error", expression, text(got))
		}
	}
}

func TestNodeCore(t *testing.T) {
	vulnerable, err := ParseNPM("18.x || 20.x || 21.x")
	if err != nil {
		t.Fatal(err)
	}
	patched, err := ParseNPM("^18.18.2 || ^20.8.1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(" 18.0.0<18.18.2 20.0.0<20.8.1 21.0.0<22.0.0-0", text(vulnerable.Minus(patched))); diff != "" {
		t.Error(diff)
	}
}

func TestParseRubyGems(t *testing.T) {
	for requirement, want := range map[string]string{
		"~> 1.2.3":            " 1.2.3<1.3.0.A",
		"~> 1.2":              " 1.2<2.0.0.A",
		"~> 1":                " 1<2.0.0.A",
		"~> 3.2.0-rc":         " 3.2.0-rc<3.3.0.A",
		"~> 2.2.0.preview.1":  " 2.2.0.preview.1<2.3.0.A",
		">= 1.2, < 2":         " 1.2<2",
		"> 1.2":               " 1.2.0.0.1",
		"<= 1.2":              " 0<=1.2",
		"= 1.2":               " 1.2<=1.2",
		"1.2":                 " 1.2<=1.2",
		"!= 1.2":              " 0<1.2 1.2.0.0.1",
		">= 5.0.0.beta1.1":    " 5.0.0.beta1.1",
		"~> 2.3.11, != 2.3.9": " 2.3.11<2.4.0.A",
	} {
		got, err := ParseRubyGems(requirement)
		if err != nil || text(got) != want {
			t.Errorf("ParseRubyGems(%q) = %q, %v; want %q", requirement, text(got), err, want)
		}
	}
	for _, requirement := range []string{"", "~>", "~> x", "^1.2", ">= 1  junk"} {
		if got, err := ParseRubyGems(requirement); err == nil {
			t.Errorf("ParseRubyGems(%q) = %q, want an error", requirement, text(got))
		}
	}
}

func TestRubyPatched(t *testing.T) {
	affected := All(RubyGems)
	for _, patched := range []string{"~> 4.2.11.1", "~> 5.0.7.2", ">= 5.2.2.1"} {
		s, err := ParseRubyGems(patched)
		if err != nil {
			t.Fatal(err)
		}
		affected = affected.Minus(s)
	}
	if diff := cmp.Diff(" 0<4.2.11.1 4.2.12.A<5.0.7.2 5.0.8.A<5.2.2.1", text(affected)); diff != "" {
		t.Error(diff)
	}
}

func TestParseComposer(t *testing.T) {
	for constraint, want := range map[string]string{
		">=3.0.0,<3.5.18":    " 3.0.0<3.5.18",
		">=3.0.0 <3.5.18":    " 3.0.0<3.5.18",
		">=1.0|>=2.0,<3":     " 1.0",
		"<1.0 || >=2.0,<2.5": " 0<1.0 2.0<2.5",
		"^1.2":               " 1.2.0<2.0.0-dev",
		"~1.2":               " 1.2.0<2.0.0-dev",
		"~1.2.3":             " 1.2.3<1.3.0-dev",
		"1.2.*":              " 1.2.0<1.3.0-dev",
		"*":                  " 0",
		">3.2":               " 3.2.0.0.1",
		"1.0 - 2.0":          " 1.0.0<2.1.0-dev",
		"<2.0.0-beta3":       " 0<2.0.0-beta3",
	} {
		got, err := ParseComposer(constraint)
		if err != nil || text(got) != want {
			t.Errorf("ParseComposer(%q) = %q, %v; want %q", constraint, text(got), err, want)
		}
	}
	for _, constraint := range []string{"", "|", "dev-master", ">= ", "=>foo"} {
		if got, err := ParseComposer(constraint); err == nil {
			t.Errorf("ParseComposer(%q) = %q, want an error", constraint, text(got))
		}
	}
}

func TestBetween(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"", "1.6.3", " 0<1.6.3"}, {"1.4.0", "1.6.3", " 1.4.0<1.6.3"}, {"1.4.0", "", " 1.4.0"}, {"", "", " 0"}, {"2", "1", ""},
	} {
		got, err := Between(Semver, test.from, test.to)
		if err != nil || text(got) != test.want {
			t.Errorf("Between(%q, %q) = %q, %v; want %q", test.from, test.to, text(got), err, test.want)
		}
	}
}
