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
	if !info.IsDir() {
		return r.file(name)
	}
	return filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.problem(fmt.Errorf("%w: %w", seawall.ErrUnreadable, err))
			return nil
		}
		if d.IsDir() {
			if d.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		if !isManifest(path) {
			return nil
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return nil // a link to a directory or to nowhere
		}
		return r.file(path)
	})
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
	return r.text(name, text, "default")
}

// text reads the documents of one file. Objects that name no namespace go to release.
func (r *reading) text(name string, text []byte, release string) error {
	if r.size += int64(len(text)); r.size > maxTotal {
		return fmt.Errorf("%s: more than %d bytes of manifests: %w", name, int64(maxTotal), seawall.ErrBound)
	}
	docs, err := split(text)
	if err != nil {
		r.problem(inFile(name, err))
	}
	if limit := limitOf(docs); len(text) > limit {
		r.problem(fmt.Errorf("%s: more than %d bytes: %w", name, limit, seawall.ErrBound))
		return nil
	}
	for i := range docs {
		objects, left, err := docs[i].objects()
		if err != nil {
			r.problem(inFile(name, err))
		}
		r.left += left
		for _, o := range objects {
			o.Path = name
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
