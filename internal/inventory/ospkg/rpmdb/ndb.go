package rpmdb

import (
	"encoding/binary"
	"fmt"
)

// The layout of an NDB file, as rpm's own reader has it (lib/backend/ndb/rpmpkg.c):
// pages of slots at the start, blobs in blocks of 16 bytes behind them; all
// numbers little endian.
const (
	ndbMagic     = "RpmP"
	ndbSlotMagic = "Slot"
	ndbBlobMagic = "BlbS"

	ndbVersion   = 0
	ndbPage      = 4096
	ndbHeader    = 32
	ndbSlot      = 16
	ndbBlock     = 16
	ndbBlobStart = 16
)

func (d *database) ndb(head []byte) error {
	if len(head) < ndbHeader {
		return corrupt("an NDB file of %d bytes", len(head))
	}
	version, pages := binary.LittleEndian.Uint32(head[4:]), int64(binary.LittleEndian.Uint32(head[12:]))
	if version != ndbVersion {
		return corrupt("NDB version %d is not known", version)
	}
	if pages == 0 || pages*ndbPage > d.size {
		return corrupt("%d pages of slots in %d bytes", pages, d.size)
	}
	page := make([]byte, ndbPage)
	for i := range pages {
		if _, err := d.r.ReadAt(page, i*ndbPage); err != nil {
			return fmt.Errorf("slots of page %d: %w", i, err)
		}
		slots := page
		if i == 0 {
			slots = page[ndbHeader:]
		}
		for ; len(slots) > 0 && !d.hopeless(); slots = slots[ndbSlot:] {
			if err := d.ndbSlot(slots[:ndbSlot]); err != nil {
				return err
			}
		}
	}
	return nil
}

// ndbSlot visits the package of a slot. The error says that no other slot can be trusted.
func (d *database) ndbSlot(slot []byte) error {
	if string(slot[:4]) != ndbSlotMagic {
		return corrupt("a slot begins with %q", slot[:4])
	}
	number := binary.LittleEndian.Uint32(slot[4:])
	if number == 0 {
		return nil // free
	}
	at := int64(binary.LittleEndian.Uint32(slot[8:])) * ndbBlock
	room := int64(binary.LittleEndian.Uint32(slot[12:])) * ndbBlock
	blob, err := d.ndbBlob(number, at, room)
	if err != nil {
		d.damaged(fmt.Errorf("package %d: %w", number, err))
		return nil
	}
	d.found(int64(number), blob)
	return nil
}

// ndbBlob reads the blob of a package.
func (d *database) ndbBlob(number uint32, at, room int64) ([]byte, error) {
	if at+room > d.size || room < ndbBlobStart {
		return nil, corrupt("%d bytes at %d in a file of %d", room, at, d.size)
	}
	var head [ndbBlobStart]byte
	if _, err := d.r.ReadAt(head[:], at); err != nil {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(head[12:]))
	switch {
	case string(head[:4]) != ndbBlobMagic:
		return nil, corrupt("a blob begins with %q", head[:4])
	case binary.LittleEndian.Uint32(head[4:]) != number:
		return nil, corrupt("the blob is of package %d", binary.LittleEndian.Uint32(head[4:]))
	case size > room-ndbBlobStart:
		return nil, corrupt("%d bytes in a blob of %d", size, room)
	}
	if err := d.begin(size); err != nil {
		return nil, err
	}
	d.blob = d.blob[:size]
	if _, err := d.r.ReadAt(d.blob, at+ndbBlobStart); err != nil {
		return nil, err
	}
	return d.blob, nil
}
