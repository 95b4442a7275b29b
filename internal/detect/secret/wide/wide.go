// Package wide makes UTF-16 text searchable in the form of bytes.
package wide

// Text recognises UTF-16 by its byte order mark, as Windows' tools write it, and
// makes each of its units one byte: what is ASCII stays, what is not becomes some
// byte above it. Credentials are ASCII; the search needs no more. The zero value
// is the beginning of a text.
type Text struct {
	order byteOrder
	odd   bool // first is the first byte of a unit
	first byte
}

type byteOrder uint8

const (
	notSeen byteOrder = iota
	notWide
	littleEndian
	bigEndian
)

// Narrow does so in place with the next part of the text, and returns what is left
// of its length. The rest of b is cleared. Other texts stay as they are.
func (t *Text) Narrow(b []byte) int {
	if t.order == notSeen && len(b) > 0 {
		t.order = orderOf(b)
	}
	if t.order <= notWide {
		return len(b)
	}
	n := 0
	for _, c := range b {
		if t.odd = !t.odd; t.odd {
			t.first = c
			continue
		}
		low, high := t.first, c
		if t.order == bigEndian {
			low, high = high, low
		}
		switch {
		case high == 0xfe && low == 0xff: // the mark itself
			continue
		case high != 0:
			low |= 0x80
		}
		b[n] = low
		n++
	}
	clear(b[n:])
	return n
}

func orderOf(b []byte) byteOrder {
	switch {
	case len(b) < 2:
		return notWide
	case b[0] == 0xff && b[1] == 0xfe:
		return littleEndian
	case b[0] == 0xfe && b[1] == 0xff:
		return bigEndian
	}
	return notWide
}
