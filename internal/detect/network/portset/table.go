package portset

// ID stands for a set in a Table; equal sets have equal ones.
type ID uint32

// The sets every Table knows.
const (
	None     ID = 0
	AllPorts ID = 1
)

// Table gives equal sets one number and remembers what became of two. It is not
// safe for use by several goroutines at once.
type Table struct {
	sets                 []Set
	ids                  map[string]ID
	unions, boths, rests map[[2]ID]ID
}

// NewTable returns a Table that knows none and all.
func NewTable() *Table {
	t := &Table{ids: map[string]ID{}, unions: map[[2]ID]ID{}, boths: map[[2]ID]ID{}, rests: map[[2]ID]ID{}}
	t.ID(Set{})
	t.ID(All())
	return t
}

// ID is the number of a set.
func (t *Table) ID(s Set) ID {
	key := s.Key()
	id, ok := t.ids[key]
	if !ok {
		id = ID(len(t.sets))
		t.ids[key] = id
		t.sets = append(t.sets, s)
	}
	return id
}

// Union is the ports in either.
func (t *Table) Union(a, b ID) ID {
	switch {
	case a == b, b == None, a == AllPorts:
		return a
	case a == None, b == AllPorts:
		return b
	}
	key := [2]ID{min(a, b), max(a, b)}
	id, ok := t.unions[key]
	if !ok {
		id = t.ID(t.sets[a].Union(t.sets[b]))
		t.unions[key] = id
	}
	return id
}

// Intersect is the ports in both.
func (t *Table) Intersect(a, b ID) ID {
	switch {
	case a == b, a == None, b == AllPorts:
		return a
	case b == None, a == AllPorts:
		return b
	}
	key := [2]ID{min(a, b), max(a, b)}
	id, ok := t.boths[key]
	if !ok {
		id = t.ID(t.sets[a].Intersect(t.sets[b]))
		t.boths[key] = id
	}
	return id
}

// Minus is the ports of a that are not in b.
func (t *Table) Minus(a, b ID) ID {
	switch {
	case a == None, b == None:
		return a
	case a == b, b == AllPorts:
		return None
	}
	key := [2]ID{a, b}
	id, ok := t.rests[key]
	if !ok {
		id = t.ID(t.sets[a].Minus(t.sets[b]))
		t.rests[key] = id
	}
	return id
}

// Set is the set with a number.
func (t *Table) Set(id ID) Set { return t.sets[id] }
