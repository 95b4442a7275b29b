package rpmdb

import (
	"encoding/binary"
	"fmt"
)

// The layout of a BerkeleyDB hash file, as dbinc/db_page.h of Berkeley DB 4 and
// 5 has it. Numbers are in the byte order of the machine that wrote the file.
const (
	bdbMagic = 0x00061561

	bdbUnsortedHash = 2  // page types
	bdbOverflow     = 7  //
	bdbHash         = 13 //

	bdbPageHeader = 26

	bdbKeyData = 1 // item types
	bdbOffPage = 3
)

// bdb reads every page in turn: a package's number does not matter, so neither
// does the bucket it is in.
func (d *database) bdb(head []byte, order binary.ByteOrder) error {
	pageSize := int64(order.Uint32(head[20:]))
	if pageSize < 512 || pageSize > 65536 || pageSize&(pageSize-1) != 0 {
		return corrupt("a BerkeleyDB page size of %d bytes", pageSize)
	}
	last := int64(order.Uint32(head[32:]))
	if (last+1)*pageSize > d.size {
		d.damaged(corrupt("the file ends at page %d of %d", d.size/pageSize, last))
		last = d.size/pageSize - 1
	}
	d.paged(pageSize)
	page := make([]byte, pageSize)
	for number := int64(1); number <= last && !d.hopeless(); number++ {
		if _, err := d.r.ReadAt(page, number*pageSize); err != nil {
			return fmt.Errorf("page %d: %w", number, err)
		}
		if kind := page[25]; kind != bdbHash && kind != bdbUnsortedHash {
			continue
		}
		if err := d.bdbPage(number, page, order); err != nil {
			d.damaged(fmt.Errorf("page %d: %w", number, err))
		}
	}
	return nil
}

// bdbPage visits the packages of a hash page. Its items lie at the end, the
// first one last; keys and values take turns.
func (d *database) bdbPage(number int64, page []byte, order binary.ByteOrder) error {
	count := int(order.Uint16(page[20:]))
	if count%2 != 0 || bdbPageHeader+2*count > len(page) {
		return corrupt("%d items", count)
	}
	end := len(page)
	item := func(i int) []byte {
		start := int(order.Uint16(page[bdbPageHeader+2*i:]))
		if start >= end || start < bdbPageHeader+2*count {
			return nil
		}
		it := page[start:end]
		end = start
		return it
	}
	for i := 0; i < count; i += 2 {
		key, val := item(i), item(i+1)
		if key == nil || val == nil {
			return corrupt("item %d is out of order", i)
		}
		if key[0] != bdbKeyData || len(key) != 5 {
			return corrupt("item %d is no package number", i)
		}
		id := int64(order.Uint32(key[1:]))
		if id == 0 {
			continue // holds the next free number
		}
		blob, err := d.bdbValue(val, order)
		if err != nil {
			d.damaged(fmt.Errorf("package %d on page %d: %w", id, number, err))
			continue
		}
		d.found(id, blob)
	}
	return nil
}

// bdbValue returns the value of an item, put together from its chain of
// overflow pages when it is not on the page.
func (d *database) bdbValue(item []byte, order binary.ByteOrder) ([]byte, error) {
	if item[0] == bdbKeyData {
		return item[1:], nil
	}
	if item[0] != bdbOffPage || len(item) < 12 {
		return nil, corrupt("a value of kind %d in %d bytes", item[0], len(item))
	}
	next, size := int64(order.Uint32(item[4:])), int64(order.Uint32(item[8:]))
	if err := d.begin(size); err != nil {
		return nil, err
	}
	for int64(len(d.blob)) < size {
		if err := d.follow(next, d.page); err != nil {
			return nil, fmt.Errorf("overflow after %d of %d bytes: %w", len(d.blob), size, err)
		}
		used := int64(order.Uint16(d.page[22:]))
		if d.page[25] != bdbOverflow || used == 0 || bdbPageHeader+used > d.pageSize || used > size-int64(len(d.blob)) {
			return nil, corrupt("page %d holds %d bytes of a value, %d are missing", next, used, size-int64(len(d.blob)))
		}
		d.blob = append(d.blob, d.page[bdbPageHeader:bdbPageHeader+used]...)
		next = int64(order.Uint32(d.page[16:]))
	}
	return d.blob, nil
}
