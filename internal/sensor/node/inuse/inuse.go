// Package inuse records what of images is used: the files of each that its
// containers execute, map as code, or open as code. A scan reads the recording to
// tell packages that are loaded from those that only lie there
// (internal/detect/inuse has the reader).
//
// Kernel events tell of what happens while the recorder runs. Of a container that
// is older, what its processes have mapped is looked up once (/proc/PID/maps); the
// scripts and archives that it read before are not known, and the image's covers
// say so.
package inuse

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/node"
	"github.com/seawall-security/seawall/internal/sensor/process"
	"github.com/seawall-security/seawall/internal/sensor/trace"
)

const (
	// maxImages and maxFiles bound what is remembered; maxProcesses those looked at of an older container.
	maxImages, maxFiles, maxProcesses = 512, 16384, 64
	// maxContainers bounds the containers that are remembered as looked at.
	maxContainers = 8192
	// maxMaps bounds what is read of one process's maps.
	maxMaps = 4 << 20
)

// Recorder gathers a recording. It is safe for concurrent use.
type Recorder struct {
	node  string
	proc  string
	since time.Time
	guard process.Guard

	mu         sync.Mutex
	images     map[string]*use
	containers map[string]struct{}
}

// use is an image as it is gathered.
type use struct {
	seawall.InUseImage
	files map[string]struct{}
	older bool
}

// New begins a recording.
func New(nodeName string, now time.Time) *Recorder {
	return &Recorder{node: nodeName, proc: "/proc", since: now, images: map[string]*use{}, containers: map[string]struct{}{}}
}

// codeSuffixes are the ends of names of files that are opened as code.
var codeSuffixes = []string{".jar", ".war", ".ear", ".par", ".hpi", ".js", ".mjs", ".cjs", ".py", ".pyc", ".rb", ".php", ".pl", ".pm"}

// Filter adds to what is asked of a sensor what the recorder needs.
func Filter(f seawall.EventFilter) seawall.EventFilter {
	f.Maps = true
	if f.Types != nil {
		types := slices.Clone(f.Types)
		for _, t := range []string{"execve", "execveat", "open", "openat", "openat2", "mmap"} {
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
		// Writes of files are not wanted where they were not.
		if f.Writes == nil && !slices.Contains(f.Types, "openat") {
			f.Writes = &seawall.PathFilter{}
		}
		if f.Reads == nil && !slices.Contains(f.Types, "openat") {
			f.Reads = &seawall.PathFilter{}
		}
		f.Types = types
	}
	if f.Reads != nil {
		reads := seawall.PathFilter{Prefixes: f.Reads.Prefixes, Suffixes: slices.Clone(f.Reads.Suffixes)}
		for _, s := range codeSuffixes {
			if !slices.Contains(reads.Suffixes, s) {
				reads.Suffixes = append(reads.Suffixes, s)
			}
		}
		f.Reads = &reads
	}
	return f
}

// Observe takes an event of a container in.
func (r *Recorder) Observe(e *node.Event) {
	c := e.Container
	if c == nil || !c.Known || c.Sandbox || c.Digest == "" || e.Failed() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.of(c, e.When())
	if u == nil {
		return
	}
	t := e.Trace()
	switch t.Type {
	case trace.Execve, trace.Execveat:
		u.add(t.File.Path)
		if strings.HasPrefix(t.Path, "/") {
			u.add(path.Clean(t.Path)) // a script, or a name of the program
		} else if t.Path != "" && t.Dir != "" {
			u.add(path.Join(t.Dir, t.Path))
		}
	case trace.Mmap:
		if t.Prot&unix.PROT_EXEC != 0 && t.File.Kind == trace.KindFile && !t.File.Memfd {
			u.add(t.File.Path)
		}
	case trace.Open, trace.Openat, trace.Openat2:
		if t.OpFlags&unix.O_ACCMODE == unix.O_RDONLY && isCode(t.File.Path) && !reads(e.Process.Program.Path) {
			u.add(source(t.File.Path))
		}
	}
}

// of is the image of a container; nil when there are too many. The first time a
// container is seen that is older than the recording its processes are looked at.
func (r *Recorder) of(c *identity.Container, now time.Time) *use {
	u := r.images[c.Digest]
	if u == nil {
		if len(r.images) >= maxImages {
			return nil
		}
		u = &use{files: map[string]struct{}{}}
		u.Digest, u.Names, u.Since = c.Digest, c.ImageNames, now
		u.Digests = slices.Clone(c.ImageDigests)
		if c.ImageID != "" && !slices.Contains(u.Digests, c.ImageID) {
			u.Digests = append(u.Digests, c.ImageID)
		}
		r.images[c.Digest] = u
	}
	if _, seen := r.containers[c.ID]; seen {
		return u
	}
	if len(r.containers) >= maxContainers {
		clear(r.containers)
	}
	r.containers[c.ID] = struct{}{}
	if time.Unix(0, c.Created).Before(r.since) {
		u.older = true
		r.look(c, u)
	}
	return u
}

// look adds what the processes of a container have mapped as code. What has ended meanwhile is passed over.
func (r *Recorder) look(c *identity.Container, u *use) {
	procs, err := os.ReadFile(filepath.Join(c.CgroupPath, "cgroup.procs"))
	if err != nil {
		return
	}
	pids := strings.Fields(string(procs))
	for _, pid := range pids[:min(len(pids), maxProcesses)] {
		files, _ := process.Look(&r.guard, func() (files []string) {
			f, err := os.Open(filepath.Join(r.proc, pid, "maps"))
			if err != nil {
				return nil
			}
			defer f.Close()
			mapped(f, func(file string) { files = append(files, file) })
			return files
		})
		for _, f := range files {
			u.add(f)
		}
	}
}

// mapped gives the files that a process has mapped executable (proc_pid_maps(5)).
func mapped(text io.Reader, f func(file string)) {
	lines := bufio.NewScanner(io.LimitReader(text, maxMaps))
	for lines.Scan() {
		// 55d0c-55d0d r-xp 00002000 08:01 1234    /usr/bin/cat
		line := lines.Text()
		_, rest, _ := strings.Cut(line, " ")
		slash := strings.IndexByte(line, '/')
		if len(rest) < 4 || rest[2] != 'x' || slash < 0 || strings.HasSuffix(line, " (deleted)") {
			continue
		}
		f(line[slash:])
	}
}

// add remembers a file.
func (u *use) add(file string) {
	if _, there := u.files[file]; there || !strings.HasPrefix(file, "/") {
		return
	}
	if len(u.files) >= maxFiles {
		u.Truncated = true
		return
	}
	u.files[strings.Clone(file)] = struct{}{}
}

func isCode(file string) bool {
	ext := file[strings.LastIndexByte(file, '.')+1:]
	for _, s := range codeSuffixes {
		if ext == s[1:] {
			return len(ext) < len(file)
		}
	}
	return false
}

// source is the script that a file was compiled from: Python keeps
// x/__pycache__/name.cpython-311.pyc for x/name.py (PEP 3147).
func source(file string) string {
	dir, base := path.Split(file)
	if parent, ok := strings.CutSuffix(dir, "/__pycache__/"); ok && strings.HasSuffix(base, ".pyc") {
		module, _, _ := strings.Cut(base, ".")
		return parent + "/" + module + ".py"
	}
	return file
}

// reads tells programs that open files of any kind, and run none of them.
func reads(program string) bool {
	switch program[strings.LastIndexByte(program, '/')+1:] {
	case "cat", "cp", "mv", "tar", "bsdtar", "gzip", "unzip", "zip", "grep", "rg", "find", "rsync", "sed", "awk", "gawk", "mawk", "head", "tail", "less", "more", "diff", "cmp",
		"file", "wc", "od", "xxd", "strings", "md5sum", "sha1sum", "sha256sum", "sha512sum", "dpkg", "dpkg-deb", "rpm", "apk", "git", "vi", "vim", "vim.basic", "nano":
		return true
	}
	return false
}

// Recording is what has been gathered, images in the order of their digests.
func (r *Recorder) Recording(now time.Time) *seawall.InUse {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := &seawall.InUse{
		SchemaVersion: seawall.InUseVersion, Node: r.node, Since: r.since.UTC().Truncate(time.Second), Until: now.UTC().Truncate(time.Second),
		Covers: []string{seawall.InUseExecutables, seawall.InUseLibraries, seawall.InUseArchives, seawall.InUseScripts}, Images: []seawall.InUseImage{},
	}
	for _, digest := range slices.Sorted(maps.Keys(r.images)) {
		u := r.images[digest]
		image := u.InUseImage
		image.Since = image.Since.UTC().Truncate(time.Second)
		image.Files = slices.Sorted(maps.Keys(u.files))
		if u.older {
			image.Covers = []string{seawall.InUseExecutables, seawall.InUseLibraries}
		}
		all.Images = append(all.Images, image)
	}
	return all
}

// Write writes the recording as JSON.
func (r *Recorder) Write(w io.Writer, now time.Time) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r.Recording(now))
}
