package rules

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Record is one event. Value must not allocate on a path that is taken often.
type Record interface {
	// EventType is what rules are indexed by: evt.type of a system call, ka.verb of an audit event.
	EventType() string
	// Value puts the i-th value of a field into v and says whether there is one.
	// Only fields with several values are asked for an i above 0.
	Value(r *seawall.FieldRef, i int, v *seawall.Value) bool
}

// Recorded is a Record of an event as it is written down: fields by name.
type Recorded struct{ Event *seawall.Event }

// EventType implements Record.
func (r Recorded) EventType() string { return r.Event.Type }

// Value implements Record.
func (r Recorded) Value(ref *seawall.FieldRef, i int, v *seawall.Value) bool {
	name := ref.Name
	field := fields()[name]
	if field == nil {
		return false
	}
	switch name {
	case "evt.type", "syscall.type", "ka.verb":
		v.Text = r.Event.Type
		return i == 0 && v.Text != ""
	case "evt.time", "evt.time.iso8601", "jevt.time", "jevt.time.iso8601":
		v.Text = r.Event.Time
		return i == 0 && v.Text != ""
	}
	held, ok := r.Event.Fields[ref.String()]
	if !ok && ref.Argument != "" {
		if held, ok = r.Event.Fields[name+"."+ref.Argument]; !ok { // evt.arg[path] is evt.arg.path
			held, ok = r.Event.Fields[name]
			if list, is := held.([]any); ok && is && ref.Index >= 0 {
				return ref.Index < len(list) && i == 0 && field.read(list[ref.Index], v)
			}
			return false
		}
	}
	if !ok || held == nil {
		return false
	}
	switch list := held.(type) {
	case []any:
		return i < len(list) && field.read(list[i], v)
	case []string:
		return i < len(list) && field.read(list[i], v)
	}
	return i == 0 && field.read(held, v)
}

// read turns what a document holds into the field's type. What is of no use as such is missing.
func (f *Field) read(held any, v *seawall.Value) bool {
	switch h := held.(type) {
	case string:
		return f.parse(h, v)
	case bool:
		v.Number = 0
		if h {
			v.Number = 1
		}
		v.Text = strconv.FormatBool(h)
	case float64:
		v.Number, v.Text = int64(h), strconv.FormatFloat(h, 'f', -1, 64)
	case int64:
		v.Number, v.Text = h, strconv.FormatInt(h, 10)
	case int:
		v.Number, v.Text = int64(h), strconv.Itoa(h)
	default:
		return false
	}
	return f.Type != TypeAddress
}

func (f *Field) parse(text string, v *seawall.Value) bool {
	v.Text = text
	var err error
	switch f.Type {
	case TypeNumber:
		v.Number, err = strconv.ParseInt(text, 10, 64)
	case TypeFlag:
		v.Number = 0
		if text == "true" || text == "1" {
			v.Number = 1
		}
	case TypeAddress:
		v.Address, err = netip.ParseAddr(strings.Trim(text, "[]"))
		v.Address = v.Address.Unmap()
	}
	return err == nil
}

// write is a value as outputs show it.
func (f *Field) write(v *seawall.Value) string {
	switch f.Type {
	case TypeNumber:
		return strconv.FormatInt(v.Number, 10)
	case TypeFlag:
		return strconv.FormatBool(v.Number != 0)
	case TypeAddress:
		return v.Address.String()
	}
	return v.Text
}
