package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Helm are the settings of rendering charts.
type Helm struct {
	// Values are files, Set assignments as for helm's --set; later ones win, Set over Values.
	Values, Set []string
	// ReleaseName is "" for the chart's name, ReleaseNamespace "" for default.
	ReleaseName, ReleaseNamespace string
}

// newestKubernetes is what charts are rendered for when nothing is said.
const newestKubernetes = "v1.36.0"

// values merges the user's values.
func (h *Helm) values() (map[string]any, error) {
	merged := map[string]any{}
	for _, file := range h.Values {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--values: %w: %w", seawall.ErrUsage, err)
		}
		v, err := chartutil.ReadValues(text)
		if err != nil {
			return nil, fmt.Errorf("--values %s: %w: %w", file, seawall.ErrUsage, err)
		}
		merged = chartutil.MergeTables(v, merged)
	}
	for _, s := range h.Set {
		if err := strvals.ParseInto(s, merged); err != nil {
			return nil, seawall.WithHint(fmt.Errorf("--set %s: %w: %w", s, seawall.ErrUsage, err), "write KEY=VALUE, as in --set image.tag=1.2")
		}
	}
	return merged, nil
}

// isChart says whether a directory is a Helm chart.
func isChart(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "Chart.yaml"))
	return err == nil && info.Mode().IsRegular()
}

// isPackage says whether a file is named like a packed chart.
func isPackage(name string) bool {
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")
}

// chart renders a chart, a directory or a package, and reads what comes out.
// Only wrong settings and the bound over all files are errors.
func (r *reading) chart(name string) error {
	values, err := r.options.Helm.values()
	if err != nil {
		return err
	}
	c, err := loadChart(name)
	if err == nil && c.Metadata.Type == "library" {
		return nil // templates for other charts, none of its own
	}
	var rendered map[string]string
	if err == nil {
		rendered, err = r.options.render(c, values)
	}
	if err != nil {
		r.problem(chartError(name, c, err))
		return nil
	}
	release := r.options.Helm.ReleaseNamespace
	if release == "" {
		release = "default"
	}
	sources := map[string]string{}
	templatesOf(c, sources)
	for _, file := range sortedKeys(rendered) {
		// The first element is the chart's name; the rest is the path in it.
		_, inner, _ := strings.Cut(file, "/")
		if base := path.Base(file); strings.HasPrefix(base, "_") || base == "NOTES.txt" {
			continue
		}
		at := toTemplate(sources[file], rendered[file])
		if err := r.text(filepath.Join(name, filepath.FromSlash(inner)), []byte(rendered[file]), release, at); err != nil {
			return err
		}
	}
	for _, crd := range c.CRDObjects() {
		_, inner, _ := strings.Cut(crd.Filename, "/")
		if err := r.text(filepath.Join(name, filepath.FromSlash(inner)), crd.File.Data, release, func(line int) int { return line }); err != nil {
			return err
		}
	}
	return nil
}

// loadChart reads a chart. Links that lead out of its directory are refused.
func loadChart(name string) (*chart.Chart, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	if !info.IsDir() {
		return loader.LoadFile(name)
	}
	root, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		to, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
		}
		if rel, err := filepath.Rel(root, to); err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return fmt.Errorf("%w: %s is a link out of the chart, to %s", seawall.ErrUnreadable, path, to)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return loader.LoadDir(name)
}

// errMissing: a chart names dependencies that do not lie in it.
var errMissing = errors.New("dependencies are missing")

// render executes the templates as helm template does. The values' schema is
// not checked: schemas may name others on the network.
func (o *Options) render(c *chart.Chart, values map[string]any) (map[string]string, error) {
	if missing := missingDependencies(c); len(missing) > 0 {
		return nil, fmt.Errorf("%w: %s", errMissing, strings.Join(missing, ", "))
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
		return nil, err
	}
	kubernetes, err := o.kubernetes()
	if err != nil {
		return nil, err
	}
	if kubernetes == "" {
		kubernetes = newestKubernetes
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(kubernetes)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	release := chartutil.ReleaseOptions{Name: o.Helm.ReleaseName, Namespace: o.Helm.ReleaseNamespace, Revision: 1, IsInstall: true}
	if release.Name == "" {
		release.Name = c.Name()
	}
	if release.Namespace == "" {
		release.Namespace = "default"
	}
	all, err := chartutil.ToRenderValuesWithSchemaValidation(c, values, release, capabilities, true)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

func missingDependencies(c *chart.Chart) []string {
	var missing []string
	for _, want := range c.Metadata.Dependencies {
		have := slices.ContainsFunc(c.Dependencies(), func(d *chart.Chart) bool { return d.Name() == want.Name })
		if !have {
			missing = append(missing, want.Name)
		}
	}
	return missing
}

// chartError puts the next step to an error of a chart.
func chartError(name string, c *chart.Chart, err error) error {
	text := err.Error()
	if c != nil { // helm names files by the chart's name, we by its path
		for _, sub := range []string{"/templates/", "/charts/"} {
			text = strings.ReplaceAll(text, c.Name()+sub, filepath.ToSlash(name)+sub)
		}
	}
	if !errors.Is(err, seawall.ErrUnreadable) {
		text = seawall.ErrCorrupt.Error() + ": " + text
		err = seawall.ErrCorrupt
	}
	out := fmt.Errorf("chart %s: %w", name, &textError{text, err})
	switch {
	case strings.Contains(text, errMissing.Error()):
		return seawall.WithHint(out, "fetch them first: helm dependency build "+name)
	case strings.Contains(text, "execution error") || strings.Contains(text, "nil pointer"):
		return seawall.WithHint(out, "a value may be missing: give the values it is deployed with, --values FILE or --set KEY=VALUE")
	}
	return out
}

// textError is an error in other words.
type textError struct {
	text string
	err  error
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }

// templatesOf gathers the templates of a chart and of those in it, by the names
// they are rendered under.
func templatesOf(c *chart.Chart, into map[string]string) {
	for _, t := range c.Templates {
		into[path.Join(c.ChartFullPath(), t.Name)] = string(t.Data)
	}
	for _, d := range c.Dependencies() {
		templatesOf(d, into)
	}
}

// toTemplate says which line of a template a line of what it rendered to comes
// from. They are aligned when first asked.
func toTemplate(template, rendered string) func(line int) int {
	lines := sync.OnceValue(func() []int { return align(template, rendered) })
	return func(line int) int {
		if line < 1 || line > len(lines()) {
			return 1
		}
		return lines()[line-1]
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
