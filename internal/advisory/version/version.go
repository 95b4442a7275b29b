// Package version orders versions the way each ecosystem does, decides whether
// a version lies in an advisory's ranges, and turns the range languages of
// advisory sources into those ranges.
//
// A Scheme is one ordering; SchemeOf maps an ecosystem to its scheme. Versions
// are compared as written: each comparer walks both strings at once, so nothing
// is parsed up front and nothing is allocated. A version a scheme does not
// understand is an error wrapping ErrInvalid, never a guess.
//
// Data flows: importer -> Set (ParseNPM, ParseRubyGems, ParseComposer,
// ParseComparators) -> Set.Ranges -> advisory.Affected; installed version ->
// Parse -> Version.Affected(advisory.Affected).
package version

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
)

// ErrInvalid is wrapped by every error about a version its scheme does not understand.
var ErrInvalid = errors.New("invalid version")

// maxLength bounds what is looked at as a version; the longest real ones are under 100 bytes.
const maxLength = 512

// Scheme is one way of ordering versions.
type Scheme uint8

// The schemes.
const (
	// DPKG is deb-version(7): Debian, Ubuntu.
	DPKG Scheme = iota + 1
	// RPM is rpm's rpmvercmp with epoch and release: Red Hat, SUSE, Amazon, Photon, Azure families.
	RPM
	// APK is apk-tools' package version order: Alpine, Wolfi, Chainguard.
	APK
	// Semver is semver.org 2.0.0, read leniently: a leading v, any number of
	// numeric parts (missing ones are 0), a pre-release glued to the number.
	Semver
	// Loose is Semver for software that is not released under it: one letter
	// glued to the last number is a later patch level (OpenSSL 1.1.1w), a number
	// after a hyphen a later build (nginx 1.25.1-3 of Bitnami).
	Loose
	// PEP440 is Python's.
	PEP440
	// Maven is the order of Maven's version order specification.
	Maven
	// RubyGems is Gem::Version's.
	RubyGems
	// NuGet is Semver with four numeric parts and case-insensitive pre-releases.
	NuGet
	// Packagist is Composer's.
	Packagist
	// CRAN is R's package_version: numbers separated by dots or hyphens.
	CRAN
)

// SchemeOf returns how versions of an ecosystem are ordered; the release after
// the colon does not matter ("Debian:12"). It is false for an ecosystem whose
// order is not known.
func SchemeOf(ecosystem string) (Scheme, bool) {
	name, _, _ := strings.Cut(ecosystem, ":")
	switch name {
	case "Debian", "Ubuntu":
		return DPKG, true
	case "Red Hat", "CentOS", "CentOS Stream", "Rocky Linux", "AlmaLinux", "Oracle Linux", "Amazon Linux",
		"Fedora", "SUSE", "openSUSE", "Photon OS", "Azure Linux", "openEuler", "Mageia":
		return RPM, true
	case "Alpine", "Wolfi", "Chainguard", "MinimOS", "Alpaquita", "BellSoft Hardened Containers":
		return APK, true
	case "npm", "Go", "crates.io", "Hex", "Pub", "SwiftURL", "Julia", "GitHub Actions", "Kubernetes", "Node.js":
		return Semver, true
	case "Bitnami", "ConanCenter", "CocoaPods", "generic":
		return Loose, true
	case "PyPI":
		return PEP440, true
	case "Maven":
		return Maven, true
	case "RubyGems":
		return RubyGems, true
	case "NuGet":
		return NuGet, true
	case "Packagist":
		return Packagist, true
	case "CRAN":
		return CRAN, true
	}
	return 0, false
}

// Check says whether v is a version of the scheme; the error wraps ErrInvalid.
func (s Scheme) Check(v string) error {
	if v == "" {
		return fmt.Errorf("%w: empty", ErrInvalid)
	}
	if len(v) > maxLength || !s.valid(v) {
		return fmt.Errorf("%w: %.40q", ErrInvalid, v)
	}
	return nil
}

func (s Scheme) valid(v string) bool {
	switch s {
	case DPKG:
		return validDpkg(v)
	case RPM:
		return validRPM(v)
	case APK:
		return validAPK(v)
	case Semver, NuGet, Loose:
		return validSemver(v)
	case PEP440:
		_, ok := parsePEP440(v)
		return ok
	case Maven:
		return validMaven(v)
	case RubyGems:
		return validGem(v)
	case Packagist:
		return validComposer(v)
	case CRAN:
		return validCRAN(v)
	}
	return false
}

// Compare orders two versions: negative when a is before b, 0 when they are the
// same version, positive when a is after b.
func (s Scheme) Compare(a, b string) (int, error) {
	if err := s.Check(a); err != nil {
		return 0, err
	}
	if err := s.Check(b); err != nil {
		return 0, err
	}
	return s.compare(a, b), nil
}

// compare orders two versions that passed Check.
func (s Scheme) compare(a, b string) int {
	if a == b {
		return 0
	}
	switch s {
	case DPKG:
		return compareEpoch(a, b, compareDpkgPart)
	case RPM:
		return compareEpoch(a, b, compareRPMPart)
	case APK:
		return compareAPK(a, b)
	case PEP440:
		return comparePEP440(a, b)
	case Maven:
		return compareMaven(a, b)
	case RubyGems:
		return compareGem(a, b)
	case Packagist:
		return compareComposer(a, b)
	case CRAN:
		return compareCRAN(a, b)
	default:
		return compareSemver(a, b, s)
	}
}

// Version is a version known to be valid in its scheme: what is installed.
type Version struct {
	scheme Scheme
	text   string
}

// Parse checks a version of an ecosystem. The error wraps ErrInvalid.
func Parse(ecosystem, v string) (Version, error) {
	s, ok := SchemeOf(ecosystem)
	if !ok {
		return Version{}, fmt.Errorf("%w: the version order of %q is not known", ErrInvalid, ecosystem)
	}
	return s.Parse(v)
}

// Parse checks a version of the scheme.
func (s Scheme) Parse(v string) (Version, error) {
	v = strings.TrimSpace(v)
	if err := s.Check(v); err != nil {
		return Version{}, err
	}
	return Version{s, v}, nil
}

// Compare orders v against another version of the same scheme.
func (v Version) Compare(other string) (int, error) {
	if err := v.scheme.Check(other); err != nil {
		return 0, err
	}
	return v.scheme.compare(v.text, other), nil
}

// Affected says whether a statement's ranges or enumerated versions name v. A
// statement with neither is about every version. Unaffected is not looked at:
// it says what being named means.
func (v Version) Affected(a *advisory.Affected) (bool, error) {
	if len(a.Ranges) == 0 && len(a.Versions) == 0 {
		return true, nil
	}
	var bad error // a range that cannot be evaluated matters only when nothing else names v
	for i := range a.Ranges {
		in, err := v.In(&a.Ranges[i])
		if in {
			return true, nil
		}
		if err != nil {
			bad = err
		}
	}
	for _, listed := range a.Versions {
		if listed == v.text {
			return true, nil
		}
		// A listed version that is no version of the scheme equals nothing but itself.
		if len(listed) <= maxLength && listed != "" && v.scheme.valid(listed) && v.scheme.compare(v.text, listed) == 0 {
			return true, nil
		}
	}
	return false, bad
}

// In evaluates a range by the algorithm of the OSV schema (section
// "evaluation"): in version order, the last event at or below v decides; of
// events at the same version the one listed last. With limits, v must be below
// one of them. The events need not be sorted.
func (v Version) In(r *advisory.Range) (bool, error) {
	var (
		last       string // the deciding event's version, "" before the first
		lastAfter  bool   // it takes effect just after that version (last_affected)
		affected   bool
		limited    bool
		belowLimit bool
	)
	for i := range r.Events {
		e := &r.Events[i]
		if e.Introduced == "0" {
			if last == "" {
				affected = true
			}
			continue
		}
		at, after := e.Introduced+e.Fixed+e.LastAffected+e.Limit, e.LastAffected != ""
		if e.Limit == "*" {
			limited, belowLimit = true, true
			continue
		}
		c, err := v.Compare(at)
		if err != nil {
			return false, fmt.Errorf("range event: %w", err)
		}
		if e.Limit != "" {
			limited, belowLimit = true, belowLimit || c < 0
			continue
		}
		if c < 0 || after && c == 0 {
			continue
		}
		if last != "" {
			if o := v.scheme.compare(at, last); o < 0 || o == 0 && lastAfter && !after {
				continue
			}
		}
		last, lastAfter, affected = at, after, e.Introduced != ""
	}
	return affected && (!limited || belowLimit), nil
}

// Fixes returns the fixed versions of a statement that come after v, oldest
// first. The marks that end a range before a release's pre-releases ("2.0.0-0")
// are written as the release.
func (v Version) Fixes(a *advisory.Affected) []string {
	var list []string
	for _, r := range a.Ranges {
		for _, e := range r.Events {
			if e.Fixed == "" {
				continue
			}
			fixed := v.scheme.withoutMark(e.Fixed)
			if c, err := v.Compare(fixed); err == nil && c < 0 && !slices.Contains(list, fixed) {
				list = append(list, fixed)
			}
		}
	}
	slices.SortFunc(list, v.scheme.compare)
	return list
}

// withoutMark strips what below and gemComparator put after a release.
func (s Scheme) withoutMark(v string) string {
	switch s {
	case Semver:
		return strings.TrimSuffix(v, "-0")
	case Packagist:
		return strings.TrimSuffix(v, "-dev")
	case RubyGems:
		return strings.TrimSuffix(v, ".A")
	}
	return v
}
