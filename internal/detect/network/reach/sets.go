package reach

import "github.com/seawall-security/seawall/internal/detect/network/portset"

// setID stands for a set of ports in an interner: 0 none, 1 all.
type setID uint32

const (
	noPorts  setID = 0
	allPorts setID = 1
)

// interner gives equal sets one number and remembers what became of two.
type interner struct {
	sets                 []portset.Set
	ids                  map[string]setID
	unions, boths, lesss map[[2]setID]setID
}

func newInterner() interner {
	in := interner{ids: map[string]setID{}, unions: map[[2]setID]setID{}, boths: map[[2]setID]setID{}, lesss: map[[2]setID]setID{}}
	in.id(portset.Set{})
	in.id(portset.All())
	return in
}

func (in *interner) id(s portset.Set) setID {
	key := s.Key()
	id, ok := in.ids[key]
	if !ok {
		id = setID(len(in.sets))
		in.ids[key] = id
		in.sets = append(in.sets, s)
	}
	return id
}

func (in *interner) union(a, b setID) setID {
	switch {
	case a == b, b == noPorts, a == allPorts:
		return a
	case a == noPorts, b == allPorts:
		return b
	}
	key := [2]setID{min(a, b), max(a, b)}
	id, ok := in.unions[key]
	if !ok {
		id = in.id(in.sets[a].Union(in.sets[b]))
		in.unions[key] = id
	}
	return id
}

func (in *interner) both(a, b setID) setID {
	switch {
	case a == b, a == noPorts, b == allPorts:
		return a
	case b == noPorts, a == allPorts:
		return b
	}
	key := [2]setID{min(a, b), max(a, b)}
	id, ok := in.boths[key]
	if !ok {
		id = in.id(in.sets[a].Intersect(in.sets[b]))
		in.boths[key] = id
	}
	return id
}

func (in *interner) less(a, b setID) setID {
	switch {
	case a == noPorts, b == noPorts:
		return a
	case a == b, b == allPorts:
		return noPorts
	}
	key := [2]setID{a, b}
	id, ok := in.lesss[key]
	if !ok {
		id = in.id(in.sets[a].Minus(in.sets[b]))
		in.lesss[key] = id
	}
	return id
}
