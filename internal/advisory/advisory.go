// Package advisory is vulnerability knowledge: the model all sources are turned
// into, one immutable database file, and looking things up in it.
//
// Data flows: raw sources (OSV, Debian tracker, secdb, CSAF VEX, …) -> importers
// (one child package each, listed by advisory/all) -> Advisory values ->
// advisory/db writes one file -> detect/vuln asks it by ecosystem and name.
// The model follows the OSV schema 1.7 (https://ossf.github.io/osv-schema/),
// which every other source maps onto; what OSV lacks (vendor states, module
// streams, fix dates) is added as a field.
package advisory

import (
	"context"
	"io"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Kind tells vulnerabilities from malicious packages.
type Kind uint8

// The kinds of advisory.
const (
	KindVulnerability Kind = iota
	// KindMalware is a MAL-* entry: the package itself is hostile.
	KindMalware
	// KindNotice is informational (RustSec unmaintained, unsound notices).
	KindNotice
)

// Advisory is one entry of one source.
type Advisory struct {
	ID   string
	Kind Kind
	// Notice says what a KindNotice is about: RustSec's "unmaintained", "unsound" or "notice"; "update" for a bug fix erratum.
	Notice string
	// Source is the database it came from: "go", "pypi", "almalinux", "debian", "ghsa", …
	Source string
	// Aliases name the same vulnerability; Related name others (an erratum's CVEs
	// are Upstream: the erratum fixes them all).
	Aliases  []string
	Upstream []string
	Related  []string
	// Summary is kept only where the source's licence lets users' own databases keep it; the starter has none.
	Summary string
	// Times are RFC 3339, "" when unknown. A withdrawn advisory never matches.
	Published, Modified, Withdrawn string
	// Severity is the source's own word; SeverityUnknown when it gives none.
	Severity   seawall.Severity
	CVSS       []seawall.CVSS
	CWEs       []string
	References []string
	Affected   []Affected
}

// Affected is one package an advisory is about.
type Affected struct {
	// Ecosystem with release ("Debian:12", "npm"), Name in the ecosystem's canonical spelling (see Canonical).
	Ecosystem string
	Name      string
	// Ranges and Versions: a version is affected when any range contains it or it is
	// enumerated. Neither means every version.
	Ranges   []Range
	Versions []string
	// Unaffected is true for a "not affected" statement: it wins over other
	// sources of the same vendor and must not become a finding. Ranges, Versions and
	// State are empty: it is said of every version.
	Unaffected bool
	State      seawall.VulnerabilityState
	// Severity is the vendor's for this package (Debian urgency), SeverityUnknown when none.
	Severity seawall.Severity
	CVSS     []seawall.CVSS
	// FixedAt is when the fix came out, RFC 3339 or "".
	FixedAt string
	// Module is the RPM module "name:stream" the statement holds for; "" is any.
	Module string
	Arches []string
	// Symbols are "import/path" or "import/path#Symbol" (Go).
	Symbols []string
}

// RangeType says how a range's versions are ordered.
type RangeType uint8

// The range types. Git ranges are not kept: an installed version is never a commit.
const (
	RangeEcosystem RangeType = iota
	RangeSemver
)

// Range is a sorted list of events as in the OSV schema.
type Range struct {
	Type   RangeType
	Events []RangeEvent
}

// RangeEvent has exactly one field set. Introduced "0" is before every version.
type RangeEvent struct {
	Introduced   string `json:"introduced,omitempty"`
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"last_affected,omitempty"`
	Limit        string `json:"limit,omitempty"`
}

// Exploitation is what is known of a CVE's use by attackers.
type Exploitation struct {
	KEV bool
	// KEVAdded is the day CISA listed it (YYYY-MM-DD); Ransomware its "known" mark.
	KEVAdded   string
	Ransomware bool
	EPSS       *seawall.EPSS
	// Score is the base score some other advisory of the database gives the CVE,
	// without its vector: for advisories that give none. Importers leave it nil.
	Score *seawall.CVSS
}

// Record is one thing an importer read; exactly one field is set.
type Record struct {
	Advisory *Advisory
	// CVE and Exploitation go together (KEV, EPSS).
	CVE          string
	Exploitation *Exploitation
	// Source describes the database just read (name, updated, licence); at most once per input.
	Source *seawall.DatabaseSource
	// Alias says two identifiers name one vulnerability (from feeds that only carry that).
	Alias [2]string
	// Skipped names a part of an entry that was read but not kept, in one stable
	// phrase ("git range", "product other than RHEL"): the build counts them.
	Skipped string
}

// Importer reads one native format.
type Importer interface {
	// Name is the format: "osv", "debian-tracker", "alpine-secdb", "redhat-csaf", "kev", "epss".
	Name() string
	// Recognizes judges by content: path is a hint only, head the first 64 KiB at most.
	Recognizes(path string, head []byte) bool
	// Import reads one file and emits its records in order. It streams where the
	// format is large, is bounded, and reports damage as an error naming the place;
	// records emitted before stay.
	Import(ctx context.Context, path string, r io.Reader, emit func(Record) error) error
}

// Ref leads from a statement to its advisory inside one open database.
type Ref struct{ Section, Index uint32 }

// Match is one statement on a package, as a lookup returns it.
type Match struct {
	Affected *Affected
	// Advisory is read with Lookup.Advisory only once the statement turned out to matter.
	Advisory Ref
}

// Lookup is what detectors need of a database. Implementations are safe for
// concurrent use. The values returned are shared: callers must not change them.
type Lookup interface {
	// Info describes the database.
	Info() seawall.DatabaseInfo
	// Sources names the sources with advisories for the ecosystem with its release
	// ("Debian:12"; "npm"), sorted; none means its packages cannot be judged.
	Sources(ecosystem string) []string
	// Find returns every statement on a package, those of withdrawn advisories left
	// out. The name need not be canonical.
	Find(ecosystem, name string) ([]Match, error)
	// Advisory returns what a Match refers to, without its Affected.
	Advisory(ref Ref) (*Advisory, error)
	// Exploitation returns what is known of a CVE; the zero value when nothing is.
	Exploitation(cve string) Exploitation
}
