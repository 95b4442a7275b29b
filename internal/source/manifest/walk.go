package manifest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seawall-security/seawall/internal/seawall"
)

// path reads what one PATH names.
func (r *reading) path(ctx context.Context, name string) error {
	if name == "-" {
		if r.options.Stdin == nil {
			return fmt.Errorf("-: %w: no standard input", seawall.ErrUsage)
		}
		return r.stream(name, r.options.Stdin)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	switch {
	case info.IsDir():
		return r.directory(ctx, name)
	case isPackage(name):
		return r.chart(name)
	case filepath.Base(name) == "Chart.yaml":
		return r.chart(filepath.Dir(name))
	case isKustomization(name):
		return r.directory(ctx, filepath.Dir(name))
	}
	return r.file(name)
}

// tree is what a directory holds.
type tree struct {
	charts, kustomizations, files []string
}

// sort looks through a directory. What is in a chart belongs to the chart.
func (r *reading) sort(ctx context.Context, dir string) (tree, error) {
	var t tree
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.problem(fmt.Errorf("%w: %w", seawall.ErrUnreadable, err))
			return nil
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir() && isChart(path):
			t.charts = append(t.charts, path)
			return fs.SkipDir
		case d.IsDir():
			return nil
		case isKustomization(path):
			t.kustomizations = append(t.kustomizations, filepath.Dir(path))
		case isManifest(path):
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() { // not a link to a directory or to nowhere
				t.files = append(t.files, path)
			}
		}
		return nil
	})
	return t, err
}

// directory reads all that is in a directory: charts, then kustomizations, then
// the files that no kustomization used.
func (r *reading) directory(ctx context.Context, dir string) error {
	t, err := r.sort(ctx, dir)
	if err != nil {
		return err
	}
	for _, c := range t.charts {
		if err := r.chart(c); err != nil {
			return err
		}
	}
	used, err := r.kustomize(ctx, t.kustomizations)
	if err != nil {
		return err
	}
	for _, f := range t.files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !used(f) {
			if err := r.file(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// file reads one file. Only the bound over all files is an error; what is wrong
// with this one is a problem.
func (r *reading) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		r.problem(fmt.Errorf("%w: %w", seawall.ErrUnreadable, err))
		return nil
	}
	defer f.Close()
	return r.stream(path, f)
}

func (r *reading) stream(name string, content io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(content, maxJSON+1))
	if err != nil {
		r.problem(fmt.Errorf("%s: %w: %w", name, seawall.ErrUnreadable, err))
		return nil
	}
	return r.text(name, text, "default", func(line int) int { return line })
}

// text reads the documents of one file. Objects that name no namespace go to
// release; at says which line of the file a line of text is.
func (r *reading) text(name string, text []byte, release string, at func(line int) int) error {
	if r.size += int64(len(text)); r.size > maxTotal {
		return fmt.Errorf("%s: more than %d bytes of manifests: %w", name, int64(maxTotal), seawall.ErrBound)
	}
	docs, err := split(text)
	if err != nil {
		r.problem(inFile(name, err, at))
	}
	if limit := limitOf(docs); len(text) > limit {
		r.problem(fmt.Errorf("%s: more than %d bytes: %w", name, limit, seawall.ErrBound))
		return nil
	}
	for i := range docs {
		objects, left, err := docs[i].objects()
		if err != nil {
			r.problem(inFile(name, err, at))
		}
		r.left += left
		for _, o := range objects {
			inner := o.Lines
			o.Path, o.Line = name, at(o.Line)
			o.Lines = func(field string) int { return at(inner(field)) }
			r.objects = append(r.objects, found{o, release})
		}
	}
	return nil
}

func limitOf(docs []document) int {
	if len(docs) > 0 && docs[0].json {
		return maxJSON
	}
	return maxYAML
}
