// Package debian imports what the Debian security tracker publishes
// (https://security-tracker.debian.org/): the JSON of every package's
// vulnerabilities, and the lists of security advisories (DSA, DLA).
//
// Data flows: the tracker has already resolved each release, so a package's CVE
// becomes one advisory with a statement per release: fixed in, still open (with
// the reason no advisory will come), not affected, undetermined. The lists give
// one advisory per announcement, with the release and version of each fix.
package debian

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/seawall"
)

// TrackerImporter reads the tracker's JSON, a package at a time.
type TrackerImporter struct{}

const (
	maxTracker  = 1 << 30
	maxPackages = 1_000_000
)

type vulnerability struct {
	Description document.Word      `json:"description"`
	Releases    map[string]release `json:"releases"`
}

type release struct {
	Status  string        `json:"status"`
	Fixed   document.Word `json:"fixed_version"`
	Urgency document.Word `json:"urgency"`
	// NoDSA is the remark why no advisory is planned; NoDSAReason narrows it to "ignored" or "postponed".
	NoDSA       document.Word `json:"nodsa"`
	NoDSAReason document.Word `json:"nodsa_reason"`
}

// Name implements advisory.Importer.
func (TrackerImporter) Name() string { return "debian-tracker" }

// Recognizes implements advisory.Importer: package -> CVE -> scope, releases.
func (TrackerImporter) Recognizes(_ string, head []byte) bool {
	if !document.IsJSON(head) {
		return false
	}
	inner, ok := document.Inside(head)
	if !ok {
		return false
	}
	for key := range document.Keys(inner) {
		if !strings.HasPrefix(key, "CVE-") && !strings.HasPrefix(key, "TEMP-") {
			return false
		}
		body, ok := document.Inside(inner)
		return ok && document.Has(body, "releases")
	}
	return false
}

// Import implements advisory.Importer.
func (TrackerImporter) Import(ctx context.Context, _ string, r io.Reader, emit func(advisory.Record) error) error {
	d := json.NewDecoder(io.LimitReader(r, maxTracker))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("not a JSON object: %w", seawall.ErrCorrupt)
	}
	for n := 0; d.More(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n == maxPackages || d.InputOffset() >= maxTracker {
			return fmt.Errorf("after %d packages: %w", n, seawall.ErrBound)
		}
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("offset %d: %w: %w", d.InputOffset(), seawall.ErrCorrupt, err)
		}
		name, _ := t.(string)
		var cves map[string]vulnerability
		if err := d.Decode(&cves); err != nil {
			return fmt.Errorf("package %s: %w: %w", name, seawall.ErrCorrupt, err)
		}
		if err := emitPackage(name, cves, emit); err != nil {
			return fmt.Errorf("package %s: %w", name, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("offset %d: %w: %w", d.InputOffset(), seawall.ErrCorrupt, err)
	}
	return emit(advisory.Record{Source: &seawall.DatabaseSource{Name: "debian"}})
}

func emitPackage(name string, cves map[string]vulnerability, emit func(advisory.Record) error) error {
	for _, id := range slices.Sorted(maps.Keys(cves)) {
		if id == "" || name == "" {
			return fmt.Errorf("an empty name: %w", seawall.ErrCorrupt)
		}
		v := cves[id]
		a := &advisory.Advisory{ID: id, Source: "debian", Summary: string(v.Description)}
		for _, codename := range slices.Sorted(maps.Keys(v.Releases)) {
			ecosystem := Ecosystem(codename)
			if ecosystem == "" {
				if err := emit(advisory.Record{Skipped: "debian release not known here"}); err != nil {
					return err
				}
				continue
			}
			r := v.Releases[codename]
			s, err := r.statement()
			if err != nil {
				return fmt.Errorf("%s: %s: %w", id, codename, err)
			}
			s.Ecosystem, s.Name = ecosystem, name
			a.Affected = append(a.Affected, s)
		}
		if len(a.Affected) == 0 {
			continue
		}
		if err := emit(advisory.Record{Advisory: a}); err != nil {
			return err
		}
	}
	return nil
}

// statement is what the tracker says of one release. "resolved" in version 0 means never affected.
func (r *release) statement() (advisory.Affected, error) {
	var a advisory.Affected
	switch r.Status {
	case "resolved":
		if r.Fixed == "" {
			return a, fmt.Errorf("resolved without fixed_version: %w", seawall.ErrCorrupt)
		}
		if r.Fixed == "0" {
			a.Unaffected = true
			return a, nil
		}
		a.State = seawall.StateFixed
		a.Ranges = []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, string(r.Fixed))}
	case "open", "undetermined":
		a.State = r.openState()
		a.Ranges = []advisory.Range{advisory.FixedIn(advisory.RangeEcosystem, "")}
	default:
		return a, fmt.Errorf("status %q: %w", r.Status, seawall.ErrCorrupt)
	}
	// "not yet assigned" and "end-of-life" are no severity.
	a.Severity, _ = seawall.ParseSeverity(strings.TrimRight(string(r.Urgency), "*"))
	return a, nil
}

// openState: a vulnerability judged minor waits for a point release (no-dsa,
// postponed) or is left as it is (ignored).
func (r *release) openState() seawall.VulnerabilityState {
	switch {
	case r.Status == "undetermined":
		return seawall.StateUnderInvestigation
	case r.Urgency == "end-of-life":
		return seawall.StateEndOfLife
	case r.NoDSAReason == "ignored":
		return seawall.StateWillNotFix
	case r.NoDSA != "" || r.NoDSAReason != "":
		return seawall.StateDeferred
	}
	return seawall.StateAffected
}

// Ecosystem names a release by its codename; "" when it is not known.
func Ecosystem(codename string) string {
	switch codename {
	case "sid":
		return "Debian:sid"
	case "sarge":
		return "Debian:3.1"
	case "woody":
		return "Debian:3.0"
	case "potato":
		return "Debian:2.2"
	}
	for i, name := range [...]string{
		"etch", "lenny", "squeeze", "wheezy", "jessie", "stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "duke",
	} {
		if name == codename {
			return fmt.Sprintf("Debian:%d", 4+i)
		}
	}
	return ""
}
