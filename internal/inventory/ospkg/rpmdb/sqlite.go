package rpmdb

import (
	"encoding/binary"
	"fmt"
)

// The SQLite file format, https://www.sqlite.org/fileformat2.html, as far as
// one table without indexes needs it.
const (
	sqliteMagic = "SQLite format 3\x00"

	sqliteHeader       = 100 // bytes before page 1's b-tree
	sqliteInterior     = 0x05
	sqliteLeaf         = 0x0d
	sqliteMaxDepth     = 20
	sqlitePackageTable = "Packages"
)

// sqliteFile is the geometry of a SQLite file.
type sqliteFile struct {
	*database
	usable int // bytes of a page that are used
}

func (d *database) sqlite(head []byte) error {
	if len(head) < sqliteHeader {
		return corrupt("a SQLite file of %d bytes", len(head))
	}
	pageSize := int64(binary.BigEndian.Uint16(head[16:]))
	if pageSize == 1 {
		pageSize = 65536
	}
	s := sqliteFile{d, int(pageSize) - int(head[20])}
	if pageSize < 512 || pageSize&(pageSize-1) != 0 || s.usable < 480 {
		return corrupt("a SQLite page size of %d bytes, %d reserved", pageSize, head[20])
	}
	d.paged(pageSize)
	root := int64(0)
	err := s.table(1, 0, func(_ int64, record []byte) {
		if r, ok := packagesRoot(record); ok {
			root = r
		}
	})
	if err != nil {
		return fmt.Errorf("the schema: %w", err)
	}
	if root == 0 {
		return corrupt("a SQLite file without the table Packages")
	}
	return s.table(root, 0, s.packageRow)
}

// packageRow visits a row of Packages: its number, NULL in the record, and the blob.
func (s sqliteFile) packageRow(row int64, record []byte) {
	columns, err := splitRecord(record)
	if err == nil && len(columns) < 2 {
		err = corrupt("a row of %d columns", len(columns))
	}
	if err != nil {
		s.damaged(fmt.Errorf("package %d: %w", row, err))
		return
	}
	s.found(row, columns[1].data)
}

// packagesRoot returns the first page of the table Packages if the record of
// the schema (type, name, table, root page, SQL) is about it.
func packagesRoot(record []byte) (int64, bool) {
	c, err := splitRecord(record)
	if err != nil || len(c) < 4 || string(c[0].data) != "table" || string(c[1].data) != sqlitePackageTable {
		return 0, false
	}
	root := int64(0)
	for _, b := range c[3].data {
		root = root<<8 | int64(b)
	}
	return root, c[3].kind >= 1 && c[3].kind <= 6 && root > 0
}

// table visits the rows of the b-tree at a page, counting from 1, in order.
// The error is damage of the page itself; what is damaged below is only noted.
func (s sqliteFile) table(number int64, depth int, row func(id int64, record []byte)) error {
	if depth > sqliteMaxDepth {
		return corrupt("a b-tree deeper than %d", sqliteMaxDepth)
	}
	page := make([]byte, s.pageSize)
	if err := s.follow(number-1, page); err != nil {
		return err
	}
	head := page
	if number == 1 {
		head = page[sqliteHeader:]
	}
	kind, cells := head[0], int(binary.BigEndian.Uint16(head[3:]))
	pointers := head[8:]
	if kind == sqliteInterior {
		pointers = head[12:]
	} else if kind != sqliteLeaf {
		return corrupt("page %d is no page of a table (kind %d)", number, kind)
	}
	if 2*cells > len(pointers) {
		return corrupt("page %d lists %d cells", number, cells)
	}
	for i := 0; i < cells && !s.hopeless(); i++ {
		at := int(binary.BigEndian.Uint16(pointers[2*i:]))
		if at+4 > s.usable {
			s.damaged(corrupt("cell %d of page %d is beyond its end", i, number))
			continue
		}
		var err error
		if kind == sqliteLeaf {
			err = s.leafCell(page[at:s.usable], row)
		} else {
			err = s.table(int64(binary.BigEndian.Uint32(page[at:])), depth+1, row)
		}
		if err != nil {
			s.damaged(fmt.Errorf("cell %d of page %d: %w", i, number, err))
		}
	}
	if kind == sqliteInterior {
		return s.table(int64(binary.BigEndian.Uint32(head[8:])), depth+1, row)
	}
	return nil
}

// leafCell puts a row's record together and visits it.
func (s sqliteFile) leafCell(cell []byte, row func(id int64, record []byte)) error {
	size, n := varint(cell)
	id, m := varint(cell[n:])
	if n == 0 || m == 0 {
		return corrupt("a cell without length")
	}
	cell = cell[n+m:]
	local := s.localPart(size)
	if local == size {
		if size < 0 || size > int64(len(cell)) {
			return corrupt("a record of %d bytes ends outside its page", size)
		}
		if err := s.spend(size); err != nil {
			return err
		}
		row(id, cell[:size])
		return nil
	}
	if local < 0 || local+4 > int64(len(cell)) {
		return corrupt("a record of %d bytes ends outside its page", size)
	}
	if err := s.begin(size); err != nil {
		return err
	}
	s.blob = append(s.blob, cell[:local]...)
	next := int64(binary.BigEndian.Uint32(cell[local:]))
	for int64(len(s.blob)) < size {
		if err := s.follow(next-1, s.page); err != nil {
			return fmt.Errorf("overflow after %d of %d bytes: %w", len(s.blob), size, err)
		}
		next = int64(binary.BigEndian.Uint32(s.page))
		part := s.page[4:s.usable]
		s.blob = append(s.blob, part[:min(int64(len(part)), size-int64(len(s.blob)))]...)
	}
	row(id, s.blob)
	return nil
}

// localPart is how much of a record lies in the leaf page; section 1.6 of the format.
func (s sqliteFile) localPart(size int64) int64 {
	usable := int64(s.usable)
	if size <= usable-35 {
		return size
	}
	least := (usable-12)*32/255 - 23
	if k := least + (size-least)%(usable-4); k <= usable-35 {
		return k
	}
	return least
}

// column is one value of a record: its serial type and its bytes.
type column struct {
	kind int64
	data []byte
}

// splitRecord returns the first columns of a record.
func splitRecord(record []byte) ([]column, error) {
	const wanted = 5
	size, n := varint(record)
	if n == 0 || size < int64(n) || size > int64(len(record)) {
		return nil, corrupt("a record header of %d bytes in %d", size, len(record))
	}
	types, body := record[n:size], record[size:]
	columns := make([]column, 0, wanted)
	for len(types) > 0 && len(columns) < wanted {
		kind, n := varint(types)
		if n == 0 {
			return nil, corrupt("a record header that ends in a number")
		}
		types = types[n:]
		length := serialLength(kind)
		if length < 0 || length > int64(len(body)) {
			return nil, corrupt("a column of type %d in %d bytes", kind, len(body))
		}
		columns = append(columns, column{kind, body[:length]})
		body = body[length:]
	}
	return columns, nil
}

// serialLength is the number of bytes of a serial type, -1 for one that does not exist.
func serialLength(kind int64) int64 {
	switch {
	case kind >= 12:
		return (kind - 12) / 2
	case kind >= 0 && kind <= 4:
		return kind
	case kind == 5:
		return 6
	case kind == 6, kind == 7:
		return 8
	case kind == 8, kind == 9:
		return 0
	}
	return -1
}

// varint reads a number of one to nine bytes, seven bits each, the ninth with
// eight; n is 0 when there is none.
func varint(b []byte) (v int64, n int) {
	for n < len(b) && n < 8 {
		c := b[n]
		n++
		v = v<<7 | int64(c&0x7f)
		if c < 0x80 {
			return v, n
		}
	}
	if n < 8 || len(b) < 9 {
		return 0, 0
	}
	return v<<8 | int64(b[8]), 9
}
