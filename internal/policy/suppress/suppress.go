// Package suppress decides which findings are accepted or do not apply, by the
// word of ignore files and VEX documents.
//
// Load reads files of any supported kind, told apart by content: Seawall's own
// ignore list (YAML), .trivyignore lists (plain and YAML), and VEX as OpenVEX,
// CSAF 2.0 or CycloneDX JSON. Apply then judges one finding at a time: a match
// sets StatusSuppressed with the reason, never removes the finding. After the
// run Warnings tells which entries had expired and which matched nothing, so
// that exceptions do not outlive their cause unseen.
//
// The ignore list is strict YAML; every selector given must match, an unknown
// field is an error, a reason is required:
//
//	ignore:
//	- id: CVE-2023-45853              # or ids: [...]; aliases match too
//	  package: zlib                   # or packages; also the source package
//	  purl: pkg:deb/debian/zlib1g     # or purls; what it does not name matches anything
//	  path: usr/share/**              # or paths; every place of the finding must match
//	  asset: registry.example.com/**  # or assets; image reference, directory or id
//	  expires: 2027-03-01             # the last day it holds, UTC
//	  reason: minizip is not built
//	  owner: platform-team
//
// Matching never guesses: what a statement names must be in the finding; a
// product that cannot be identified matches nothing.
package suppress

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// MaxSize bounds one file; large vendor VEX documents are a few MiB.
const MaxSize = 64 << 20

// Set is everything loaded. Apply may be called concurrently.
type Set struct {
	entries   []*entry
	documents []*document
}

// Load reads the files in order. now is the moment expiry is judged by. Errors
// name the file and, where there is one, the line; they wrap seawall.ErrUsage,
// because these files are part of the request.
func Load(now time.Time, paths ...string) (*Set, error) {
	s := &Set{}
	for _, p := range paths {
		data, err := read(p)
		if err == nil {
			err = s.parse(filepath.Base(p), data, now)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", p, err, seawall.ErrUsage)
		}
	}
	return s, nil
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	var place *fs.PathError
	if errors.As(err, &place) {
		return nil, place.Err // the caller names the file
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("larger than %d MiB: %w", MaxSize>>20, seawall.ErrBound)
	}
	return os.ReadFile(path)
}

// parse adds one file to the set. JSON is VEX, everything else an ignore list.
func (s *Set) parse(name string, data []byte, now time.Time) error {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		d, err := parseVEX(name, data)
		if err != nil {
			return err
		}
		s.documents = append(s.documents, d)
		return nil
	}
	entries, err := parseIgnore(name, data, now)
	if err != nil {
		return err
	}
	s.entries = append(s.entries, entries...)
	return nil
}

// Apply suppresses a finding of asset that an unexpired entry or the newest
// matching VEX statement says does not count, and notes in Reason what else is
// said of it. Findings that do not fail are left alone.
func (s *Set) Apply(asset *seawall.Asset, f *seawall.Finding) {
	if f.Status != seawall.StatusFail {
		return
	}
	for _, e := range s.entries {
		if !e.matches(asset, f) {
			continue
		}
		e.used.Store(true)
		if e.expired {
			f.Reason = e.expiredReason()
			continue
		}
		f.Status, f.Reason = seawall.StatusSuppressed, e.reasonText()
		return
	}
	if st := s.newest(asset, f); st != nil {
		st.apply(f)
	}
}

// newest finds the matching statement with the latest time; of equal times the one loaded last.
func (s *Set) newest(asset *seawall.Asset, f *seawall.Finding) *statement {
	var best *statement
	names := namesOf(f)
	for _, d := range s.documents {
		for _, name := range names {
			for _, st := range d.byID[name] {
				if st.matches(asset, f) {
					d.used.Store(true)
					if best == nil || !st.time.Before(best.time) {
						best = st
					}
				}
			}
		}
	}
	return best
}

// Warnings lists, in file order, entries that have expired and entries and
// documents that matched no finding of the run, and product identifiers that
// cannot be read.
func (s *Set) Warnings() []string {
	var out []string
	for _, e := range s.entries {
		switch {
		case e.expired:
			out = append(out, fmt.Sprintf("%s: %s expired on %s and no longer suppresses", e.place(), e.subject(), e.expires))
		case !e.used.Load():
			out = append(out, fmt.Sprintf("%s: %s matches no finding", e.place(), e.subject()))
		}
	}
	for _, d := range s.documents {
		for _, id := range d.unusable {
			out = append(out, fmt.Sprintf("%s: matches nothing by %s", d.name, id))
		}
		if !d.used.Load() {
			out = append(out, fmt.Sprintf("%s: no statement of this VEX document matches a finding", d.name))
		}
	}
	return out
}
