package ipset

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The universe of the tests: the ends of both families, where carries and borders lie.
func universe() []netip.Addr {
	var all []netip.Addr
	for _, start := range []string{"0.0.0.0", "10.0.0.0", "255.255.255.224", "::", "fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffe0"} {
		a := netip.MustParseAddr(start)
		for range 32 {
			all = append(all, a)
			a = a.Next()
		}
	}
	return all
}

func random(r *rand.Rand, all []netip.Addr) Set {
	var s Set
	for range r.IntN(5) {
		a := all[r.IntN(len(all))]
		bits := a.BitLen() - r.IntN(6)
		if r.IntN(8) == 0 {
			bits = r.IntN(a.BitLen() + 1)
		}
		s = s.Union(Of(netip.PrefixFrom(a, bits)))
	}
	return s
}

func canonicalForm(t *testing.T, s Set) {
	t.Helper()
	for i, r := range s.Ranges() {
		if r.Last.Less(r.First) || r.First.Is4() != r.Last.Is4() || i > 0 && !follows(s.ranges[i-1].Last, r.First) {
			t.Fatalf("%v is not canonical", s.ranges)
		}
	}
}

func TestAlgebra(t *testing.T) {
	r, all := rand.New(rand.NewPCG(3, 4)), universe()
	for range 3000 {
		a, b := random(r, all), random(r, all)
		union, both, less := a.Union(b), a.Intersect(b), a.Minus(b)
		for _, s := range []Set{union, both, less} {
			canonicalForm(t, s)
		}
		for _, ip := range all {
			inA, inB := a.Contains(ip), b.Contains(ip)
			if union.Contains(ip) != (inA || inB) || both.Contains(ip) != (inA && inB) || less.Contains(ip) != (inA && !inB) {
				t.Fatalf("%v with %v at %v", a, b, ip)
			}
		}
		if !All().Minus(All().Minus(a)).Equal(a) {
			t.Fatalf("the complement's complement of %v", a)
		}
		if !Of(a.Prefixes()...).Equal(a) {
			t.Fatalf("%v is not the sum of its blocks %v", a.ranges, a.Prefixes())
		}
		if !less.Union(both).Equal(a) || a.Covers(b) != union.Equal(a) {
			t.Fatalf("parts of %v by %v", a, b)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0", "fd00::/8": "fd00::/8", "10.0.0.1": "10.0.0.1/32", "::1": "::1/128",
		"": "", "10.0.0.0/33": "", "::ffff:10.0.0.1": "", "::ffff:10.0.0.0/104": "", "fe80::1%eth0": "", "10.0.0": "", "010.0.0.1": "", "x/8": "",
	} {
		s, err := Parse(text)
		if (err == nil) != (want != "") || err == nil && s.String() != want {
			t.Errorf("Parse(%q) = %v, %v; want %q", text, s, err, want)
		}
	}
}

func TestInternet(t *testing.T) {
	for ip, want := range map[string]bool{"8.8.8.8": true, "2606:4700::1111": true, "10.1.1.1": false, "169.254.169.254": false, "fd00::1": false, "::1": false, "172.32.0.1": true} {
		if got := Internet().Contains(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::/0", "1.2.3.4", "fd00::1/64", "0.0.0.0/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if (err == nil) == s.Empty() {
			t.Fatalf("Parse(%q) = %v, %v", text, s, err)
		}
		if err == nil && len(s.Prefixes()) != 1 {
			t.Fatalf("Parse(%q) is %d blocks", text, len(s.Prefixes()))
		}
	})
}
