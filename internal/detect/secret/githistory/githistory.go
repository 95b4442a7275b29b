// Package githistory reads every version of every file in a git repository: all
// branches, tags, stashes and the reflog, each content once. The git program does
// the reading; it runs without hooks, filters, configuration of the user and network.
package githistory

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxBlobs bounds the versions of files.
const maxBlobs = 5_000_000

// Blob is a content and where it was first: the oldest commit that has it.
type Blob struct{ ID, Path, Commit string }

// Walk calls visit for every content whose path is wanted, oldest first, with its
// size and a reader of it, until visit fails. dir is the top of a working tree or a bare repository.
func Walk(ctx context.Context, dir string, wanted func(path string) bool, visit func(b Blob, size int64, r io.Reader) error) error {
	git, err := exec.LookPath("git")
	if err != nil {
		return seawall.WithHint(fmt.Errorf("searching the git history of %s: git is not installed: %w", dir, seawall.ErrUnreadable), "install git, or scan without --history")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &history{git: git, dir: dir}
	blobs, err := h.blobs(ctx)
	if err == nil {
		blobs = slices.DeleteFunc(blobs, func(b Blob) bool { return !wanted(b.Path) })
		err = h.read(ctx, blobs, visit)
	}
	if err != nil {
		return fmt.Errorf("git history of %s: %w", dir, err)
	}
	return nil
}

type history struct{ git, dir string }

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
func (h *history) blobs(ctx context.Context) ([]Blob, error) {
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
func parseLog(r io.Reader) ([]Blob, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	seen := map[string]bool{}
	var blobs []Blob
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
		blobs = append(blobs, Blob{columns[3], strings.TrimSuffix(path, "\x00"), commit})
	}
}

// read reads the blobs through one git cat-file.
func (h *history) read(ctx context.Context, blobs []Blob, visit func(Blob, int64, io.Reader) error) (err error) {
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
			fmt.Fprintln(w, b.ID)
		}
		_ = w.Flush()
		_ = in.Close()
	}()
	r := bufio.NewReaderSize(out, 64<<10)
	for _, b := range blobs {
		if err = one(r, b, visit); err != nil {
			_ = cmd.Process.Kill()
			break
		}
	}
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("git cat-file: %w: %s", werr, firstLine(stderr))
	}
	return err
}

// one reads the next object of cat-file's output: "id type size", content, newline.
func one(r *bufio.Reader, b Blob, visit func(Blob, int64, io.Reader) error) error {
	header, err := r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git cat-file: %w", errors.Join(err, seawall.ErrUnreadable))
	}
	columns := strings.Fields(header)
	if len(columns) != 3 {
		return fmt.Errorf("git cat-file: %s: object is missing (a shallow or partial clone?): %w", b.ID, seawall.ErrUnreadable)
	}
	size, err := strconv.ParseInt(columns[2], 10, 64)
	if err != nil {
		return fmt.Errorf("git cat-file: size %q: %w", columns[2], seawall.ErrCorrupt)
	}
	content := io.LimitReader(r, size)
	if err := visit(b, size, content); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		return err
	}
	_, err = r.Discard(1)
	return err
}
