// Package identity tells whose a cgroup is: the container, its image, its pod and
// what made it.
//
// The kernel names the cgroup (v2) of everything that happens by number. Its path
// is found by that number (open_by_handle_at, which works as long as the cgroup is
// there, even when the process is gone), the path names the container, and the
// container runtime (CRI) tells the rest. Nothing is asked on the path of an
// event: Lookup answers from memory, or says that it is being asked for, and the
// caller holds the event (package node).
//
// What the runtime does not tell stays what the path told; a container is never
// taken for the host. The runtime is asked again later.
package identity

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says where to look. The zero value is a node without a container runtime.
type Config struct {
	// CRI is the runtime to ask; nil is none.
	CRI *CRI
	// Pod gets a pod from the API server, as JSON; nil is not to ask. What it knows better
	// than the runtime is taken over; when it cannot tell at once, the runtime's word stands.
	Pod func(ctx context.Context, namespace, name string) ([]byte, error)
	// Proc is where proc is mounted; "" is /proc.
	Proc string
	// Patience is how long a runtime may take to know a container that has started; 0 is 2 s.
	Patience time.Duration
	// Max bounds the cgroups remembered; 0 is 8192.
	Max int
}

// Resolver remembers whose cgroups are. It is safe for concurrent use.
type Resolver struct {
	cfg      Config
	groups   *cgroups
	ask      chan question
	calls    chan struct{}
	resolved chan struct{}

	mu      sync.Mutex
	known   map[uint64]*entry
	runtime string
	away    bool      // the runtime did not answer the last time
	refused time.Time // the API server is not asked before
	stats   Stats
}

// entry is what is known of one cgroup.
type entry struct {
	container *Container // nil is the host
	path      string     // below the hierarchy's root
	place     Place
	pending   bool
	again     time.Time // when to ask again, of a container that is not Known
	pause     time.Duration
	final     bool // there is nobody to ask
	gone      bool // seen by the last sweep
}

type question struct {
	cgroup uint64
	place  Place
}

// Stats count what the resolver has done.
type Stats struct {
	// Cgroups are those remembered, Containers those of them in a container.
	Cgroups, Containers int
	// Asked counts containers the runtime was asked for, Failed those it did not tell in time.
	Asked, Failed uint64
	// Unrefined counts containers about whose pod the API server did not tell.
	Unrefined uint64
	// Lost counts cgroups that were gone before their path was read.
	Lost uint64
	// Err is the runtime's last error; nil when the last answer was one.
	Err error
}

// refusal is how long the API server is not asked after it has not told.
const refusal = 30 * time.Second

// maxAsked bounds the containers asked for at a time.
const maxAsked = 256

// New opens the cgroup hierarchy. Close gives it back.
func New(cfg Config) (*Resolver, error) {
	if cfg.Proc == "" {
		cfg.Proc = "/proc"
	}
	if cfg.Patience == 0 {
		cfg.Patience = 2 * time.Second
	}
	if cfg.Max == 0 {
		cfg.Max = 8192
	}
	groups, err := openCgroups(cfg.Proc)
	if err != nil {
		return nil, err
	}
	return &Resolver{
		cfg: cfg, groups: groups, known: map[uint64]*entry{},
		ask: make(chan question, maxAsked), calls: make(chan struct{}, 8), resolved: make(chan struct{}, 1),
	}, nil
}

// Close releases what New opened.
func (r *Resolver) Close() error {
	if r.cfg.CRI != nil {
		r.cfg.CRI.Close()
	}
	return r.groups.root.Close()
}

// Resolved has something in it after a container has become known.
func (r *Resolver) Resolved() <-chan struct{} { return r.resolved }

// Stats returns the counters.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Cgroups = len(r.known)
	for _, e := range r.known {
		if e.container != nil {
			s.Containers++
		}
	}
	return s
}

// Lookup tells whose a cgroup is; nil is the host. pid is a process in it, 0 when
// none is known. ready is false while the runtime is being asked: the container
// then is what the path told. It does not wait.
func (r *Resolver) Lookup(cgroup uint64, pid uint32) (c *Container, ready bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.known[cgroup]
	if e == nil {
		e = r.first(cgroup, pid)
	}
	if e.container != nil && !e.container.Known && !e.pending && !e.final && time.Now().After(e.again) {
		e.postpone()
		r.question(question{cgroup, e.place})
	}
	return e.container, !e.pending
}

// Learn takes the path of a cgroup that has just been made, from the root of the
// hierarchy: it may be gone before it is looked up.
func (r *Resolver) Learn(cgroup uint64, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[cgroup] == nil && cgroup != 0 {
		r.add(cgroup, strings.Clone(strings.TrimSuffix(path, "/"))) // the path is the event's
	}
}

// first reads the path of a cgroup not seen before.
func (r *Resolver) first(cgroup uint64, pid uint32) *entry {
	path, gone, err := r.groups.find(cgroup)
	if (err != nil || gone && path == "") && pid != 0 {
		path, err = pathOf(r.cfg.Proc, pid)
	}
	if err != nil && cgroup > 1 {
		return r.lost(cgroup)
	}
	return r.add(cgroup, path)
}

// add remembers a cgroup and has the runtime asked about a container.
func (r *Resolver) add(cgroup uint64, path string) *entry {
	if len(r.known) >= r.cfg.Max {
		r.evict()
	}
	e := &entry{path: path, place: ParsePath(path)}
	r.known[cgroup] = e
	if len(e.place.IDs) == 0 {
		return e
	}
	e.container = &Container{Runtime: e.place.Runtime}
	e.container.ID, e.container.PodUID = e.place.IDs[0], e.place.PodUID
	e.container.CgroupPath = r.directory(path, e.container.ID)
	e.container.finish()
	// Docker and Podman run containers of their own beside those of Kubernetes.
	e.final = r.cfg.CRI == nil || e.place.PodUID == "" && (e.place.Runtime == "docker" || e.place.Runtime == "podman")
	if !e.final {
		e.postpone()
		e.pending = r.question(question{cgroup, e.place}) && !r.away // while the runtime is away nobody waits for it
	}
	return e
}

// lost is a cgroup that has gone unseen. It may have been a container's.
func (r *Resolver) lost(cgroup uint64) *entry {
	r.stats.Lost++
	e := r.add(cgroup, "")
	e.container = &Container{}
	e.container.ID = "cgroup-" + strconv.FormatUint(cgroup, 10)
	e.container.finish()
	e.final = true
	return e
}

// Path is a cgroup's directory, "" when it is not known.
func (r *Resolver) Path(cgroup uint64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.known[cgroup]; e != nil && (e.path != "" || cgroup == 1) {
		return r.groups.path + e.path
	}
	return ""
}

// directory is the directory of the container's own cgroup, which path is or lies in.
func (r *Resolver) directory(path, id string) string {
	end := strings.LastIndex(path, id)
	if end < 0 {
		return ""
	}
	if slash := strings.IndexByte(path[end:], '/'); slash > 0 {
		path = path[:end+slash]
	}
	return r.groups.path + path
}

// postpone sets when to ask again: after 5 s, then twice as long each time, up to 5 minutes.
func (e *entry) postpone() {
	e.pause = min(max(2*e.pause, 5*time.Second), 5*time.Minute)
	e.again = time.Now().Add(e.pause)
}

// question hands a question to Run; false when too many wait there.
func (r *Resolver) question(q question) bool {
	select {
	case r.ask <- q:
		r.stats.Asked++
		return true
	default:
		return false
	}
}

// evict forgets one cgroup, a gone one if there is.
func (r *Resolver) evict() {
	var any uint64
	for id, e := range r.known {
		if any = id; e.gone {
			break
		}
	}
	delete(r.known, any)
}

// Run asks the runtime until ctx ends, first for all containers that are there.
func (r *Resolver) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { r.scan(ctx) })
	sweep := time.NewTicker(30 * time.Second)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			r.sweep()
		case q := <-r.ask:
			asking.Go(func() { r.answer(ctx, q) })
		}
	}
}

// scan looks at all cgroups that are there.
func (r *Resolver) scan(ctx context.Context) {
	n := 0
	_ = filepath.WalkDir(r.groups.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // removed meanwhile
		}
		if n++; n > r.cfg.Max || ctx.Err() != nil {
			return fs.SkipAll
		}
		info, err := d.Info()
		if err != nil || len(ParsePath(path).IDs) == 0 {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			r.Lookup(st.Ino, 0)
		}
		return nil
	})
}

// answer asks the runtime until it knows the container or patience ends.
func (r *Resolver) answer(ctx context.Context, q question) {
	deadline := time.Now().Add(r.cfg.Patience)
	var c *Container
	var err error
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		c, err = r.request(ctx, q.place)
		if err == nil || ctx.Err() != nil || time.Now().Add(wait).After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	r.mu.Lock()
	if e := r.known[q.cgroup]; e != nil {
		e.pending = false
		if c != nil {
			c.CgroupPath = r.directory(e.path, c.ID)
			e.container = c
		}
	}
	r.away = errors.Is(err, errAway)
	if r.stats.Err = err; err != nil {
		r.stats.Failed++
		if errors.Is(err, errNotFound) {
			r.stats.Err = nil // it answered
		}
	}
	r.mu.Unlock()
	select {
	case r.resolved <- struct{}{}:
	default:
	}
}

// request asks for the innermost container of a place that the runtime knows: one
// may run another that it does not.
func (r *Resolver) request(ctx context.Context, place Place) (c *Container, err error) {
	select {
	case r.calls <- struct{}{}:
		defer func() { <-r.calls }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for _, id := range place.IDs {
		c, err = r.cfg.CRI.Container(ctx, id)
		if err == nil {
			r.refine(ctx, c)
			c.Runtime, err = r.runtimeName(ctx)
			return c, err
		}
		if !errors.Is(err, errNotFound) {
			return nil, err
		}
	}
	return nil, err
}

// refine asks the API server about a container's pod.
func (r *Resolver) refine(ctx context.Context, c *Container) {
	r.mu.Lock()
	wait := time.Now().Before(r.refused)
	r.mu.Unlock()
	if r.cfg.Pod == nil || c.Pod == "" || wait {
		return
	}
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	object, err := r.cfg.Pod(ctx, c.Namespace, c.Pod)
	if err == nil {
		err = c.refine(object)
	}
	if err != nil {
		r.mu.Lock()
		r.stats.Unrefined++
		r.refused = time.Now().Add(refusal)
		r.mu.Unlock()
	}
}

// runtimeName is what the runtime calls itself, asked once.
func (r *Resolver) runtimeName(ctx context.Context) (string, error) {
	r.mu.Lock()
	name := r.runtime
	r.mu.Unlock()
	if name != "" {
		return name, nil
	}
	name, _, err := r.cfg.CRI.Version(ctx)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	r.runtime = name
	r.mu.Unlock()
	return name, nil
}

// sweep forgets cgroups that were gone at the last sweep already: events of their
// last moments may come late.
func (r *Resolver) sweep() {
	r.mu.Lock()
	ids := make([]uint64, 0, len(r.known))
	for id := range r.known {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for _, id := range ids {
		if _, gone, _ := r.groups.find(id); !gone {
			continue
		}
		r.mu.Lock()
		if e := r.known[id]; e != nil && e.gone {
			delete(r.known, id)
		} else if e != nil {
			e.gone = true
		}
		r.mu.Unlock()
	}
}
