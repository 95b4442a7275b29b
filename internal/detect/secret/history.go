package secret

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// History searches every version of every file in a git repository, all
// branches, tags, stashes and the reflog. Each content is searched once; its
// Match names the oldest commit that has it in Data["commit"]. The git program
// does the reading: it must be installed. It runs without hooks, filters,
// configuration of the user and network.
//
// dir is the top of a working tree or a bare repository.
func (c *Collector) History(ctx context.Context, dir string) ([]seawall.Match, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, seawall.WithHint(fmt.Errorf("searching the git history of %s: git is not installed: %w", dir, seawall.ErrUnreadable), "install git, or scan without --history")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &history{c: c, git: git, dir: dir}
	blobs, err := h.blobs(ctx)
	if err != nil {
		return nil, fmt.Errorf("git history of %s: %w", dir, err)
	}
	if err := h.search(ctx, blobs); err != nil {
		return h.found, fmt.Errorf("git history of %s: %w", dir, err)
	}
	if h.tooLarge > 0 {
		return h.found, fmt.Errorf("git history of %s: %d versions of files over %d MiB were not searched", dir, h.tooLarge, maxBlob>>20)
	}
	if h.damaged > 0 {
		return h.found, fmt.Errorf("git history of %s: %d versions of archives are damaged or over a bound", dir, h.damaged)
	}
	return h.found, nil
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

// maxBlobs bounds the versions of files, maxBlob the size of one.
const (
	maxBlobs = 5_000_000
	maxBlob  = 64 << 20
)

type history struct {
	c        *Collector
	git, dir string
	found    []seawall.Match
	tooLarge int
	damaged  int // archives not searched to their end
}

// blob is a content and where it was first.
type blob struct{ id, path, commit string }

// command runs git without anything a repository or its owner could make it do
// beside reading; without HOME there is no configuration of the user.
func (h *history) command(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer) {
	args = append([]string{"-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never", "-C", h.dir}, args...)
	cmd := exec.CommandContext(ctx, h.git, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_OPTIONAL_LOCKS=0", "GIT_CEILING_DIRECTORIES=" + filepath.Dir(h.dir),
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return cmd, &stderr
}

// blobs lists the contents of all commits, oldest first.
func (h *history) blobs(ctx context.Context) ([]blob, error) {
	cmd, stderr := h.command(ctx, "log", "--all", "--reflog", "--reverse", "--topo-order", "--root", "-m", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv",
		"--no-show-signature", "--no-color", "--diff-filter=AMT", "--format=commit %H")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	blobs, err := parseLog(out)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("git log: %w: %s: %w", err, firstLine(stderr), seawall.ErrUnreadable)
	}
	return blobs, nil
}

func firstLine(b *bytes.Buffer) string {
	line, _, _ := strings.Cut(strings.TrimSpace(b.String()), "\n")
	return line
}

// parseLog reads git log --raw -z (git-diff(1), "Raw output format"): fields
// ending with NUL, ":modes ids status" then a path, between lines "commit ID".
func parseLog(r io.Reader) ([]blob, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	seen := map[string]bool{}
	var blobs []blob
	var commit string
	for {
		field, err := in.ReadString(0)
		if err == io.EOF {
			return blobs, nil
		}
		if err != nil {
			return nil, err
		}
		field = strings.TrimSpace(strings.TrimSuffix(field, "\x00"))
		if id, ok := strings.CutPrefix(field, "commit "); ok {
			commit = strings.TrimSpace(id)
			continue
		}
		if !strings.HasPrefix(field, ":") {
			continue
		}
		path, err := in.ReadString(0)
		if err != nil {
			return nil, fmt.Errorf("git log ends within a path: %w", seawall.ErrCorrupt)
		}
		columns := strings.Fields(field)
		if len(columns) != 5 || !strings.HasPrefix(columns[1], "100") || seen[columns[3]] {
			continue
		}
		if len(blobs) == maxBlobs {
			return nil, fmt.Errorf("more than %d versions of files: %w", maxBlobs, seawall.ErrBound)
		}
		seen[columns[3]] = true
		blobs = append(blobs, blob{columns[3], strings.TrimSuffix(path, "\x00"), commit})
	}
}

// search reads the blobs through one git cat-file.
func (h *history) search(ctx context.Context, blobs []blob) (err error) {
	cmd, stderr := h.command(ctx, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		w := bufio.NewWriter(in)
		for _, b := range blobs {
			if !skipped(b.path) {
				fmt.Fprintln(w, b.id)
			}
		}
		_ = w.Flush()
		_ = in.Close()
	}()
	r := bufio.NewReaderSize(out, 64<<10)
	for _, b := range blobs {
		if skipped(b.path) {
			continue
		}
		if err = h.one(ctx, r, b); err != nil {
			_ = cmd.Process.Kill()
			break
		}
	}
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("git cat-file: %w: %s", werr, firstLine(stderr))
	}
	return err
}

// one searches the next object of cat-file's output: "id type size", content, newline.
func (h *history) one(ctx context.Context, r *bufio.Reader, b blob) error {
	header, err := r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git cat-file: %w", errors.Join(err, seawall.ErrUnreadable))
	}
	columns := strings.Fields(header)
	if len(columns) != 3 {
		return fmt.Errorf("git cat-file: %s: object is missing (a shallow or partial clone?): %w", b.id, seawall.ErrUnreadable)
	}
	size, err := strconv.ParseInt(columns[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git cat-file: size %q: %w", columns[2], seawall.ErrCorrupt)
	}
	content := io.LimitReader(r, size)
	if size > maxBlob {
		h.tooLarge++
	} else {
		matches, err := h.content(ctx, b.path, content, size)
		if err != nil {
			return err
		}
		for _, m := range matches {
			m.Location.Path = b.path
			if m.Data == nil {
				m.Data = map[string]string{}
			}
			m.Data["commit"] = b.commit
			h.found = append(h.found, m)
		}
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		return err
	}
	_, err = r.Discard(1)
	return err
}

// content searches one version of a file. A damaged archive is counted, and the
// rest of the history searched.
func (h *history) content(ctx context.Context, name string, r io.Reader, size int64) ([]seawall.Match, error) {
	kind := archiveKind(name)
	if kind == notArchive {
		return h.c.text(name, "", r)
	}
	held := make([]byte, size)
	if _, err := io.ReadFull(r, held); err != nil {
		return nil, err
	}
	content := bytes.NewReader(held)
	if !kind.is(content) {
		return h.c.text(name, "", content)
	}
	a := &members{c: h.c, ctx: ctx, path: name, budget: func(int64) (func(), error) { return func() {}, nil }, left: maxInflated}
	if err := a.open(path.Base(name), kind, content); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		h.damaged++
	}
	return a.found, nil
}
