package portset

import (
	"math/rand/v2"
	"testing"
)

// naive is a set as a map: nothing to get wrong.
type naive map[[2]int]bool

func random(r *rand.Rand) (Set, naive) {
	var s Set
	n := naive{}
	for range r.IntN(5) {
		p, first := Protocol(r.IntN(3)), 1+r.IntN(40)
		if r.IntN(4) == 0 {
			first = 65535 - r.IntN(20)
		}
		last := min(65535, first+r.IntN(8))
		part, err := Of(p, first, last)
		if err != nil {
			panic(err)
		}
		s = s.Union(part)
		for port := first; port <= last; port++ {
			n[[2]int{int(p), port}] = true
		}
	}
	return s, n
}

func (n naive) same(t *testing.T, what string, s Set) {
	t.Helper()
	count := 0
	for _, p := range Protocols() {
		last := -1
		for _, r := range s.Ranges(p) {
			if int(r.First) <= last+1 || r.Last < r.First {
				t.Fatalf("%s: %v is not canonical", what, s)
			}
			last = int(r.Last)
			count += int(r.Last) - int(r.First) + 1
		}
	}
	if count != len(n) {
		t.Fatalf("%s: %v has %d ports, want %d", what, s, count, len(n))
	}
	for k := range n {
		if !s.Contains(Protocol(k[0]), uint16(k[1])) {
			t.Fatalf("%s: %v lacks %v", what, s, k)
		}
	}
}

func TestAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		a, na := random(r)
		b, nb := random(r)
		union, both, less := naive{}, naive{}, naive{}
		for k := range na {
			union[k] = true
			if nb[k] {
				both[k] = true
			} else {
				less[k] = true
			}
		}
		for k := range nb {
			union[k] = true
		}
		union.same(t, "union", a.Union(b))
		both.same(t, "intersection", a.Intersect(b))
		less.same(t, "difference", a.Minus(b))
		if got := All().Minus(All().Minus(a)); !got.Equal(a) {
			t.Fatalf("the complement's complement of %v is %v", a, got)
		}
		if (a.Key() == b.Key()) != a.Equal(b) {
			t.Fatalf("keys of %v and %v", a, b)
		}
		if a.Covers(b) != (len(union) == len(na)) {
			t.Fatalf("%v covers %v: %v", a, b, a.Covers(b))
		}
	}
}

// TestTable: a table computes as sets do, whatever it was asked before.
func TestTable(t *testing.T) {
	r, table := rand.New(rand.NewPCG(5, 6)), NewTable()
	for range 3000 {
		a, _ := random(r)
		b, _ := random(r)
		if r.IntN(10) == 0 {
			b = All()
		}
		x, y := table.ID(a), table.ID(b)
		for what, pair := range map[string][2]Set{
			"union": {a.Union(b), table.Set(table.Union(x, y))}, "intersection": {a.Intersect(b), table.Set(table.Intersect(x, y))}, "difference": {a.Minus(b), table.Set(table.Minus(x, y))},
		} {
			if !pair[0].Equal(pair[1]) {
				t.Fatalf("%s of %v and %v: %v, want %v", what, a, b, pair[1], pair[0])
			}
		}
		if (x == y) != a.Equal(b) || (x == None) != a.Empty() {
			t.Fatalf("numbers of %v and %v", a, b)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"tcp/80": "tcp 80", "UDP/53": "udp 53", "443": "tcp 443", "sctp": "sctp all", "tcp/1-65535": "tcp all", "8000-8080": "tcp 8000-8080",
		"": "", "tcp/0": "", "tcp/": "", "/80": "", "icmp/1": "", "tcp/9-8": "", "tcp/65536": "", "tcp/-1": "", "http": "", "80-": "",
	} {
		s, err := Parse(text)
		if (err == nil) != (want != "") || err == nil && s.String() != want {
			t.Errorf("Parse(%q) = %v, %v; want %q", text, s, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"tcp/80", "udp/1-65535", "443", "sctp", "tcp/", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if (err == nil) == s.Empty() {
			t.Fatalf("Parse(%q) = %v, %v", text, s, err)
		}
	})
}

func BenchmarkIntersect(b *testing.B) {
	x, _ := Parse("tcp/80")
	y, _ := Parse("tcp/8000-9000")
	s := x.Union(y)
	for b.Loop() {
		s.Intersect(y)
	}
}
