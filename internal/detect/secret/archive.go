package secret

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/seawall-security/seawall/internal/seawall"
)

type archiveForm uint8

const (
	notArchive archiveForm = iota
	zipArchive
	tarArchive
	tarGzip
	gzipFile
)

// The bounds of one archive. What is beyond them makes the collector partial.
const (
	maxMembers  = 200_000
	maxInflated = 1 << 30
	// archiveMemory is asked for beside the archive's own content.
	archiveMemory = 512 << 10
	// An archive within an archive is held in memory, up to maxNested bytes, and
	// archives are opened maxDepth deep.
	maxNested = 64 << 20
	maxDepth  = 3
)

func archiveKind(p string) archiveForm {
	dot := strings.LastIndexByte(p, '.')
	if dot < 0 {
		return notArchive
	}
	switch p[dot+1:] {
	case "zip", "jar", "war", "ear", "whl", "nupkg", "vsix", "egg":
		return zipArchive
	case "tar":
		return tarArchive
	case "tgz":
		return tarGzip
	case "gz":
		if strings.HasSuffix(p, ".tar.gz") {
			return tarGzip
		}
		return gzipFile
	}
	return notArchive
}

// is says whether the content can be what its name promises: a text called
// x.gz (dpkg's alternatives) is searched as the text it is.
func (k archiveForm) is(content io.ReaderAt) bool {
	if k == tarArchive || k == zipArchive { // a zip may follow a script
		return true
	}
	var head [2]byte
	_, err := content.ReadAt(head[:], 0)
	return err == nil && head == [2]byte{0x1f, 0x8b}
}

// manual says whether a file is documentation of the distribution.
func manual(p string) bool {
	return strings.HasPrefix(p, "usr/share/") && (strings.HasPrefix(p[10:], "doc/") || strings.HasPrefix(p[10:], "man/") || strings.HasPrefix(p[10:], "info/") ||
		strings.HasPrefix(p[10:], "locale/") || strings.HasPrefix(p[10:], "zoneinfo/") || strings.HasPrefix(p[10:], "i18n/"))
}

// archive searches the members of an archive, and of archives within it.
func (c *Collector) archive(ctx context.Context, f seawall.File, kind archiveForm) ([]seawall.Fact, error) {
	release, err := f.Budget(archiveMemory)
	if err != nil {
		return nil, err
	}
	defer release()
	a := &members{c: c, ctx: ctx, path: f.Path, budget: f.Budget, left: maxInflated}
	err = a.open(path.Base(f.Path), kind, f.Content)
	return facts(a.found), err
}

// members goes through one archive within its bounds.
type members struct {
	c      *Collector
	ctx    context.Context
	path   string
	inner  string // of the archive within path that is open; "" is path itself
	depth  int
	budget func(int64) (func(), error)
	left   int64
	found  []seawall.Match
}

// open searches one archive.
func (a *members) open(name string, kind archiveForm, content seawall.Content) error {
	switch kind {
	case zipArchive:
		return a.zip(content)
	case tarArchive:
		return a.tar(content)
	}
	z, err := gzip.NewReader(content)
	if err != nil {
		return fmt.Errorf("gzip: %w: %w", seawall.ErrCorrupt, err)
	}
	if kind == tarGzip {
		return a.tar(z)
	}
	return a.text(strings.TrimSuffix(name, ".gz"), &bounded{r: z, members: a})
}

// nested searches an archive that is a member of the open one. r is bounded.
func (a *members) nested(name string, kind archiveForm, r io.Reader, size int64) error {
	switch {
	case a.depth+1 >= maxDepth:
		return fmt.Errorf("%s: an archive within %d others: %w", name, a.depth+1, seawall.ErrBound)
	case size > maxNested:
		return fmt.Errorf("%s: an archive of %d MiB within another: %w", name, size>>20, seawall.ErrBound)
	}
	release, err := a.budget(size)
	if err != nil {
		return err
	}
	defer release()
	held := make([]byte, size)
	if _, err := io.ReadFull(r, held); err != nil {
		return err
	}
	content := bytes.NewReader(held)
	if !kind.is(content) {
		return a.text(name, content)
	}
	outer := a.inner
	a.inner, a.depth = path.Join(outer, path.Clean(name)), a.depth+1
	defer func() { a.inner, a.depth = outer, a.depth-1 }()
	if err := a.open(path.Base(name), kind, content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// member searches one member. r is bounded.
func (a *members) member(name string, r io.Reader, size int64) error {
	if kind := archiveKind(name); kind != notArchive {
		return a.nested(name, kind, r, size)
	}
	return a.text(name, r)
}

func (a *members) zip(content seawall.Content) error {
	z, err := zip.NewReader(content, content.Size())
	if err != nil {
		return fmt.Errorf("zip: %w: %w", seawall.ErrCorrupt, err)
	}
	if len(z.File) > maxMembers {
		return fmt.Errorf("%d members, more than %d: %w", len(z.File), maxMembers, seawall.ErrBound)
	}
	var problems error
	for _, m := range z.File {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		if m.UncompressedSize64 < minFile || m.Mode()&fs.ModeType != 0 || skipped(m.Name) {
			continue
		}
		r, err := m.Open()
		if err == nil {
			err = a.member(m.Name, &bounded{r: r, members: a}, int64(min(m.UncompressedSize64, maxNested+1)))
			r.Close()
		}
		if a.left <= 0 {
			return err
		}
		if err != nil && problems == nil {
			problems = fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return problems
}

func (a *members) tar(r io.Reader) error {
	t := tar.NewReader(&bounded{r: r, members: a})
	var problems error
	for n := 0; ; n++ {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return problems
		case errors.Is(err, seawall.ErrBound):
			return err
		case err != nil:
			return fmt.Errorf("tar: %w: %w", seawall.ErrCorrupt, err)
		case n > maxMembers:
			return fmt.Errorf("more than %d members: %w", maxMembers, seawall.ErrBound)
		}
		if h.Typeflag != tar.TypeReg || h.Size < minFile || skipped(h.Name) {
			continue
		}
		err = a.member(h.Name, t, h.Size)
		if a.left <= 0 {
			return err
		}
		if problems == nil {
			problems = err
		}
	}
}

func (a *members) text(name string, r io.Reader) error {
	found, err := a.c.text(a.path, path.Join(a.inner, path.Clean(name)), r)
	a.found = append(a.found, found...)
	return err
}

// bounded counts what is inflated against the archive's bound.
type bounded struct {
	r       io.Reader
	members *members
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.members.left <= 0 {
		return 0, fmt.Errorf("inflates to more than %d MiB: %w", maxInflated>>20, seawall.ErrBound)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.members.left)])
	b.members.left -= int64(n)
	return n, err
}
