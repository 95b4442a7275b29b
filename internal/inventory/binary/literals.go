package binary

import "encoding/binary"

// literals finds the occurrences of many strings in one pass. It is the
// algorithm of Wu and Manber ("A fast algorithm for multi-pattern searching",
// 1994) with blocks of two bytes: where the two bytes under the end of the
// window end no string's head, the window moves on by as much as they allow,
// so most bytes are never looked at.
type literals struct {
	texts []string
	// window is the length of the shortest text: what of each text is looked for.
	window int
	// jump has for every block how far to move; 0 means that a text's window may end here.
	jump [1 << 16]uint8
	// ending lists the texts by the block that ends their window.
	ending map[uint16][]uint8
}

// newLiterals prepares at most 255 texts of at least 3 bytes.
func newLiterals(texts []string) *literals {
	l := &literals{texts: texts, window: len(texts[0]), ending: make(map[uint16][]uint8)}
	for _, t := range texts {
		l.window = min(l.window, len(t))
	}
	for i := range l.jump {
		l.jump[i] = uint8(l.window - 1)
	}
	for n, t := range texts {
		for i := 1; i < l.window; i++ {
			block := binary.LittleEndian.Uint16([]byte(t[i-1 : i+1]))
			l.jump[block] = min(l.jump[block], uint8(l.window-1-i))
			if i == l.window-1 {
				l.ending[block] = append(l.ending[block], uint8(n))
			}
		}
	}
	return l
}

// scan calls found for every text that starts in b[from:to], in order of place.
// The texts may reach beyond to. It allocates nothing.
func (l *literals) scan(b []byte, from, to int, found func(text, at int)) {
	last := l.window - 1 // from a window's start to its last byte
	for at := from; at < to && at+last < len(b); {
		end := at + last
		block := uint16(b[end-1]) | uint16(b[end])<<8
		if j := l.jump[block]; j > 0 {
			at += int(j)
			continue
		}
		for _, n := range l.ending[block] {
			t := l.texts[n]
			if len(b)-at >= len(t) && string(b[at:at+len(t)]) == t {
				found(int(n), at)
			}
		}
		at++
	}
}
