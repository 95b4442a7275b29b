package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/seawall-security/seawall/internal/detect/secret/githistory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// History searches every version of every file in a git repository, all
// branches, tags, stashes and the reflog. Each content is searched once; its
// Match names the oldest commit that has it in Data["commit"]. The git program
// does the reading: it must be installed. It runs without hooks, filters,
// configuration of the user and network.
//
// dir is the top of a working tree or a bare repository.
func (c *Collector) History(ctx context.Context, dir string) (found []seawall.Match, err error) {
	tooLarge, damaged := 0, 0
	err = githistory.Walk(ctx, dir, func(p string) bool { return !skipped(p) }, func(b githistory.Blob, size int64, r io.Reader) error {
		if size > maxBlob {
			tooLarge++
			return nil
		}
		matches, err := c.version(ctx, b.Path, r, size)
		if errors.Is(err, errDamaged) {
			damaged++
		} else if err != nil {
			return err
		}
		for _, m := range matches {
			m.Location.Path = b.Path
			if m.Data == nil {
				m.Data = map[string]string{}
			}
			m.Data["commit"] = b.Commit
			found = append(found, m)
		}
		return nil
	})
	if err == nil && tooLarge+damaged > 0 {
		err = fmt.Errorf("git history of %s: not searched: %d versions of files over %d MiB, %d damaged archives", dir, tooLarge, maxBlob>>20, damaged)
	}
	return found, err
}

// InHistory returns a collector that searches the git history of the directory
// a scan is of (see History), once, when the walk meets its repository.
func (c *Collector) InHistory(dir string) *HistoryCollector { return &HistoryCollector{c, dir} }

// HistoryCollector satisfies inventory.Collector.
type HistoryCollector struct {
	collector *Collector
	dir       string
}

// Name implements inventory.Collector.
func (*HistoryCollector) Name() string { return "secret/history" }

// Version implements inventory.Collector.
func (h *HistoryCollector) Version() int { return h.collector.Version() }

// Wants implements inventory.Collector: the file every repository has, at the
// top of the directory or of one within it.
func (*HistoryCollector) Wants(p string, info fs.FileInfo) bool {
	return (p == ".git/HEAD" || strings.HasSuffix(p, "/.git/HEAD")) && info.Mode().IsRegular()
}

// Collect implements inventory.Collector.
func (h *HistoryCollector) Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error) {
	top := strings.TrimSuffix(strings.TrimSuffix(f.Path, ".git/HEAD"), "/")
	matches, err := h.collector.History(ctx, filepath.Join(h.dir, filepath.FromSlash(top)))
	for i := range matches {
		matches[i].Location.Path = path.Join(top, matches[i].Location.Path)
	}
	return facts(matches), err
}

// maxBlob bounds one version of a file.
const maxBlob = 64 << 20

// errDamaged is an archive that could not be searched to its end.
var errDamaged = errors.New("damaged archive")

// version searches one version of a file. What was found is returned beside errDamaged.
func (c *Collector) version(ctx context.Context, name string, r io.Reader, size int64) ([]seawall.Match, error) {
	kind := archiveKind(name)
	if kind == notArchive {
		return c.text(name, "", r)
	}
	held := make([]byte, size)
	if _, err := io.ReadFull(r, held); err != nil {
		return nil, err
	}
	content := bytes.NewReader(held)
	if !kind.is(content) {
		return c.text(name, "", content)
	}
	a := &members{c: c, ctx: ctx, path: name, budget: func(int64) (func(), error) { return func() {}, nil }, left: maxInflated}
	if err := a.open(path.Base(name), kind, content); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return a.found, errDamaged
	}
	return a.found, nil
}
