package secret

// wide recognises UTF-16 by its byte order mark, as Windows' tools write it, and
// makes each of its units one byte: what is ASCII stays, what is not becomes some
// byte above it. Credentials are ASCII; the search needs no more.
type wide struct {
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

// narrow does so in place with the next part of a text, and returns what is left
// of its length. The rest of b is cleared.
func (w *wide) narrow(b []byte) int {
	if w.order == notSeen && len(b) > 0 {
		w.order = orderOf(b)
	}
	if w.order <= notWide {
		return len(b)
	}
	n := 0
	for _, c := range b {
		if w.odd = !w.odd; w.odd {
			w.first = c
			continue
		}
		low, high := w.first, c
		if w.order == bigEndian {
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
