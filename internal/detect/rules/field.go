package rules

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Type is what a field's values are.
type Type uint8

// The types. A flag is true or false.
const (
	TypeText Type = iota
	TypeNumber
	TypeFlag
	TypeAddress
)

// The sources of events a rule can be about.
const (
	SourceSyscall = seawall.SourceSyscall
	SourceAudit   = seawall.SourceAudit
)

// Field is one field of the language. The table is fields.txt.
type Field struct {
	Name string
	Type Type
	// Source is the source that has it; "" is all of them.
	Source string
	// List: its values are one list, compared as a whole: in means all of them, intersects any.
	List bool
	// Any: a comparison is true when it is for one of its values.
	Any bool
	// Argument says whether brackets may ("optional") or must ("required") follow; "" is neither.
	Argument string
	// Default stands for a value an event does not have; "" is none, and comparisons are false.
	Default string
	// Filled: a sensor gives it. A rule with one that is not filled is unsupported.
	Filled bool
}

//go:embed fields.txt
var fieldTable string

// fields is the table by name. Names ending in a dot are prefixes: evt.arg.path is of evt.arg.
var fields = sync.OnceValue(func() map[string]*Field {
	table := map[string]*Field{}
	for line := range strings.Lines(fieldTable) {
		columns := strings.Fields(line)
		if len(columns) == 0 || columns[0] == "#" {
			continue
		}
		f := &Field{Name: columns[0], Filled: true}
		f.Type = map[string]Type{"text": TypeText, "number": TypeNumber, "flag": TypeFlag, "address": TypeAddress}[columns[1]]
		for _, word := range columns[2:] {
			switch key, value, _ := strings.Cut(word, "="); key {
			case "default":
				f.Default = value
			case SourceSyscall, SourceAudit:
				f.Source = word
			case "list":
				f.List = true
			case "any":
				f.Any = true
			case "optional", "required":
				f.Argument = word
			case "unfilled":
				f.Filled = false
			}
		}
		table[f.Name] = f
	}
	return table
})

// Fields lists every field, by name.
func Fields() []*Field {
	return slices.SortedFunc(maps.Values(fields()), func(a, b *Field) int { return strings.Compare(a.Name, b.Name) })
}

// Ref is a field as a condition or an output names it.
type Ref struct {
	seawall.FieldRef
	Field *Field
}

// ref finds a field. known is false for names the language does not have.
func ref(name, argument string, indexed bool) (r Ref, known bool, err error) {
	f := fields()[name]
	if f == nil {
		for _, prefix := range []string{"evt.arg", "evt.rawarg"} {
			if rest, ok := strings.CutPrefix(name, prefix+"."); ok && !indexed {
				f, argument, indexed = fields()[prefix], rest, true
			}
		}
	}
	if f == nil {
		return Ref{}, false, nil
	}
	switch {
	case indexed && f.Argument == "":
		err = fmt.Errorf("%s takes no argument", name)
	case !indexed && f.Argument == "required":
		err = fmt.Errorf("%s needs an argument: %s[…]", name, name)
	}
	r = Ref{seawall.FieldRef{Name: f.Name, Argument: argument, Index: -1}, f}
	if n, nerr := strconv.Atoi(argument); nerr == nil && n >= 0 {
		r.Index = n
	}
	return r, true, err
}

// several says whether the field as named may have more than one value.
func (r *Ref) several() bool { return (r.Field.Any || r.Field.List) && r.Index < 0 }
