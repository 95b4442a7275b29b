// Package portset is sets of ports: which ports of TCP, UDP and SCTP, as sorted
// ranges that neither touch nor overlap, so that equal sets are equal values and
// have one Key. Sets are never changed once made; ports go from 1 to 65535.
package portset

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Protocol is a transport protocol of the Kubernetes API.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = iota
	UDP
	SCTP
	protocols
)

// Protocols lists them all.
func Protocols() []Protocol { return []Protocol{TCP, UDP, SCTP} }

// String is the name the Kubernetes API uses.
func (p Protocol) String() string { return [...]string{"TCP", "UDP", "SCTP"}[p] }

// ParseProtocol reads a protocol's name in any case. "" is TCP, as in the API.
func ParseProtocol(name string) (Protocol, error) {
	switch strings.ToUpper(name) {
	case "", "TCP":
		return TCP, nil
	case "UDP":
		return UDP, nil
	case "SCTP":
		return SCTP, nil
	}
	return 0, fmt.Errorf("unknown protocol %q (want TCP, UDP or SCTP)", name)
}

// Range is the ports First to Last, both included.
type Range struct{ First, Last uint16 }

// Set is a set of ports. The zero value is empty.
type Set struct{ ranges [protocols][]Range }

// All is every port of every protocol.
func All() Set {
	var s Set
	for p := range s.ranges {
		s.ranges[p] = []Range{{1, 65535}}
	}
	return s
}

// Of is the ports first to last of a protocol. It is an error when there are none.
func Of(p Protocol, first, last int) (Set, error) {
	if p >= protocols || first < 1 || last > 65535 || first > last {
		return Set{}, fmt.Errorf("ports %d to %d: want 1 to 65535, the first not above the last", first, last)
	}
	var s Set
	s.ranges[p] = []Range{{uint16(first), uint16(last)}}
	return s, nil
}

// Parse reads "tcp/80", "udp/53", "tcp/8000-8080", "80" (TCP), or "tcp" (all of it).
func Parse(text string) (Set, error) {
	name, ports, both := strings.Cut(text, "/")
	if !both {
		if _, err := strconv.Atoi(name[:min(1, len(name))]); err == nil {
			name, ports = "", name
		} else {
			ports = "1-65535"
		}
	}
	if both && name == "" || name == "" && ports == "" || text == "" {
		return Set{}, fmt.Errorf("port %q: write PROTOCOL/PORT or PROTOCOL/FIRST-LAST, as in tcp/443", text)
	}
	p, err := ParseProtocol(name)
	if err != nil {
		return Set{}, fmt.Errorf("port %q: %w", text, err)
	}
	low, high, isRange := strings.Cut(ports, "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.ParseUint(low, 10, 16)
	last, err2 := strconv.ParseUint(high, 10, 16)
	if err := cmp.Or(err1, err2); err != nil {
		return Set{}, fmt.Errorf("port %q: write PROTOCOL/PORT or PROTOCOL/FIRST-LAST, as in tcp/443", text)
	}
	s, err := Of(p, int(first), int(last))
	if err != nil {
		return Set{}, fmt.Errorf("port %q: %w", text, err)
	}
	return s, nil
}

// Ranges are the ports of one protocol; the slice must not be changed.
func (s Set) Ranges(p Protocol) []Range { return s.ranges[p] }

// Empty says whether no port is in it.
func (s Set) Empty() bool {
	return len(s.ranges[TCP])+len(s.ranges[UDP])+len(s.ranges[SCTP]) == 0
}

// Contains says whether one port is in it.
func (s Set) Contains(p Protocol, port uint16) bool {
	_, found := slices.BinarySearchFunc(s.ranges[p], port, func(r Range, port uint16) int {
		switch {
		case r.Last < port:
			return -1
		case r.First > port:
			return 1
		}
		return 0
	})
	return found
}

// Union is the ports in either.
func (s Set) Union(o Set) Set {
	var u Set
	for p := range s.ranges {
		u.ranges[p] = union(s.ranges[p], o.ranges[p])
	}
	return u
}

// Intersect is the ports in both.
func (s Set) Intersect(o Set) Set {
	var u Set
	for p := range s.ranges {
		u.ranges[p] = intersect(s.ranges[p], o.ranges[p])
	}
	return u
}

// Minus is the ports of s that are not in o.
func (s Set) Minus(o Set) Set {
	var u Set
	for p := range s.ranges {
		u.ranges[p] = minus(s.ranges[p], o.ranges[p])
	}
	return u
}

// Equal says whether both have the same ports.
func (s Set) Equal(o Set) bool {
	for p := range s.ranges {
		if !slices.Equal(s.ranges[p], o.ranges[p]) {
			return false
		}
	}
	return true
}

// Covers says whether every port of o is in s.
func (s Set) Covers(o Set) bool { return o.Minus(s).Empty() }

// Key is equal for equal sets and different for others.
func (s Set) Key() string {
	n := 0
	for _, rs := range s.ranges {
		n += 4*len(rs) + 2
	}
	b := make([]byte, 0, n)
	for _, rs := range s.ranges {
		b = append(b, byte(len(rs)>>8), byte(len(rs)))
		for _, r := range rs {
			b = append(b, byte(r.First>>8), byte(r.First), byte(r.Last>>8), byte(r.Last))
		}
	}
	return string(b)
}

// String is for people: "tcp 80, 443, 8000-8080; udp 53", "all ports", "no ports".
func (s Set) String() string {
	switch {
	case s.Empty():
		return "no ports"
	case s.Equal(All()):
		return "all ports"
	}
	var parts []string
	for p, rs := range s.ranges {
		if len(rs) == 0 {
			continue
		}
		words := make([]string, 0, len(rs))
		for _, r := range rs {
			words = append(words, r.String())
		}
		parts = append(parts, strings.ToLower(Protocol(p).String())+" "+strings.Join(words, ", "))
	}
	return strings.Join(parts, "; ")
}

// String is "80", "8000-8080" or "all".
func (r Range) String() string {
	switch {
	case r == Range{1, 65535}:
		return "all"
	case r.First == r.Last:
		return strconv.Itoa(int(r.First))
	}
	return strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

func union(a, b []Range) []Range {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := make([]Range, 0, len(a)+len(b))
	for len(a)+len(b) > 0 {
		var next Range
		if len(b) == 0 || len(a) > 0 && a[0].First <= b[0].First {
			next, a = a[0], a[1:]
		} else {
			next, b = b[0], b[1:]
		}
		if n := len(out); n > 0 && int(next.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, next.Last)
		} else {
			out = append(out, next)
		}
	}
	return out
}

func intersect(a, b []Range) []Range {
	var out []Range
	for len(a) > 0 && len(b) > 0 {
		if first, last := max(a[0].First, b[0].First), min(a[0].Last, b[0].Last); first <= last {
			out = append(out, Range{first, last})
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

func minus(a, b []Range) []Range {
	if len(b) == 0 {
		return a
	}
	var out []Range
	for _, r := range a {
		rest := true
		for _, cut := range b {
			if cut.Last < r.First || cut.First > r.Last {
				continue
			}
			if cut.First > r.First {
				out = append(out, Range{r.First, cut.First - 1})
			}
			if rest = cut.Last < r.Last; !rest {
				break
			}
			r.First = cut.Last + 1
		}
		if rest {
			out = append(out, r)
		}
	}
	return out
}
