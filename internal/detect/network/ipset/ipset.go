// Package ipset is sets of IP addresses: sorted ranges that neither touch nor
// overlap, IPv4 before IPv6, so that equal sets are equal values. Sets are never
// changed once made. Zones (fe80::1%eth0) are no part of an address here, and
// IPv4 addresses written as IPv6 (::ffff:10.0.0.1) are refused, as the API does.
package ipset

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Range is the addresses First to Last, both included, of one family.
type Range struct{ First, Last netip.Addr }

// Set is a set of addresses. The zero value is empty.
type Set struct{ ranges []Range }

// All is every IPv4 and IPv6 address.
func All() Set { return Set{[]Range{everyIPv4(), everyIPv6()}} }

// AllOf is every address of the family of a.
func AllOf(a netip.Addr) Set {
	if a.Is4() {
		return Set{[]Range{everyIPv4()}}
	}
	return Set{[]Range{everyIPv6()}}
}

func everyIPv4() Range { return rangeOf(netip.MustParsePrefix("0.0.0.0/0")) }
func everyIPv6() Range { return rangeOf(netip.MustParsePrefix("::/0")) }

// Parse reads a CIDR block or a single address. Bits behind the block's length
// are cut off, as network plugins do.
func Parse(text string) (Set, error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return Set{}, fmt.Errorf("%q is no CIDR block, as in 10.0.0.0/8 or fd00::/8", text)
		}
		return Of(p), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4In6() || a.Zone() != "" {
		return Set{}, fmt.Errorf("%q is neither an IP address nor a CIDR block", text)
	}
	return Set{[]Range{{a, a}}}, nil
}

// Of is the addresses of blocks.
func Of(blocks ...netip.Prefix) Set {
	var s Set
	for _, p := range blocks {
		s.ranges = append(s.ranges, rangeOf(p))
	}
	return Set{canonical(s.ranges)}
}

// Between is the addresses of one range.
func Between(r Range) Set { return Set{[]Range{r}} }

func rangeOf(p netip.Prefix) Range {
	first := p.Masked().Addr()
	b := first.AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(b)
	return Range{first, last}
}

// canonical sorts and joins ranges, in place.
func canonical(rs []Range) []Range {
	slices.SortFunc(rs, func(a, b Range) int { return a.First.Compare(b.First) })
	out := rs[:0]
	for _, r := range rs {
		if n := len(out); n > 0 && !follows(out[n-1].Last, r.First) {
			if out[n-1].Last.Less(r.Last) {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// follows says whether b lies behind a with a gap, or is of another family.
func follows(a, b netip.Addr) bool {
	if a.Is4() != b.Is4() {
		return true
	}
	next := a.Next()
	return next.IsValid() && next.Less(b)
}

// Ranges are the set's ranges; the slice must not be changed.
func (s Set) Ranges() []Range { return s.ranges }

// Empty says whether no address is in it.
func (s Set) Empty() bool { return len(s.ranges) == 0 }

// Contains says whether an address is in it.
func (s Set) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	_, found := slices.BinarySearchFunc(s.ranges, a, func(r Range, a netip.Addr) int {
		switch {
		case r.Last.Less(a):
			return -1
		case a.Less(r.First):
			return 1
		}
		return 0
	})
	return found
}

// Union is the addresses in either.
func (s Set) Union(o Set) Set {
	return Set{canonical(slices.Concat(s.ranges, o.ranges))}
}

// Intersect is the addresses in both.
func (s Set) Intersect(o Set) Set {
	var out []Range
	a, b := s.ranges, o.ranges
	for len(a) > 0 && len(b) > 0 {
		first, last := a[0].First, a[0].Last
		if first.Less(b[0].First) {
			first = b[0].First
		}
		if b[0].Last.Less(last) {
			last = b[0].Last
		}
		if first.Is4() == last.Is4() && !last.Less(first) {
			out = append(out, Range{first, last})
		}
		if a[0].Last.Less(b[0].Last) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return Set{out}
}

// Minus is the addresses of s that are not in o.
func (s Set) Minus(o Set) Set {
	var out []Range
	for _, r := range s.ranges {
		rest := true
		for _, cut := range o.ranges {
			if cut.Last.Less(r.First) || r.Last.Less(cut.First) {
				continue
			}
			if r.First.Less(cut.First) {
				out = append(out, Range{r.First, cut.First.Prev()})
			}
			if rest = cut.Last.Less(r.Last); !rest {
				break
			}
			r.First = cut.Last.Next()
		}
		if rest {
			out = append(out, r)
		}
	}
	return Set{out}
}

// Equal says whether both have the same addresses.
func (s Set) Equal(o Set) bool { return slices.Equal(s.ranges, o.ranges) }

// Covers says whether every address of o is in s.
func (s Set) Covers(o Set) bool { return o.Minus(s).Empty() }

// Prefixes are the fewest CIDR blocks that make up the set, in order.
func (s Set) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, r := range s.ranges {
		for first := r.First; ; {
			p := widest(first, r.Last)
			out = append(out, p)
			last := rangeOf(p).Last
			if last == r.Last {
				break
			}
			first = last.Next()
		}
	}
	return out
}

// widest is the largest block that starts at first and does not pass last.
func widest(first, last netip.Addr) netip.Prefix {
	for bits := 0; ; bits++ {
		p := netip.PrefixFrom(first, bits)
		if p.Masked().Addr() == first && !last.Less(rangeOf(p).Last) {
			return p
		}
	}
}

// String is the blocks, "any address" or "no address".
func (s Set) String() string {
	switch {
	case s.Empty():
		return "no address"
	case s.Equal(All()):
		return "any address"
	}
	blocks := s.Prefixes()
	words := make([]string, len(blocks))
	for i, p := range blocks {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}

// Internet is the addresses that are routed on the public Internet: all but the
// special-purpose registries of RFC 6890 (private, shared, loopback, link-local,
// documentation, multicast, reserved); of IPv6 the global unicast block 2000::/3.
func Internet() Set {
	var special []netip.Prefix
	for _, block := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001:db8::/32",
	} {
		special = append(special, netip.MustParsePrefix(block))
	}
	public := Of(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("2000::/3"))
	return public.Minus(Of(special...))
}

// Private is the IPv4 addresses for use within an organisation (RFC 1918, RFC 6598).
func Private() Set {
	return Of(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"))
}
