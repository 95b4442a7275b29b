// Package needle finds many literals in one pass over a text: those of all
// secret rules at once.
package needle

import "strings"

// Set finds many literals in one pass. It looks at two bytes at a time and
// skips two where they occur in no needle (Wu and Manber, "A fast algorithm for
// multi-pattern searching", TR-94-17, University of Arizona 1994). Of every
// needle the rarest three bytes are searched for, the rest is compared.
type Set struct {
	// next is what to do at a pair of bytes: 0 skip two, 1 skip one, else look
	// into buckets[next-2].
	next    [1 << 16]uint16
	buckets []bucket
}

// bucket holds the needles whose window ends with one pair of bytes.
type bucket struct {
	first   [4]uint64 // bytes the windows begin with, as bits
	needles []needle
}

type needle struct {
	text   string // lower case when fold
	fold   bool   // any case
	window int    // offset of the window in text
	id     int
}

// window is the number of bytes searched for.
const window = 3

// Add takes a needle of at least three bytes; id is handed back where it is found.
func (n *Set) Add(text string, fold bool, id int) {
	if fold {
		text = strings.ToLower(text)
	}
	nd := needle{text: text, fold: fold, window: rarest(text), id: id}
	w := text[nd.window : nd.window+window]
	for _, a := range cases(w[0], fold) {
		for _, b := range cases(w[1], fold) {
			if pair := int(a)<<8 | int(b); n.next[pair] == 0 {
				n.next[pair] = 1
			}
		}
	}
	for _, b := range cases(w[1], fold) {
		for _, c := range cases(w[2], fold) {
			bk := n.bucket(int(b)<<8 | int(c))
			for _, a := range cases(w[0], fold) {
				bk.first[a>>6] |= 1 << (a & 63)
			}
			bk.needles = append(bk.needles, nd)
		}
	}
}

func (n *Set) bucket(pair int) *bucket {
	if n.next[pair] < 2 {
		n.buckets = append(n.buckets, bucket{})
		n.next[pair] = uint16(len(n.buckets) + 1)
	}
	return &n.buckets[n.next[pair]-2]
}

func cases(b byte, fold bool) []byte {
	if fold && b >= 'a' && b <= 'z' {
		return []byte{b, b - 'a' + 'A'}
	}
	return []byte{b}
}

// rarest returns the offset of the three bytes of text that ordinary text has least.
func rarest(text string) int {
	best, lowest := 0, int(^uint(0)>>1)
	for i := 0; i+window <= len(text); i++ {
		sum := 0
		for _, b := range []byte(text[i : i+window]) {
			sum += commonness(b)
		}
		if sum < lowest {
			best, lowest = i, sum
		}
	}
	return best
}

// commonness ranks bytes by how often source text has them.
func commonness(b byte) int {
	switch {
	case b >= 'a' && b <= 'z':
		return 16 + 4*strings.IndexByte("zqjxkvbywgpfmucdlhrsnioate", b)
	case b >= 'A' && b <= 'Z':
		return 14
	case b >= '0' && b <= '9':
		return 12
	case strings.IndexByte(" ./-_=:", b) >= 0:
		return 30
	}
	return 8
}

// Find calls found for every needle in data that starts at from or later, with
// the place where it starts, in order of their windows.
func (n *Set) Find(data []byte, from int, found func(id, pos int)) {
	for i := from + window - 1; i < len(data); {
		switch next := n.next[int(data[i-1])<<8|int(data[i])]; next {
		case 0:
			i += 2
		case 1:
			i++
		default:
			if b := &n.buckets[next-2]; b.first[data[i-2]>>6]&(1<<(data[i-2]&63)) != 0 {
				b.compare(data, from, i-(window-1), found)
			}
			i++
		}
	}
}

func (b *bucket) compare(data []byte, from, at int, found func(id, pos int)) {
	for i := range b.needles {
		nd := &b.needles[i]
		pos := at - nd.window
		if pos < from || pos+len(nd.text) > len(data) {
			continue
		}
		if text := data[pos : pos+len(nd.text)]; string(text) == nd.text || nd.fold && equalFold(text, nd.text) {
			found(nd.id, pos)
		}
	}
}

// equalFold compares with a text in lower case.
func equalFold(data []byte, lower string) bool {
	for i, b := range data {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}
