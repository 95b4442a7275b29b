// Package manifest opens Kubernetes manifests as a target: YAML and JSON files,
// directories of them, Helm charts and Kustomize directories.
//
//	PATHs -> sort out (walk.go) -> charts rendered (helm.go), kustomizations built
//	(kustomize.go), the other files read -> documents (document.go) -> Objects
//
// YAML is turned into JSON by the library that kubectl uses, so that "yes" is a
// boolean here where it is one there. The line of a field is looked up in an
// index that is made when a finding first asks for it (lines.go).
//
// Nothing is fetched: a chart's dependencies and a kustomization's resources
// must lie on disk. A file that cannot be read is one error of
// seawall.Incomplete, which names file and line; the others go on.
package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

// Options are what a user may set about reading manifests.
type Options struct {
	// Stdin is read for the path "-".
	Stdin io.Reader
	// KubeVersion is the Kubernetes version the manifests are meant for ("1.33");
	// "" is not known. Charts see it.
	KubeVersion string
	// Helm renders charts.
	Helm Helm
}

// Target is a set of manifests. It has no layers; its Facts are objects and
// configurations.
type Target struct {
	paths   []string
	options Options
	left    int
}

// Open opens the manifests at paths, "-" being standard input. They are one
// target: what one file says counts for the others. Errors wrap
// seawall.ErrUnreadable or ErrUsage.
func Open(paths []string, o Options) (*Target, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("no manifests named: %w", seawall.ErrUsage)
	}
	for _, p := range paths {
		if p == "-" {
			continue
		}
		if _, err := os.Stat(p); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s: %w: no such file or directory", p, seawall.ErrUnreadable)
			}
			return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
		}
	}
	if _, err := o.kubernetes(); err != nil {
		return nil, err
	}
	return &Target{paths: paths, options: o}, nil
}

// Asset implements seawall.Target.
func (t *Target) Asset() seawall.Asset {
	name := strings.Join(t.paths, " ")
	return seawall.Asset{ID: string(seawall.AssetManifests) + ":" + name, Kind: seawall.AssetManifests, Name: name}
}

// Layers implements seawall.Target.
func (t *Target) Layers() []seawall.Layer { return nil }

// Close implements io.Closer.
func (t *Target) Close() error { return nil }

// Left counts the documents that Facts left out because they are no Kubernetes
// objects: values files, workflows, kustomizations.
func (t *Target) Left() int { return t.left }

// Facts implements seawall.Describer: the objects in the order of the paths,
// then of the files, then as they stand in them; then configurations.
func (t *Target) Facts(ctx context.Context) ([]seawall.Fact, error) {
	r := &reading{options: t.options}
	for _, p := range t.paths {
		if err := r.path(ctx, p); err != nil {
			return nil, err
		}
	}
	t.left = r.left
	settleNamespaces(r.objects)
	if len(r.objects) == 0 {
		return nil, r.nothing(t.paths)
	}
	facts := make([]seawall.Fact, 0, len(r.objects)+1)
	for i := range r.objects {
		facts = append(facts, seawall.Fact{Object: &r.objects[i].Object})
	}
	if v, _ := t.options.kubernetes(); v != "" {
		facts = append(facts, seawall.Fact{Config: &seawall.ConfigFact{Kind: "kubernetes/version", Data: map[string]string{"version": v}}})
	}
	for _, c := range object.Components(objectsOf(r.objects)) {
		facts = append(facts, seawall.Fact{Config: &c})
	}
	if len(r.problems) > 0 {
		return facts, r.problems
	}
	return facts, nil
}

// kubernetes is KubeVersion in full, v1.33.0.
func (o Options) kubernetes() (string, error) {
	if o.KubeVersion == "" {
		return "", nil
	}
	var major, minor, patch int
	v := strings.TrimPrefix(o.KubeVersion, "v")
	if end := strings.IndexAny(v, "-+"); end > 0 {
		v = v[:end] // a distribution's own: v1.33.2+k3s1
	}
	n, _ := fmt.Sscanf(v+".0", "%d.%d.%d", &major, &minor, &patch)
	full := fmt.Sprintf("%d.%d.%d", major, minor, patch)
	if n < 3 || full != v && full != v+".0" {
		return "", seawall.WithHint(fmt.Errorf("version of Kubernetes %q: %w", o.KubeVersion, seawall.ErrUsage), "write it as in 1.33 or v1.33.2")
	}
	return "v" + full, nil
}

// found is one object as it was read.
type found struct {
	seawall.Object
	// release is the namespace it goes to when it names none: a Helm release's.
	release string
}

func objectsOf(list []found) []*seawall.Object {
	out := make([]*seawall.Object, len(list))
	for i := range list {
		out[i] = &list[i].Object
	}
	return out
}

// settleNamespaces gives objects of namespaced kinds that name no namespace the
// one they would be created in. Kinds of CustomResourceDefinitions among the
// objects are known, other custom kinds keep what they say.
func settleNamespaces(objects []found) {
	custom := object.CustomScopes(objectsOf(objects))
	for i := range objects {
		o := &objects[i]
		cluster, known := object.ClusterScoped(o.APIVersion, o.Kind)
		if !known {
			cluster, known = custom(o.APIVersion, o.Kind)
		}
		switch {
		case known && cluster:
			o.Namespace = ""
		case known && o.Namespace == "":
			o.Namespace = o.release
		}
	}
}

// reading is one run over the paths.
type reading struct {
	options  Options
	objects  []found
	problems seawall.Incomplete
	// left counts documents that are no Kubernetes objects.
	left int
	// size is how much was read, for the bound.
	size int64
}

func (r *reading) problem(err error) { r.problems = append(r.problems, err) }

// nothing is the error of a run that found no object.
func (r *reading) nothing(paths []string) error {
	if len(r.problems) > 0 {
		return errors.Join(r.problems...)
	}
	return seawall.WithHint(fmt.Errorf("%s: %w: no Kubernetes objects there", strings.Join(paths, " "), seawall.ErrUnreadable),
		"files are read that end in .yaml, .yml or .json; documents without apiVersion and kind are left out")
}

// isManifest says whether a file of a directory may hold objects.
func isManifest(name string) bool {
	return slices.ContainsFunc([]string{".yaml", ".yml", ".json"}, func(ext string) bool { return strings.HasSuffix(name, ext) })
}
