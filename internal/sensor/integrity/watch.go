package integrity

import (
	"context"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Event is an event of the kernel sensor, joined with its process.
type Event interface {
	EventType() string
	Value(r *seawall.FieldRef, i int, v *seawall.Value) bool
	Event() *seawall.Event
}

// The bounds of a Watch.
const (
	maxPending = 4096
	maxReady   = 1024
)

// Watch compares files with a baseline when something was done to them. A change is
// told once, and becomes what later changes are compared with.
type Watch struct {
	config Config
	asset  string
	// settle is how long nothing must be done to a file before it is read.
	settle time.Duration
	types  map[string]bool
	fields map[string]*seawall.FieldRef
	value  seawall.Value // of the field that was asked for; Observe is not called concurrently

	mu      sync.Mutex
	entries map[string]Entry
	pending map[string]touch
	ready   []seawall.Finding
	lost    uint64
}

// touch is what was done last to a file.
type touch struct {
	at time.Time
	by Process
}

// NewWatch watches the trees of a baseline; root is Config.Root. A file is read when
// nothing was done to it for the time of settle.
func NewWatch(b *Baseline, root, asset string, settle time.Duration) *Watch {
	w := &Watch{config: Config{Trees: b.Trees, Exclude: b.Exclude, Root: root}, asset: asset, settle: settle,
		types: map[string]bool{}, fields: map[string]*seawall.FieldRef{}, entries: make(map[string]Entry, len(b.Entries)), pending: map[string]touch{}}
	for _, t := range Types() {
		w.types[t] = true
	}
	named := paths()
	for _, name := range append(named[:], "container.id", "evt.failed", "evt.is_open_write", "evt.is_open_create") {
		w.fields[name] = &seawall.FieldRef{Name: name, Index: -1}
	}
	for _, e := range b.Entries {
		w.entries[e.Path] = e
	}
	return w
}

// Types are the event types a Watch has to see.
func Types() []string {
	return []string{"open", "openat", "openat2", "creat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat",
		"mknod", "mknodat", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat", "truncate"}
}

// Writes is the filter of opened files that a Watch needs.
func (w *Watch) Writes() *seawall.PathFilter { return &seawall.PathFilter{Prefixes: w.config.Trees} }

// paths are the fields that name files an event is about.
func paths() [4]string {
	return [...]string{"fd.name", "fs.path.name", "fs.path.source", "fs.path.target"}
}

// Observe notes what an event was done to. Events of containers are not of the host's
// trees, unless they reach them by a mount; those are told by the next check.
func (w *Watch) Observe(e Event, now time.Time) {
	if !w.types[e.EventType()] {
		return
	}
	for _, name := range paths() {
		if !w.has(e, name) || !path.IsAbs(w.value.Text) {
			continue
		}
		if file := path.Clean(w.value.Text); w.config.within(file) && w.changes(e) {
			w.touch(strings.Clone(file), e, now)
		}
	}
}

// has asks for a field.
func (w *Watch) has(e Event, name string) bool {
	w.value = seawall.Value{}
	return e.Value(w.fields[name], 0, &w.value)
}

// changes says whether an event has changed a file of the host: a call that failed,
// and an open that can only read, changes nothing.
func (w *Watch) changes(e Event) bool {
	if w.has(e, "container.id") && w.value.Text != "" && w.value.Text != "host" || w.has(e, "evt.failed") && w.value.Number != 0 {
		return false
	}
	switch e.EventType() {
	case "open", "openat", "openat2":
		return w.has(e, "evt.is_open_write") && w.value.Number != 0 || w.has(e, "evt.is_open_create") && w.value.Number != 0
	}
	return true
}

func (w *Watch) touch(file string, e Event, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, there := w.pending[file]; !there && len(w.pending) >= maxPending {
		w.lost++
		return
	}
	w.pending[file] = touch{now, Process{Name: text(e, "proc.name"), Path: text(e, "proc.exepath"), CommandLine: text(e, "proc.cmdline"), User: text(e, "user.name"), Event: e.Event()}}
}

func text(e Event, field string) string {
	var v seawall.Value
	if !e.Value(&seawall.FieldRef{Name: field, Index: -1}, 0, &v) {
		return ""
	}
	return strings.Clone(v.Text) // an event's texts are used again
}

// Check reads the files that have settled and tells what changed. It is for a
// goroutine of its own: reading takes time.
func (w *Watch) Check(ctx context.Context, now time.Time) {
	w.mu.Lock()
	due := map[string]touch{}
	for file, t := range w.pending {
		if now.Sub(t.at) >= w.settle {
			due[file] = t
			delete(w.pending, file)
		}
	}
	w.mu.Unlock()
	for file, t := range due {
		if ctx.Err() != nil {
			return
		}
		e, there := w.config.look(ctx, file)
		w.compare(file, e, there, t)
	}
}

func (w *Watch) compare(file string, now Entry, there bool, t touch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, was := w.entries[file]
	var change *Change
	switch {
	case !there && !was:
		return // a file for a moment: an editor's
	case !there:
		change = compare(&before, nil)
		delete(w.entries, file)
	case !was:
		change = compare(nil, &now)
		w.entries[file] = now
	default:
		change = compare(&before, &now)
		w.entries[file] = now
	}
	if change == nil {
		return
	}
	if len(w.ready) >= maxReady {
		w.lost++
		return
	}
	w.ready = append(w.ready, change.Finding(w.asset, t.at, &t.by))
}

// Findings takes the changes found so far, and how many were lost by the bounds.
func (w *Watch) Findings() (found []seawall.Finding, lost uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found, w.ready = w.ready, nil
	return found, w.lost
}
