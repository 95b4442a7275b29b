// Package rpmdb reads the package database of rpm in the three formats it has
// had: BerkeleyDB hash (to RHEL 8), NDB (SUSE) and SQLite (RHEL 9, Fedora,
// Azure Linux). It works on any io.ReaderAt, holds one package in memory at a
// time, writes nothing and needs neither a SQL engine nor a temporary file.
//
// Each format is a container of header blobs by number. A reader of the
// container (sqlite.go, ndb.go, bdb.go) yields blobs, header.go parses one.
// Containers are foreign bytes: every page is followed once at most, so a cycle
// ends as damage, and no length is believed beyond the file's own size. Damage
// is reported after everything else was read.
package rpmdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/seawall-security/seawall/internal/seawall"
)

// maxBlob is the largest header read. rpm itself refuses headers over 256 MiB;
// the largest in Fedora, a kernel's file list, is 2 MiB.
const maxBlob = 64 << 20

// maxDamages is when a file is given up.
const maxDamages = 1000

// Read calls visit with every package of the database, in stored order. The
// Package is valid until visit returns.
//
// The error is nil, or tells what could not be read while everything that
// could was visited: it wraps seawall.ErrCorrupt for damage and
// seawall.ErrBound for what is too large.
func Read(r io.ReaderAt, size int64, visit func(*Package)) error {
	d := database{r: r, size: size, visit: visit}
	head := make([]byte, 512)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the start: %w", err)
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte(sqliteMagic)):
		err = d.sqlite(head)
	case bytes.HasPrefix(head, []byte(ndbMagic)):
		err = d.ndb(head)
	case len(head) == 512 && binary.LittleEndian.Uint32(head[12:]) == bdbMagic:
		err = d.bdb(head, binary.LittleEndian)
	case len(head) == 512 && binary.BigEndian.Uint32(head[12:]) == bdbMagic:
		err = d.bdb(head, binary.BigEndian)
	default:
		return fmt.Errorf("neither a SQLite, an NDB nor a BerkeleyDB hash file: %w", seawall.ErrCorrupt)
	}
	if err != nil {
		d.damaged(err)
	}
	if d.damages > 1 {
		return fmt.Errorf("%w (and %d more)", d.first, d.damages-1)
	}
	return d.first
}

// database is the state of reading one database.
type database struct {
	r     io.ReaderAt
	size  int64
	visit func(*Package)

	pageSize int64
	followed []uint64 // a bit for each page that was followed
	spent    int64    // bytes of blobs handed out
	blob     []byte   // the blob being put together
	page     []byte   // scratch for pages of a chain
	pkg      Package

	first   error
	damages int
}

// damaged records damage and goes on.
func (d *database) damaged(err error) {
	if d.first == nil {
		d.first = err
	}
	d.damages++
}

// found parses a blob and visits it.
func (d *database) found(number int64, blob []byte) {
	if err := d.pkg.parse(blob); err != nil {
		d.damaged(fmt.Errorf("package %d: %w", number, err))
		return
	}
	d.visit(&d.pkg)
}

// hopeless says whether the file is too damaged to go on.
func (d *database) hopeless() bool { return d.damages >= maxDamages }

// spend counts the bytes of a blob. A database never holds more than its own
// size, unless blobs overlap.
func (d *database) spend(n int64) error {
	if n < 0 || n > d.size-d.spent {
		return corrupt("headers are longer than the file")
	}
	d.spent += n
	return nil
}

// begin makes room for a blob of n bytes.
func (d *database) begin(n int64) error {
	if n > maxBlob {
		return fmt.Errorf("a header of %d bytes, %d are allowed: %w", n, int64(maxBlob), seawall.ErrBound)
	}
	if err := d.spend(n); err != nil {
		return err
	}
	if int64(cap(d.blob)) < n {
		d.blob = make([]byte, 0, n)
	}
	d.blob = d.blob[:0]
	return nil
}

// paged sets the page size and forgets which pages were followed.
func (d *database) paged(pageSize int64) {
	d.pageSize = pageSize
	d.followed = make([]uint64, (d.size/pageSize+1+63)/64)
	d.page = make([]byte, pageSize)
}

// follow reads a page, counting from 0, into buf. A page may be followed once.
func (d *database) follow(number int64, buf []byte) error {
	if number < 0 || (number+1)*d.pageSize > d.size {
		return corrupt("page %d is beyond the end", number)
	}
	if word, bit := number/64, uint64(1)<<(number%64); d.followed[word]&bit != 0 {
		return corrupt("page %d is used twice", number)
	} else {
		d.followed[word] |= bit
	}
	if _, err := d.r.ReadAt(buf[:d.pageSize], number*d.pageSize); err != nil {
		return fmt.Errorf("page %d: %w", number, err)
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, seawall.ErrCorrupt)...)
}
