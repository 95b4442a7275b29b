package version

import (
	"errors"
	"testing"

	"github.com/seawall-security/seawall/internal/advisory"
)

var schemes = []Scheme{DPKG, RPM, APK, Semver, Loose, PEP440, Maven, RubyGems, NuGet, Packagist, CRAN}

// FuzzCompare: every order is total on what it accepts. Antisymmetric, reflexive,
// transitive; refused versions are ErrInvalid.
func FuzzCompare(f *testing.F) {
	for _, rows := range ordered {
		for i := 0; i+2 < len(rows); i++ {
			f.Add(rows[i][0], rows[i+1][0], rows[i+2][0])
		}
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, s := range schemes {
			ab, err := s.Compare(a, b)
			if err != nil {
				if !errors.Is(err, ErrInvalid) || ab != 0 {
					t.Fatalf("%d: %v", s, err)
				}
				continue
			}
			if ba, _ := s.Compare(b, a); sign(ab) != -sign(ba) {
				t.Errorf("scheme %d: %q %q: %d and %d", s, a, b, ab, ba)
			}
			if aa := s.compare(a, a+""); aa != 0 {
				t.Errorf("scheme %d: %q is not itself: %d", s, a, aa)
			}
			if s.Check(c) != nil {
				continue
			}
			bc, ac := s.compare(b, c), s.compare(a, c)
			if ab <= 0 && bc <= 0 && ac > 0 || ab >= 0 && bc >= 0 && ac < 0 || ab == 0 && bc == 0 && ac != 0 {
				t.Errorf("scheme %d: %q %q %q: %d %d %d", s, a, b, c, ab, bc, ac)
			}
		}
	})
}

// FuzzRanges: whatever an expression means, a version is in its set exactly
// when it is in the OSV ranges written for the set.
func FuzzRanges(f *testing.F) {
	for _, seed := range []string{"^1.2 || ~2", "18.x || 20.x", ">=1.0 <2.0", "~> 1.2.3", ">= 1, < 2", "1.2 - 2.3", "!=1.5.0", "<1.0||>=2.0,<2.5", ">3.2"} {
		f.Add(seed, "1.5.0")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		for scheme, parse := range map[Scheme]func(string) (Set, error){
			Semver: ParseNPM, RubyGems: ParseRubyGems, Packagist: ParseComposer,
			Loose: func(s string) (Set, error) { return ParseComparators(Loose, s) },
		} {
			set, err := parse(expression)
			if err != nil {
				if set.spans != nil {
					t.Errorf("an error and a set: %v", err)
				}
				continue
			}
			ranges := set.Ranges()
			v, err := scheme.Parse(text)
			if err != nil || len(ranges) == 0 {
				continue
			}
			got, err := v.Affected(&advisory.Affected{Ranges: ranges})
			if err != nil {
				t.Fatalf("%q gives ranges that cannot be read: %v", expression, err)
			}
			// The start after a version is approximated for all but Semver.
			if want := contains(set, v); got != want && (scheme == Semver || !got) && !afterStart(set) {
				t.Errorf("scheme %d: %q, %q: ranges say %v, set says %v (%v)", scheme, expression, text, got, want, ranges)
			}
			if not := set.Not(); contains(not, v) == contains(set, v) {
				t.Errorf("scheme %d: %q is in %q and in its complement, or in neither", scheme, text, expression)
			}
		}
	})
}

// contains looks a version up among the spans themselves.
func contains(s Set, v Version) bool {
	at := cut{version: v.text}
	for _, p := range s.spans {
		if s.compareCuts(p.from, at) <= 0 && s.compareCuts(at, p.to) < 0 {
			return true
		}
	}
	return false
}

func afterStart(s Set) bool {
	for _, p := range s.spans {
		if p.from.after {
			return true
		}
	}
	return false
}
