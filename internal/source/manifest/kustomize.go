package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

// maxReads bounds the files one kustomization reads, and maxRepeats how often
// one base is built for it: bases that name bases multiply them.
const maxReads, maxRepeats = 20_000, 64

// isKustomization says whether a file is what kustomize looks for in a directory.
func isKustomization(path string) bool {
	switch filepath.Base(path) {
	case "kustomization.yaml", "kustomization.yml", "Kustomization":
		return true
	}
	return false
}

// kustomize builds the kustomizations in dirs, those apart that others use, and
// says which files are done with.
func (r *reading) kustomize(ctx context.Context, dirs []string) (used func(path string) bool, err error) {
	read, failed := map[string]bool{}, map[string]bool{}
	references := map[string][]string{}
	referenced := map[string]bool{}
	for _, dir := range dirs {
		references[dir] = localReferences(dir)
		for _, other := range references[dir] {
			referenced[other] = true
		}
	}
	todo := slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { return referenced[dir] || isComponentOnly(dir) })
	for done := map[string]bool{}; len(todo) > 0; todo = todo[1:] {
		dir := todo[0]
		if done[dir] {
			continue
		}
		done[dir] = true
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		objects, files, err := build(dir)
		if err != nil {
			r.problem(kustomizeError(dir, err))
			failed[dir] = true
			for _, base := range references[dir] { // better the bases than nothing
				if _, ok := references[base]; ok && !isComponentOnly(base) {
					todo = append(todo, base)
				}
			}
			continue
		}
		for _, f := range files {
			read[f] = true
		}
		for _, o := range objects {
			if r.size += int64(len(o.JSON)); r.size > maxTotal {
				return nil, fmt.Errorf("%s: more than %d bytes of manifests: %w", dir, int64(maxTotal), seawall.ErrBound)
			}
			r.objects = append(r.objects, found{o, "default"})
		}
	}
	return func(path string) bool {
		full, err := filepath.Abs(path)
		return err == nil && read[full] || failed[filepath.Dir(path)]
	}, nil
}

// kustomization is what is looked at of a kustomization before it is built.
type kustomization struct {
	Kind                         string
	Resources, Bases, Components []string
}

func parseKustomization(dir string) kustomization {
	var k kustomization
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			_ = yaml.Unmarshal(text, &k) // what is wrong with it is told when it is built
			break
		}
	}
	return k
}

func isComponentOnly(dir string) bool { return parseKustomization(dir).Kind == "Component" }

// localReferences are the directories a kustomization names.
func localReferences(dir string) []string {
	var out []string
	k := parseKustomization(dir)
	for _, ref := range slices.Concat(k.Resources, k.Bases, k.Components) {
		path := filepath.Join(dir, ref)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			out = append(out, path)
		}
	}
	return out
}

// build runs kustomize on a directory and returns its objects with their places
// in the files they come from, and the files it read.
func build(dir string) ([]seawall.Object, []string, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	disk := &readOnly{FileSystem: filesys.MakeFsOnDisk(), root: root, built: map[string]int{}}
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, root)
	if disk.refused != nil {
		return nil, nil, disk.refused // kustomize wraps it in what it tried next
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	objects, err := objectsOfResult(result, dir)
	return objects, disk.read, err
}

func objectsOfResult(result resmap.ResMap, dir string) ([]seawall.Object, error) {
	files := map[string][]seawall.Object{}
	var out []seawall.Object
	for _, res := range result.Resources() {
		text, err := res.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
		}
		if text, err = object.WithoutAnnotation(text, originAnnotation); err != nil {
			return nil, err
		}
		o, _, err := object.Parse(text)
		if err != nil {
			return nil, err
		}
		placeByOrigin(&o, res, dir, files)
		out = append(out, o)
	}
	return out, nil
}

// originAnnotation is where kustomize notes the file of an object.
const originAnnotation = "config.kubernetes.io/origin"

// placeByOrigin finds the object in the file it came from. What a patch added
// has the line of its nearest parent there.
func placeByOrigin(o *seawall.Object, res *resource.Resource, dir string, files map[string][]seawall.Object) {
	o.Path, o.Line = filepath.Join(dir, "kustomization.yaml"), 1
	origin, err := res.GetOrigin()
	if err != nil || origin == nil {
		return
	}
	if origin.Path == "" {
		if origin.ConfiguredIn != "" {
			o.Path = filepath.Join(dir, filepath.FromSlash(origin.ConfiguredIn))
		}
		return
	}
	o.Path = filepath.Join(dir, filepath.FromSlash(origin.Path))
	if _, known := files[o.Path]; !known {
		files[o.Path] = readOrigin(o.Path)
	}
	best := -1
	for _, from := range files[o.Path] {
		// Kustomize forgets what an object was called before prefixes and suffixes.
		if from.Kind == o.Kind && strings.Contains(o.Name, from.Name) && len(from.Name) > best {
			best = len(from.Name)
			o.Line, o.Lines = from.Line, from.Lines
		}
	}
}

func readOrigin(path string) []seawall.Object {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	docs, _ := split(text)
	var out []seawall.Object
	for i := range docs {
		objects, _, _ := docs[i].objects()
		out = append(out, objects...)
	}
	return out
}

// kustomizeError names the directory and takes it out of what kustomize says.
func kustomizeError(dir string, err error) error {
	var h *seawall.Hinted
	if errors.As(err, &h) {
		return seawall.WithHint(fmt.Errorf("kustomization %s: %w", dir, h.Err), h.Hint)
	}
	return fmt.Errorf("kustomization %s: %w", dir, err)
}

// readOnly is the disk as kustomize may use it: nothing is written, nothing is
// fetched, and what was read is noted.
type readOnly struct {
	filesys.FileSystem
	root    string
	read    []string
	built   map[string]int // kustomizations read
	refused error
}

var errReadOnly = errors.New("nothing is written here")

// ReadFile implements filesys.FileSystem.
func (d *readOnly) ReadFile(path string) ([]byte, error) {
	if d.refused != nil {
		return nil, d.refused
	}
	if len(d.read) == maxReads {
		d.refused = fmt.Errorf("more than %d files: %w", maxReads, seawall.ErrBound)
		return nil, d.refused
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxYAML {
		d.refused = fmt.Errorf("%s: more than %d bytes: %w", path, maxYAML, seawall.ErrBound)
		return nil, d.refused
	}
	text, err := d.FileSystem.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d.read = append(d.read, path)
	if !isKustomization(path) {
		return text, nil
	}
	if d.built[path]++; d.built[path] > maxRepeats {
		d.refused = fmt.Errorf("%s is built more than %d times: %w", path, maxRepeats, seawall.ErrBound)
		return nil, d.refused
	}
	if err := d.check(path, text); err != nil {
		d.refused = err
		return nil, err
	}
	if filepath.Dir(path) == d.root {
		return withOrigins(text), nil
	}
	return text, nil
}

// check refuses a kustomization that kustomize would fetch something for: with
// the network, git or a program. Its library cannot be told not to.
func (d *readOnly) check(path string, text []byte) error {
	var k map[string]any
	if yaml.Unmarshal(text, &k) != nil {
		return nil // kustomize says what is wrong
	}
	dir := filepath.Dir(path)
	for _, ref := range references(k, "") {
		if isRemote(dir, ref) {
			return seawall.WithHint(fmt.Errorf("%s: %w: %s lies on the network, and nothing is fetched", path, seawall.ErrUnreadable, ref),
				"build it first and scan the result: kustomize build DIR | seawall scan manifests -")
		}
	}
	for _, list := range []string{"generators", "transformers", "validators"} {
		for _, ref := range stringsIn(k[list]) {
			if strings.Contains(ref, "\n") && !bytes.Contains([]byte(ref), []byte("://")) {
				continue // written out here
			}
			plugin, err := os.ReadFile(filepath.Join(dir, ref))
			if err != nil || bytes.Contains(plugin, []byte("://")) {
				return seawall.WithHint(fmt.Errorf("%s: %w: %s of %s may fetch something, and nothing is fetched", path, seawall.ErrUnreadable, list, ref),
					"build it first and scan the result: kustomize build DIR | seawall scan manifests -")
			}
		}
	}
	return nil
}

// references are what a kustomization names, files and directories.
func references(v any, key string) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			out = append(out, references(child, k)...)
		}
		slices.Sort(out)
	case []any:
		for _, child := range v {
			out = append(out, references(child, key)...)
		}
	case string:
		switch key {
		case "resources", "bases", "components", "crds", "configurations", "patchesStrategicMerge", "path", "files", "envs", "env", "generators", "transformers", "validators":
			if _, file, ok := strings.Cut(v, "="); ok && key == "files" {
				v = file
			}
			if !strings.Contains(v, "\n") { // else it is written out here
				out = append(out, v)
			}
		}
	}
	return out
}

func stringsIn(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// remote matches what kustomize takes for a repository: user@host, GitHub in any form.
func remote() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(git::|[a-z][a-z0-9-]*@)|github\.com|://`)
}

// isRemote says whether kustomize may take a reference for an address: a file of
// that name comes first except for URLs.
func isRemote(dir, ref string) bool {
	if u, err := url.Parse(ref); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return true
	}
	if info, err := os.Stat(filepath.Join(dir, ref)); err == nil && info.Mode().IsRegular() {
		return false
	}
	return remote().MatchString(ref)
}

// withOrigins asks kustomize to note where objects come from.
func withOrigins(text []byte) []byte {
	var k map[string]any
	if yaml.Unmarshal(text, &k) != nil || k == nil {
		return text
	}
	list, _ := k["buildMetadata"].([]any)
	if !slices.Contains(list, any("originAnnotations")) {
		k["buildMetadata"] = append(list, "originAnnotations")
	}
	out, err := yaml.Marshal(k)
	if err != nil {
		return text
	}
	return out
}

// Create implements filesys.FileSystem.
func (d *readOnly) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir implements filesys.FileSystem.
func (d *readOnly) Mkdir(string) error { return errReadOnly }

// MkdirAll implements filesys.FileSystem.
func (d *readOnly) MkdirAll(string) error { return errReadOnly }

// RemoveAll implements filesys.FileSystem.
func (d *readOnly) RemoveAll(string) error { return errReadOnly }

// WriteFile implements filesys.FileSystem.
func (d *readOnly) WriteFile(string, []byte) error { return errReadOnly }
