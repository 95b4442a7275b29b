package secret

import (
	"archive/tar"
	"archive/zip"
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

// archive searches the members of an archive. Archives within archives are not opened.
func (c *Collector) archive(ctx context.Context, f seawall.File, kind archiveForm) ([]seawall.Fact, error) {
	release, err := f.Budget(archiveMemory)
	if err != nil {
		return nil, err
	}
	defer release()
	a := &members{c: c, ctx: ctx, path: f.Path, left: maxInflated}
	switch kind {
	case zipArchive:
		err = a.zip(f.Content)
	case tarArchive:
		err = a.tar(f.Content)
	default:
		var z *gzip.Reader
		if z, err = gzip.NewReader(f.Content); err != nil {
			return nil, fmt.Errorf("gzip: %w: %w", seawall.ErrCorrupt, err)
		}
		if kind == tarGzip {
			err = a.tar(z)
		} else {
			err = a.member(strings.TrimSuffix(path.Base(f.Path), ".gz"), z)
		}
	}
	return facts(a.found), err
}

// members goes through one archive within its bounds.
type members struct {
	c     *Collector
	ctx   context.Context
	path  string
	left  int64
	found []seawall.Match
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
		if m.UncompressedSize64 < minFile || m.Mode()&fs.ModeType != 0 || skipped(m.Name) || archiveKind(m.Name) != notArchive {
			continue
		}
		r, err := m.Open()
		if err == nil {
			err = a.member(m.Name, r)
			r.Close()
		}
		if errors.Is(err, seawall.ErrBound) {
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
	for n := 0; ; n++ {
		if err := a.ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, seawall.ErrBound):
			return err
		case err != nil:
			return fmt.Errorf("tar: %w: %w", seawall.ErrCorrupt, err)
		case n > maxMembers:
			return fmt.Errorf("more than %d members: %w", maxMembers, seawall.ErrBound)
		}
		if h.Typeflag != tar.TypeReg || h.Size < minFile || skipped(h.Name) || archiveKind(h.Name) != notArchive {
			continue
		}
		if err := a.text(h.Name, t); err != nil {
			return err
		}
	}
}

// member searches a compressed member, whose size is only known by reading it.
func (a *members) member(name string, r io.Reader) error {
	return a.text(name, &bounded{r: r, members: a})
}

func (a *members) text(name string, r io.Reader) error {
	found, err := a.c.text(a.path, path.Clean(name), r)
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
