package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

// bundle is a set of files by slash-separated path, wherever they lie.
type bundle interface {
	// open returns a file and its size; fs.ErrNotExist when it is not there.
	open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// directory is a bundle whose files cannot be outside of it.
type directory struct{ root *os.Root }

func (d directory) open(name string) (io.ReadCloser, int64, error) {
	// O_NONBLOCK: a named pipe in a blob's place must not hang the scan.
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: not a regular file", name, seawall.ErrCorrupt)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

func (d directory) Close() error { return d.root.Close() }

// Bounds of the members of an archive: it holds a few blobs a layer. maxNames is of their names together.
const maxMembers, maxLinks, maxNames = 200_000, 16, 32 << 20

// tarball is a bundle inside an uncompressed tar.
type tarball struct {
	at      io.ReaderAt
	members map[string]member
	closer  io.Closer
}

// member is where a file's bytes are, or which other member it links to.
type member struct {
	offset, size int64
	link         string
}

// indexTar reads the headers of an uncompressed tar of size bytes.
func indexTar(ctx context.Context, at io.ReaderAt, size int64, closer io.Closer) (*tarball, error) {
	t := &tarball{at: at, members: map[string]member{}, closer: closer}
	section := io.NewSectionReader(at, 0, size)
	tr := tar.NewReader(section)
	for n, names := 0, 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		hdr, err := tr.Next()
		if err == io.EOF {
			return t, nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil, fmt.Errorf("%w: tar member %d: %w", seawall.ErrCorrupt, n, err)
		}
		if names += len(hdr.Name) + len(hdr.Linkname); n >= maxMembers || names > maxNames {
			return nil, fmt.Errorf("%w: more than %d tar members, or names of more than %d bytes", seawall.ErrBound, maxMembers, maxNames)
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := t.add(hdr, offset, size); err != nil {
			return nil, err
		}
	}
}

func (t *tarball) add(hdr *tar.Header, offset, size int64) error {
	name := source.CleanPath(hdr.Name)
	switch hdr.Typeflag {
	case tar.TypeReg:
		if _, sparse := hdr.PAXRecords["GNU.sparse.major"]; sparse || hdr.Size > size-offset {
			return fmt.Errorf("%w: %s: %d bytes, but the archive ends before", seawall.ErrCorrupt, name, hdr.Size)
		}
		t.members[name] = member{offset: offset, size: hdr.Size}
	case tar.TypeSymlink:
		target := hdr.Linkname
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		t.members[name] = member{link: source.CleanPath(target)}
	case tar.TypeLink:
		t.members[name] = member{link: source.CleanPath(hdr.Linkname)}
	case tar.TypeGNUSparse:
		return fmt.Errorf("%w: %s: a sparse member", seawall.ErrCorrupt, name)
	}
	return nil
}

func (t *tarball) open(name string) (io.ReadCloser, int64, error) {
	m, ok := t.members[source.CleanPath(name)]
	for i := 0; ok && m.link != ""; i++ {
		if i == maxLinks {
			return nil, 0, fmt.Errorf("%s: %w: links in a circle", name, seawall.ErrCorrupt)
		}
		m, ok = t.members[m.link]
	}
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(t.at, m.offset, m.size)), m.size, nil
}

func (t *tarball) Close() error { return t.closer.Close() }

// maxDocument bounds index.json and manifest.json.
const maxDocument = 16 << 20

// readSmall reads a whole file of a bundle.
func readSmall(b bundle, name string) ([]byte, error) {
	rc, size, err := b.open(name)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if size > maxDocument {
		return nil, fmt.Errorf("%s: %w: %d bytes where at most %d are read", name, seawall.ErrBound, size, maxDocument)
	}
	raw, err := io.ReadAll(io.LimitReader(rc, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, seawall.ErrUnreadable, err)
	}
	return raw, nil
}
