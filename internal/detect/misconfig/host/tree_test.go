package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// plant makes the file tree of an archive in testdata. Beside its files it has
// directives in its comment:
//
//	packages NAME...             installed, in dpkg's database
//	enable|unit|mask UNIT...     units of systemd
//	dir|touch|chmod MODE UID:GID PATH...
//	mtime DATE PATH...
//	link PATH TARGET             the target may hold spaces
//
// and its file "sysctl" is spread over proc/sys.
func plant(t testing.TB, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	p := planter{t, t.TempDir()}
	for _, f := range archive.Files {
		if f.Name == "sysctl" {
			for line := range strings.Lines(string(f.Data)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
				p.file("proc/sys/"+strings.ReplaceAll(key, ".", "/"), value+"\n", 0o644)
			}
			continue
		}
		p.file(f.Name, string(f.Data), 0o644)
	}
	var times [][]string
	for line := range strings.Lines(string(archive.Comment)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "mtime" {
			times = append(times, words)
		} else if len(words) > 1 && words[0] != "#" {
			p.directive(words[0], words[1:])
		}
	}
	for _, words := range times { // last: making files changes those of directories
		at, err := time.Parse(time.DateOnly, words[1])
		p.check(err)
		for _, path := range words[2:] {
			p.check(os.Chtimes(filepath.Join(p.dir, path), at, at))
		}
	}
	return p.dir
}

type planter struct {
	t   testing.TB
	dir string
}

func (p planter) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p planter) file(path, content string, mode os.FileMode) {
	p.t.Helper()
	path = filepath.Join(p.dir, path)
	p.check(os.MkdirAll(filepath.Dir(path), 0o755))
	p.check(os.WriteFile(path, []byte(content), mode))
}

func (p planter) directive(word string, args []string) {
	p.t.Helper()
	switch word {
	case "packages":
		var b strings.Builder
		for _, name := range args {
			fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nVersion: 1:1.0-1\nArchitecture: amd64\n\n", name)
		}
		p.file("var/lib/dpkg/status", b.String(), 0o644)
	case "enable", "unit", "mask":
		for _, unit := range args {
			p.unit(word, unit)
		}
	case "link":
		at := filepath.Join(p.dir, args[0])
		p.check(os.MkdirAll(filepath.Dir(at), 0o755))
		p.check(os.Symlink(strings.Join(args[1:], " "), at))
	case "dir", "touch", "chmod":
		mode, err := strconv.ParseUint(args[0], 8, 32)
		p.check(err)
		var uid, gid int
		_, err = fmt.Sscanf(args[1], "%d:%d", &uid, &gid)
		p.check(err)
		for _, path := range args[2:] {
			p.perform(word, path, mode, uid, gid)
		}
	default:
		p.t.Fatalf("unknown directive %q", word)
	}
}

func (p planter) unit(word, unit string) {
	const etc = "etc/systemd/system/"
	link := func(at, target string) {
		at = filepath.Join(p.dir, at)
		p.check(os.MkdirAll(filepath.Dir(at), 0o755))
		p.check(os.Symlink(target, at))
	}
	p.file("usr/lib/systemd/system/"+unit, "[Unit]\n", 0o644)
	switch word {
	case "enable":
		link(etc+"multi-user.target.wants/"+unit, "/usr/lib/systemd/system/"+unit)
	case "mask":
		link(etc+unit, "/dev/null")
	}
}

func (p planter) perform(word, path string, mode uint64, uid, gid int) {
	p.t.Helper()
	full := filepath.Join(p.dir, path)
	switch word {
	case "dir":
		p.check(os.MkdirAll(full, 0o755))
	case "touch":
		p.file(path, "", 0o644)
	}
	p.check(os.Chown(full, uid, gid))
	bits := os.FileMode(mode & 0o777)
	if mode&0o1000 != 0 {
		bits |= os.ModeSticky
	}
	p.check(os.Chmod(full, bits))
}
