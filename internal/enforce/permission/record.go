package permission

import (
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Record answers rules about an exec as the event of it will: what the exec changes
// from Exec, all else from what was known before. It has the fields that rules of the
// permission class use; others are those of the process before.
type Record struct {
	Exec
	before Values
}

// EventType is execve or execveat.
func (r *Record) EventType() string { return r.Type }

// Name is the process's name after the exec.
func (r *Record) Name() string {
	name := path.Base(r.Claimed)
	if r.Claimed == "" {
		name = path.Base(r.File)
	}
	return name[:min(len(name), 15)]
}

func (r *Record) args() string {
	if len(r.Args) < 2 {
		return ""
	}
	return strings.Join(r.Args[1:], " ")
}

func (r *Record) exe() string {
	if len(r.Args) == 0 {
		return ""
	}
	return r.Args[0]
}

// Value is the i-th value of a field.
func (r *Record) Value(f *seawall.FieldRef, i int, v *seawall.Value) bool {
	text, number := "", int64(0)
	name := f.Name
	if f.Index == 0 {
		// The nearest ancestor is the process itself.
		name = strings.Replace(name, "proc.a", "proc.", 1)
	}
	switch name {
	case "evt.type", "syscall.type":
		text = r.Type
	case "evt.dir":
		text = "<"
	case "evt.res":
		text = "SUCCESS"
	case "evt.failed", "evt.rawres", "proc.is_exe_from_memfd":
	case "evt.num":
		number = 1
	case "proc.name":
		text = r.Name()
	case "proc.exe":
		text = r.exe()
	case "proc.exepath":
		text = r.Path
	case "proc.args":
		text = r.args()
	case "proc.cmdline":
		text = strings.TrimSuffix(r.Name()+" "+r.args(), " ")
	case "proc.exeline":
		text = strings.TrimSuffix(r.exe()+" "+r.args(), " ")
	case "proc.cmdnargs":
		number = int64(max(0, len(r.Args)-1))
	case "proc.cmdlenargs":
		number = int64(len(r.args()))
	case "proc.exe_ino":
		number = int64(r.Inode)
	case "proc.is_exe_upper_layer":
		number = flag(r.Upper)
	case "proc.is_exe_lower_layer":
		number = flag(r.Lower)
	default:
		return r.before.Value(f, i, v)
	}
	*v = seawall.Value{Text: text, Number: number}
	return i == 0
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
