package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/process"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// procFields are looked up in /proc when a rule asks: as the process is then, and
// missing when it has ended.
func procFields() map[string]field {
	status := func(name string) func(e *Event) (int64, bool) {
		return func(e *Event) (int64, bool) { return e.status(name) }
	}
	return map[string]field{
		"proc.nthreads": number(status("Threads")),
		// The threads beside the first one.
		"proc.nchilds": number(func(e *Event) (int64, bool) {
			n, ok := e.status("Threads")
			return n - 1, ok
		}),
		"proc.vmsize":      number(status("VmSize")), // KiB
		"proc.vmrss":       number(status("VmRSS")),
		"proc.fdopencount": number(openDescriptors),
		"proc.fdlimit":     number(descriptorLimit),
		"proc.loginshellid": number(func(e *Event) (int64, bool) {
			shell := int64(0)
			for p := e.Process; p != nil; p = p.Parent {
				if isShell(p.Comm) {
					shell = int64(p.PID)
				}
			}
			return shell, shell != 0
		}),
		"proc.aenv": {kindText, ancestorVariables},
	}
}

// status is a number of /proc/PID/status.
func (e *Event) status(name string) (int64, bool) {
	for line := range strings.Lines(string(e.stream.procFile(e.Task.PID, "status"))) {
		key, value, _ := strings.Cut(line, ":")
		if f := strings.Fields(value); key == name && len(f) > 0 {
			n, err := strconv.ParseInt(f[0], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func openDescriptors(e *Event) (int64, bool) {
	dir, err := os.Open(filepath.Join(e.stream.cfg.Proc, strconv.FormatUint(uint64(e.Task.PID), 10), "fd"))
	if err != nil {
		return 0, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return int64(len(names)), err == nil
}

// descriptorLimit is the soft limit: "Max open files            1024                 1048576              files".
func descriptorLimit(e *Event) (int64, bool) {
	for line := range strings.Lines(string(e.stream.procFile(e.Task.PID, "limits"))) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, err := strconv.ParseInt(f[0], 10, 64)
				return n, err == nil
			}
		}
	}
	return 0, false
}

func isShell(comm string) bool {
	switch comm {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish":
		return true
	}
	return false
}

// ancestorVariables is proc.aenv: a variable of the nearest ancestor that has it, or with a
// number all of the ancestor so many generations up.
func ancestorVariables(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
	variables := func(p *process.Process) trace.Strings {
		if p == nil || p.Ended {
			return ""
		}
		return trace.Strings(e.stream.procFile(p.PID, "environ"))
	}
	if r.Index >= 0 || r.Argument == "" {
		n := i + 1
		if r.Index >= 0 {
			n = i + r.Index
		}
		p := e.Process.Ancestor(n)
		v.Text = strings.TrimSuffix(strings.ReplaceAll(string(variables(p)), "\x00", " "), " ")
		return p != nil && (i == 0 || r.Index < 0)
	}
	for p := e.Process.Parent; p != nil && i == 0; p = p.Parent {
		if found, ok := variable(variables(p), r.Argument); ok {
			v.Text = found
			return true
		}
	}
	return false
}

// variable finds one of an environment.
func variable(all trace.Strings, name string) (string, bool) {
	for _, one := range all.All() {
		if rest, ok := strings.CutPrefix(one, name); ok && strings.HasPrefix(rest, "=") {
			return rest[1:], true
		}
	}
	return "", false
}
