// Package inuse says of a vulnerable package whether something of it was loaded
// while containers of its image ran.
//
//	seawall-agent's recordings -> Load -> Observed -> Mark(asset, files, findings): Finding.InUse
//
// An agent records by image the files that were executed, mapped or opened as
// code. A package is in use when one of its files is among them. It is not in use
// only where that can be known: its image was observed, the recording was not cut,
// the recorder sees files of that kind, and which files are the package's is known.
// Everything else stays unknown.
package inuse

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxRecording bounds one recording, in bytes.
const maxRecording = 256 << 20

// Observed is what recordings come to. It is safe for concurrent use.
type Observed struct {
	images map[string]*observation
}

// observation is what was seen of one image in all recordings.
type observation struct {
	files        map[string]bool
	sorted       []string
	covers       map[string]bool
	truncated    bool
	since, until time.Time
	nodes        int
}

// Load reads recordings, of several nodes or times.
func Load(names []string) (*Observed, error) {
	o := &Observed{images: map[string]*observation{}}
	for _, name := range names {
		if err := o.load(name); err != nil {
			return nil, err
		}
	}
	for _, seen := range o.images {
		if seen.sorted == nil {
			seen.sorted = make([]string, 0, len(seen.files))
			for f := range seen.files {
				seen.sorted = append(seen.sorted, f)
			}
			slices.Sort(seen.sorted)
		}
	}
	return o, nil
}

func (o *Observed) load(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("%w: %w", err, seawall.ErrUsage)
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		return seawall.WithHint(fmt.Errorf("%s: %w: %w", name, err, seawall.ErrUsage), "recordings are written by seawall-agent run --in-use FILE")
	}
	for i := range r.Images {
		o.add(r, &r.Images[i])
	}
	return nil
}

// Read reads one recording.
func Read(from io.Reader) (*seawall.InUse, error) {
	limited := &io.LimitedReader{R: from, N: maxRecording + 1}
	var r seawall.InUse
	d := json.NewDecoder(limited)
	err := d.Decode(&r)
	switch {
	case limited.N == 0:
		return nil, fmt.Errorf("a recording of more than %d MiB: %w", maxRecording>>20, seawall.ErrBound)
	case err != nil:
		return nil, fmt.Errorf("no recording of what is in use: %w", err)
	case r.SchemaVersion != seawall.InUseVersion:
		return nil, fmt.Errorf("no recording of what is in use: schemaVersion is %q, want %q", r.SchemaVersion, seawall.InUseVersion)
	}
	for i := range r.Images {
		if r.Images[i].Digest == "" && len(r.Images[i].Digests) == 0 {
			return nil, fmt.Errorf("images[%d] has no digest", i)
		}
	}
	return &r, nil
}

// add merges one image of a recording. An image is one observation under all its digests.
func (o *Observed) add(r *seawall.InUse, image *seawall.InUseImage) {
	digests := slices.DeleteFunc(append([]string{image.Digest}, image.Digests...), func(d string) bool { return d == "" })
	var seen *observation
	for _, d := range digests {
		if seen = o.images[d]; seen != nil {
			break
		}
	}
	since := r.Since
	if image.Since.After(since) {
		since = image.Since
	}
	covers, kinds := map[string]bool{}, r.Covers
	if image.Covers != nil {
		kinds = image.Covers
	}
	for _, kind := range kinds {
		covers[kind] = true
	}
	if seen == nil {
		seen = &observation{files: map[string]bool{}, covers: covers, since: since, until: r.Until}
	}
	for _, d := range digests {
		o.images[d] = seen
	}
	for kind := range seen.covers { // all recordings must see a kind
		if !covers[kind] {
			delete(seen.covers, kind)
		}
	}
	seen.nodes++
	seen.truncated = seen.truncated || image.Truncated
	if since.Before(seen.since) {
		seen.since = since
	}
	if r.Until.After(seen.until) {
		seen.until = r.Until
	}
	for _, f := range image.Files {
		seen.files[key(f)] = true
	}
}

// key is a path from the root, the same for "/bin/x" and "/usr/bin/x": on most
// distributions one is a link to the other, and databases name files by either.
func key(file string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path.Clean("/"+file), "/"), "usr/")
}

// of is what was seen of an asset's image; nil without a recording of it.
func (o *Observed) of(asset *seawall.Asset) *observation {
	digests := []string{asset.Digest}
	if asset.Image != nil {
		digests = append(digests, asset.Image.ConfigDigest)
		for _, d := range asset.Image.RepoDigests {
			_, digest, _ := strings.Cut(d, "@")
			digests = append(digests, digest)
		}
	}
	for _, d := range digests {
		if seen := o.images[d]; seen != nil && d != "" {
			return seen
		}
	}
	return nil
}

// Mark sets InUse of the findings about packages of an image, as far as it is
// known, and says what it knows; files name what operating-system packages own.
func (o *Observed) Mark(asset *seawall.Asset, files []seawall.FileFact, findings []seawall.Finding) seawall.CollectorStatus {
	status := seawall.CollectorStatus{Asset: asset.ID, Name: "in-use", Status: seawall.RunOK}
	seen := o.of(asset)
	if seen == nil {
		status.Status, status.Reason = seawall.RunSkipped, "no recording has containers of this image"
		return status
	}
	status.Found = len(seen.files)
	status.Reason = fmt.Sprintf("observed from %s to %s, in %d recordings", seen.since.UTC().Format(time.RFC3339), seen.until.UTC().Format(time.RFC3339), seen.nodes)
	owned := seen.owned(files)
	for i := range findings {
		if f := &findings[i]; f.Package != nil {
			f.InUse = seen.judge(f, owned)
		}
	}
	return status
}

// use is what is known of one package: yes beats unknown beats no.
type use struct{ yes, no, unknown bool }

func (u use) answer(truncated bool) *bool {
	if u.yes {
		return &u.yes
	}
	if u.no && !u.unknown && !truncated {
		no := false
		return &no
	}
	return nil
}

// owned judges the files of operating-system packages, by package.
func (seen *observation) owned(files []seawall.FileFact) map[string]use {
	packages := map[string]use{}
	for i := range files {
		f := &files[i]
		kind := kindOf(f.Path)
		if f.Owner == "" || kind == "" {
			continue
		}
		u := packages[f.Owner]
		u.note(seen, seen.files[key(f.Path)], kind)
		packages[f.Owner] = u
	}
	return packages
}

// note counts one file, or group of files, of a kind.
func (u *use) note(seen *observation, used bool, kind string) {
	switch {
	case used:
		u.yes = true
	case seen.covers[kind]:
		u.no = true
	default:
		u.unknown = true
	}
}

// judge says whether the package of a finding is in use.
func (seen *observation) judge(f *seawall.Finding, owned map[string]use) *bool {
	kind, _, _ := strings.Cut(strings.TrimPrefix(f.Package.PURL, "pkg:"), "/")
	switch kind {
	case "deb", "rpm", "apk", "alpm", "portage":
		return owned[f.Package.Name].answer(seen.truncated)
	}
	var u use
	for i := range f.Locations {
		place, kind := codeOf(f.Locations[i].Path)
		used := seen.files[place]
		if strings.HasSuffix(place, "/") {
			at, _ := slices.BinarySearch(seen.sorted, place)
			used = at < len(seen.sorted) && strings.HasPrefix(seen.sorted[at], place)
		}
		u.note(seen, used, kind)
	}
	return u.answer(seen.truncated)
}

// codeOf is where the code of a language package lies by the file that told of it,
// a file, or with a slash at its end a directory, and what it is loaded as; "" where
// it may lie elsewhere, too, so that the package is never known to be unused. Of a
// Python package the index knows its name, not those of its modules. An archive within
// an archive counts as the outer one: what is loaded of it is not seen.
func codeOf(file string) (place, kind string) {
	place = key(file)
	dir, base := path.Split(place)
	switch {
	case base == "package.json" && strings.Contains(dir, "node_modules/"):
		return dir, "scripts"
	case strings.HasSuffix(base, ".gemspec"):
		if root, found := strings.CutSuffix(dir, "specifications/"); found {
			return root + "gems/" + strings.TrimSuffix(base, ".gemspec") + "/", "scripts"
		}
	case strings.HasSuffix(dir, ".dist-info/") || strings.HasSuffix(dir, ".egg-info/"):
		packages, name := path.Split(strings.TrimSuffix(dir, "/"))
		name, _, _ = strings.Cut(name, "-")
		return packages + strings.ToLower(name) + "/", ""
	case kindOf(file) != "scripts" && !strings.Contains(base, ".lock") && base != "go.mod" && base != "go.sum":
		return place, kindOf(file)
	}
	return place, ""
}

// kindOf is what a file is loaded as, by its name; "" for what is not code.
func kindOf(file string) string {
	dir, base := path.Split(file)
	switch ext := path.Ext(base); {
	case ext == ".so", strings.Contains(base, ".so."):
		return "libraries"
	case slices.Contains([]string{".jar", ".war", ".ear", ".par", ".hpi"}, ext):
		return "archives"
	case slices.Contains([]string{".js", ".mjs", ".cjs", ".py", ".rb", ".php", ".pl"}, ext):
		return "scripts"
	case inProgramDirectory(dir):
		return "executables"
	case ext == "" && base != "METADATA" && base != "PKG-INFO" && base != "DESCRIPTION" && base != "VERSION" && base != "release":
		return "executables"
	}
	return ""
}

// inProgramDirectory says whether a directory is or lies in one for programs.
func inProgramDirectory(dir string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(element string) bool {
		return element == "bin" || element == "sbin" || element == "libexec"
	})
}
