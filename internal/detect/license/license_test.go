package license

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/detect"
	"github.com/seawall-security/seawall/internal/seawall"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		expression string
		class      Class
	}{
		"MIT": {"MIT", Permissive}, "mit license": {"MIT", Permissive}, "The MIT License": {"MIT", Permissive}, "Expat": {"MIT", Permissive},
		"License :: OSI Approved :: Apache Software License": {"Apache-2.0", Permissive}, "Apache License, Version 2.0": {"Apache-2.0", Permissive},
		"Apache License 2.0": {"Apache-2.0", Permissive}, "ASL 2.0": {"Apache-2.0", Permissive}, "BSD": {"BSD-3-Clause", Permissive}, "The 3-Clause BSD License": {"BSD-3-Clause", Permissive},
		"GPL-2": {"GPL-2.0-only", StrongCopyleft}, "GPL-2+": {"GPL-2.0-or-later", StrongCopyleft}, "GPLv2+": {"GPL-2.0-or-later", StrongCopyleft}, "GPL-3.0+": {"GPL-3.0-or-later", StrongCopyleft},
		"GPL-2.0": {"GPL-2.0-only", StrongCopyleft}, "GNU General Public License v3 or later (GPLv3+)": {"GPL-3.0-or-later", StrongCopyleft}, "LGPLv2.1": {"LGPL-2.1-only", WeakCopyleft},
		"GNU Lesser General Public License v2.1": {"LGPL-2.1-only", WeakCopyleft}, "AGPLv3+": {"AGPL-3.0-or-later", NetworkCopyleft},
		"GPL-2.0-only WITH Classpath-exception-2.0": {"GPL-2.0-only WITH Classpath-exception-2.0", StrongCopyleft},
		"MIT OR Apache-2.0":                         {"MIT OR Apache-2.0", Permissive}, "GPL-2.0-only OR MIT": {"GPL-2.0-only OR MIT", Permissive},
		"GPLv2+ and MIT": {"GPL-2.0-or-later AND MIT", StrongCopyleft}, "Artistic or GPL-1+": {"Artistic-1.0 OR GPL-1.0-or-later", Permissive},
		"(MIT AND BSD-3-Clause) OR GPL-3.0-only": {"(MIT AND BSD-3-Clause) OR GPL-3.0-only", Permissive},
		"(MIT OR X11) AND MPL-2.0":               {"(MIT OR X11) AND MPL-2.0", WeakCopyleft},
		"perl":                                   {"Artistic-1.0-Perl OR GPL-1.0-or-later", Permissive}, "public domain": {"LicenseRef-public-domain", Permissive},
		"UNLICENSED": {"LicenseRef-proprietary", Proprietary}, "BUSL-1.1": {"BUSL-1.1", Proprietary}, "MIT or weird-thing": {"MIT OR weird-thing", Permissive},
		"SEE LICENSE IN x": {"SEE LICENSE IN x", Unknown}, "MIT AND": {"MIT AND", Unknown}, "((MIT)": {"((MIT)", Unknown}, "MIT, and ISC": {"MIT AND ISC", Permissive},
	} {
		e := Parse(text)
		if e.String() != want.expression || e.Obligations() != want.class {
			t.Errorf("Parse(%q) = %s (%s), want %s (%s)", text, e, e.Obligations(), want.expression, want.class)
		}
	}
}

func TestNamesMeanKnownLicenses(t *testing.T) {
	for name, meant := range names() {
		if nameKey(name) != name {
			t.Errorf("name %q is never looked up", name)
		}
		for _, id := range strings.Split(meant, " OR ") {
			if _, ok := known()[strings.ToLower(id)]; !ok {
				t.Errorf("%q means %s, which is in no list", name, id)
			}
		}
	}
}

func TestDetect(t *testing.T) {
	packages := []seawall.Package{
		{Name: "mit", Licenses: []string{"MIT"}}, {Name: "gpl", Licenses: []string{"GPLv3+"}}, {Name: "either", Licenses: []string{"GPL-3.0-only OR MIT"}},
		{Name: "both", Licenses: []string{"MIT", "GPL-3"}}, {Name: "agpl", Licenses: []string{"AGPL-3.0-only"}}, {Name: "odd", Licenses: []string{"my own"}}, {Name: "none"},
		{Name: "class", Licenses: []string{"GPL-2.0-only WITH Classpath-exception-2.0"}}, {Name: "font", Licenses: []string{"GPL-2.0-only WITH Font-exception-2.0"}},
	}
	for _, c := range []struct {
		allow, deny []string
		want        map[string]string
	}{
		{nil, nil, map[string]string{}},
		{nil, []string{"GPL-3.0"}, map[string]string{"gpl": RuleDenied, "both": RuleDenied}},
		{nil, []string{"GPL-*", "network-copyleft"}, map[string]string{"gpl": RuleDenied, "both": RuleDenied, "agpl": RuleDenied, "class": RuleDenied, "font": RuleDenied}},
		{nil, []string{"strong-copyleft with classpath-*"}, map[string]string{"class": RuleDenied}},
		{[]string{"MIT", "GPL-3.0", "AGPL-3.0", "unknown", "GPL-2.0 WITH Classpath-exception-2.0"}, nil, map[string]string{"font": RuleNotAllowed}},
		{[]string{"permissive"}, nil, map[string]string{"gpl": RuleNotAllowed, "both": RuleNotAllowed, "agpl": RuleNotAllowed, "odd": RuleUnknown, "none": RuleUnknown, "class": RuleNotAllowed, "font": RuleNotAllowed}},
		{[]string{"mit", "strong-copyleft", "unknown"}, []string{"GPL-3.0-or-later"}, map[string]string{"gpl": RuleDenied, "agpl": RuleNotAllowed}},
	} {
		d, err := New(c.allow, c.deny)
		if err != nil {
			t.Fatal(err)
		}
		res, err := d.Detect(t.Context(), detect.Facts{Packages: packages})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, f := range res.Findings {
			got[f.Package.Name] = f.Rule
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("allow %v deny %v (-want +got):\n%s", c.allow, c.deny, diff)
		}
	}
	for _, entry := range []string{"GPL3", "", "[", "MITT", "GPL-2.0 WITH", "GPL-2.0 WITH [", "GPL-2.0 WITH a b", "MITT WITH a", "MIT OR ISC"} {
		if _, err := New(nil, []string{entry}); !errors.Is(err, seawall.ErrUsage) {
			t.Errorf("New(deny %q) = %v", entry, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"MIT OR (GPL-2+ AND x) WITH y", "a, b; c | d", "((((", "GPLv2+ and/or MIT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := Parse(s)
		if e.Class == Unknown || e.ID == "" {
			return // what is not known stays as it was written
		}
		if again := Parse(e.String()); again.String() != e.String() || again.Obligations() != e.Obligations() {
			t.Errorf("Parse(%q) = %s, which reads as %s", s, e, again)
		}
	})
}
