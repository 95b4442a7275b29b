package hostcfg

import (
	"cmp"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

// system is everything read of a host, while facts are made of it.
type system struct {
	m     *inventory.Merged
	tally *tally
	texts map[string]string
	files map[string]*seawall.FileFact
	units []map[string]string
	// modules are the raw module lists.
	modules []map[string]string
	// live are the facts of the running system by kind, of kinds that come once.
	live map[string]map[string]string
	// running are the names of the processes.
	running map[string]bool
	// replaced are the processes, containers' left out, whose program is no longer the file it was.
	replaced []string
	// installed are the operating system's packages.
	installed map[string]string
	// packageDatabase is the path of the first one.
	packageDatabase string

	facts []seawall.ConfigFact
	// unread are the files the running topic missed.
	unread []string
}

// newSystem sorts the merged facts and takes the raw ones away.
func newSystem(m *inventory.Merged, t *tally) *system {
	s := &system{m: m, tally: t, texts: map[string]string{}, files: map[string]*seawall.FileFact{},
		live: map[string]map[string]string{}, running: map[string]bool{}, installed: map[string]string{}}
	own := ownNamespace(m.Configs)
	kept := m.Configs[:0]
	for _, c := range m.Configs {
		switch c.Kind {
		case rawText:
			s.texts[c.Path] = c.Data["text"]
		case rawUnit:
			s.units = append(s.units, c.Data)
		case rawModules:
			s.modules = append(s.modules, c.Data)
		default:
			if c.Kind == "host/process" {
				s.running[c.Data["name"]] = true
				if strings.HasSuffix(c.Data["exe"], " (deleted)") && c.Data["namespace"] == own {
					s.replaced = append(s.replaced, c.Data["name"]+" ("+c.Data["pid"]+")")
				}
			}
			s.live[c.Kind] = c.Data
			kept = append(kept, c)
		}
	}
	clear(m.Configs[len(kept):])
	m.Configs = kept
	for i := range m.Files {
		if f := &m.Files[i]; f.Kind != "" {
			s.files[f.Path] = f
		}
	}
	for i := range m.Packages {
		if p := &m.Packages[i]; p.Kind == "os" {
			s.installed[p.Name] = p.Version
			if s.packageDatabase == "" && len(p.Locations) > 0 {
				s.packageDatabase = p.Locations[0].Path
			}
		}
	}
	return s
}

// ownNamespace is that of the first process, by which the host's own processes are told from containers'.
func ownNamespace(configs []seawall.ConfigFact) string {
	for i := range configs {
		if c := &configs[i]; c.Kind == "host/process" && c.Data["pid"] == "1" {
			return c.Data["namespace"]
		}
	}
	return ""
}

// run makes one topic's facts, or says why it could not.
func (s *system) run(t topic) {
	s.unread = nil
	before := len(s.facts)
	t.make(s)
	if len(s.unread) == 0 {
		return
	}
	s.facts = s.facts[:before]
	for _, kind := range t.kinds {
		s.emit("host/unread", "", map[string]string{"resource": kind, "reason": "/" + s.unread[0] + ": " + errUnread.Error()})
	}
}

func (s *system) emit(kind, path string, data map[string]string) {
	s.facts = append(s.facts, seawall.ConfigFact{Kind: kind, Path: path, Data: data})
}

// exists says whether a file or directory worth remembering is there.
func (s *system) exists(p string) bool {
	_, ok := s.files[p]
	return ok
}

// text returns a file's text. One that is there and could not be read makes the topic unread.
func (s *system) text(p string) (string, bool) {
	text, ok := s.texts[p]
	if f := s.files[p]; !ok && f != nil && f.Kind == "file" {
		s.unread = append(s.unread, p)
	}
	return text, ok
}

// first returns the first of several files that is there.
func (s *system) first(paths ...string) (p, text string, ok bool) {
	for _, p := range paths {
		if text, ok := s.text(p); ok {
			return p, text, true
		}
	}
	return "", "", false
}

// in returns the paths of the files read in directories, by name: one of the same
// name in an earlier directory replaces that in a later one.
func (s *system) in(dirs ...string) []string {
	byName := map[string]string{}
	for _, dir := range dirs {
		for p, f := range s.files {
			if path.Dir(p) != dir || f.Kind != "file" || !wanted(p) {
				continue
			}
			if _, ok := s.text(p); ok {
				name := path.Base(p)
				byName[name] = cmp.Or(byName[name], p)
			}
		}
	}
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		paths = append(paths, byName[name])
	}
	return paths
}

// lines yields a text's lines without comments and blank ones, continued lines joined.
func lines(text string) []string {
	var out []string
	joined := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if head, more := strings.CutSuffix(line, `\`); more {
			joined += head + " "
			continue
		}
		line, joined = strings.TrimSpace(joined+line), ""
		if line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	if rest := strings.TrimSpace(joined); rest != "" && rest[0] != '#' {
		out = append(out, rest)
	}
	return out
}

// settings reads "key value" or "key = value" lines into data; the last wins.
// Sections and ";" comments of ini files are passed over.
func settings(text string, data map[string]string) {
	for _, line := range lines(text) {
		if line[0] == '[' || line[0] == ';' {
			continue
		}
		i := strings.IndexAny(line, "= \t")
		if i < 0 {
			data[line] = ""
			continue
		}
		value := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[i:]), "="))
		data[line[:i]] = strings.Trim(value, `"'`)
	}
}

// merged reads a configuration and its drop-ins.
func (s *system) merged(main string, dirs ...string) map[string]string {
	data := map[string]string{}
	if text, ok := s.text(main); ok {
		settings(text, data)
	}
	for _, p := range s.in(dirs...) {
		settings(s.texts[p], data)
	}
	return data
}

// has says whether one of some packages is installed.
func (s *system) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { _, ok := s.installed[n]; return ok })
}

// number reads a number, or returns the other.
func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return n
	}
	return otherwise
}

// permissions is "rw-r-----".
func permissions(mode uint32) string { return fs.FileMode(mode).Perm().String()[1:] }

const maxListed = 20

// list joins the first of many.
func list(items []string) string {
	if more := len(items) - maxListed; more > 0 {
		return strings.Join(items[:maxListed], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(items, ", ")
}
