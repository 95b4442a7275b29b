package node

import (
	"strings"

	"github.com/seawall-security/seawall/internal/sensor/trace"
)

// path is the call's first path, absolute; where the kernel resolved it, as resolved.
func (e *Event) path() string {
	if !e.made.has1 {
		e.made.path, e.made.has1 = e.absolute(e.Dir, e.Path), true
	}
	return e.made.path
}

// path2 is the second one.
func (e *Event) path2() string {
	if !e.made.has2 {
		e.made.path2, e.made.has2 = e.absolute(e.Dir2, e.Path2), true
	}
	return e.made.path2
}

// absolute joins a path to the directory it is relative to; without one, to the
// process's working directory. "." and ".." are resolved by name.
func (e *Event) absolute(dir, path string) string {
	if path == "" {
		return dir
	}
	if path[0] == '/' {
		dir = ""
		if isClean(path) {
			return path
		}
	} else if dir == "" {
		if dir = e.Process.Program.CWD; dir == "" {
			return path
		}
	}
	from := len(e.scratch)
	e.scratch = appendClean(appendClean(e.scratch, from, dir), from, path)
	if len(e.scratch) == from {
		e.scratch = append(e.scratch, '/')
	}
	return e.since(from)
}

// isClean: there is nothing to resolve in an absolute path.
func isClean(path string) bool {
	return !strings.Contains(path, "//") && !strings.Contains(path, "/.") && (len(path) == 1 || path[len(path)-1] != '/')
}

// appendClean appends the parts of a path, each after a slash; ".." takes one away down to from.
func appendClean(b []byte, from int, path string) []byte {
	for path != "" {
		var part string
		part, path, _ = strings.Cut(path, "/")
		switch part {
		case "", ".":
		case "..":
			for len(b) > from && b[len(b)-1] != '/' {
				b = b[:len(b)-1]
			}
			if len(b) > from {
				b = b[:len(b)-1]
			}
		default:
			b = append(append(b, '/'), part...)
		}
	}
	return b
}

// two reports whether a call has two paths: source and target.
func two(t trace.Type) bool {
	switch t {
	case trace.Rename, trace.Renameat, trace.Renameat2, trace.Link, trace.Linkat, trace.Symlink, trace.Symlinkat, trace.Mount, trace.MoveMount, trace.PivotRoot:
		return true
	}
	return false
}

// pathName is the absolute path of a call that has one.
func (e *Event) pathName() string {
	switch {
	case e.File.Path != "" && (opens(e.Type) || e.Type == trace.Fchmod || e.Type == trace.Fchown):
		return e.File.Path
	case e.Path != "" && e.Type >= trace.Open && e.Type <= trace.OpenTree && !two(e.Type):
		return e.path()
	}
	return ""
}

// sourcePath and targetPath are those of a call that has two. What a symbolic link
// says, and what is mounted, stay as they were given.
func (e *Event) sourcePath() string {
	switch {
	case !two(e.Type):
		return ""
	case e.Type == trace.Symlink, e.Type == trace.Symlinkat, e.Type == trace.Mount:
		return e.Path
	}
	return e.path()
}

func (e *Event) targetPath() string {
	if !two(e.Type) || e.Path2 == "" && e.Dir2 == "" {
		return ""
	}
	return e.path2()
}

func pathFields() map[string]field {
	claimed := func(second, pair bool) field {
		return text(func(e *Event) string {
			switch {
			case two(e.Type) != pair || e.Type < trace.Open || e.Type > trace.OpenTree:
				return ""
			case second:
				return e.Path2
			}
			return e.Path
		})
	}
	return map[string]field{
		"fs.path.name":      text((*Event).pathName),
		"fs.path.nameraw":   claimed(false, false),
		"fs.path.source":    text((*Event).sourcePath),
		"fs.path.sourceraw": claimed(false, true),
		"fs.path.target":    text((*Event).targetPath),
		"fs.path.targetraw": claimed(true, true),
	}
}
