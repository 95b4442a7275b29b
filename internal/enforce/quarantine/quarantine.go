// Package quarantine cuts pods off the network and keeps them for forensics.
//
// The whole pod is cut where its cgroup is the container's parent, else the
// container (package filter says what is refused). Then the pod is set apart at the
// API server, so that its controller starts another one and leaves this one alone.
// The network is cut first and stays cut when the API server cannot be reached.
//
// A quarantine lasts as long as the agent: nothing is pinned in the kernel, so that a
// node never keeps filters nobody looks after. The quarantines are written to a file
// and an agent that is started anew takes them up again (Restore), before it does
// anything else; a pod that was set apart stays so meanwhile.
package quarantine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/filter"
	"github.com/seawall-security/seawall/internal/enforce/process"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Pods sets pods apart at the API server, and back. Apart tells whether one still is.
type Pods interface {
	SetApart(ctx context.Context, s *seawall.Subject, reason string) error
	Apart(ctx context.Context, s *seawall.Subject) (bool, error)
	Return(ctx context.Context, s *seawall.Subject) error
}

// Config is what quarantines need.
type Config struct {
	// Peers are the node's addresses, whose probes still get through.
	Peers []netip.Addr
	// Pods may be nil: then the network is all.
	Pods Pods
	// Every is how often Pods are asked whether one is to be released; 0 is 30 s.
	Every time.Duration
	// File remembers the quarantines; "" forgets them with the process.
	File string
}

// Quarantine keeps the quarantines of a node. It is safe for concurrent use.
type Quarantine struct {
	config Config

	mu   sync.Mutex
	cuts map[string]*cut // by directory
}

type cut struct {
	filter *filter.Cut
	kept
}

// kept is what is remembered of a quarantine.
type kept struct {
	// Cgroup is the directory that is cut, Inode its number.
	Cgroup string `json:"cgroup"`
	Inode  uint64 `json:"inode"`
	// Container is who was caught.
	Container *seawall.Container `json:"container"`
	Reason    string             `json:"reason"`
	// Apart: the pod was set apart.
	Apart bool `json:"apart,omitempty"`
}

// New returns a Quarantine of nobody.
func New(c Config) *Quarantine {
	c.Every = cmp.Or(c.Every, 30*time.Second)
	return &Quarantine{config: c, cuts: map[string]*cut{}}
}

// Isolate quarantines the pod of an action's container: Container and CgroupPath are needed.
func (q *Quarantine) Isolate(ctx context.Context, a *enforce.Action) enforce.Outcome {
	dir, err := enforce.CgroupDir(&a.Subject)
	if err != nil {
		return enforce.Outcome{Err: err}
	}
	reason := cmp.Or(strings.Trim(a.Policy+"/"+a.Rule, "/"), "asked for")
	k := kept{Cgroup: scope(dir, a.Subject.Container), Container: a.Subject.Container, Reason: reason}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prune()
	if q.cuts[k.Cgroup] == nil {
		if err := q.cut(k); err != nil {
			return enforce.Outcome{Err: err}
		}
		if err := q.save(); err != nil {
			return enforce.Outcome{Err: fmt.Errorf("the network is cut, but will not be after a restart: %w", err)}
		}
	}
	detail := "the network of " + filepath.Base(k.Cgroup) + " is cut"
	if q.config.Pods == nil || k.Container.Pod == "" {
		return enforce.Outcome{Detail: detail}
	}
	if err := q.config.Pods.SetApart(ctx, &a.Subject, reason); err != nil {
		return enforce.Outcome{Err: fmt.Errorf("the network is cut, but the pod is not set apart: %w", err)}
	}
	if c := q.cuts[k.Cgroup]; !c.Apart {
		c.Apart = true
		if err := q.save(); err != nil {
			return enforce.Outcome{Err: fmt.Errorf("the network is cut, but will not be after a restart: %w", err)}
		}
	}
	return enforce.Outcome{Detail: detail + ", the pod is set apart"}
}

// Run releases the pods whose label somebody has taken away, until ctx ends.
func (q *Quarantine) Run(ctx context.Context) {
	if q.config.Pods == nil {
		return
	}
	every := time.NewTicker(q.config.Every)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			q.reconcile(ctx)
		}
	}
}

func (q *Quarantine) reconcile(ctx context.Context) {
	q.mu.Lock()
	var apart []*seawall.Container
	for _, c := range q.cuts {
		if c.Apart {
			apart = append(apart, c.Container)
		}
	}
	q.mu.Unlock()
	for _, c := range apart {
		subject := seawall.Subject{Container: c}
		// An API server that does not answer releases nobody; a pod that is gone has no cgroup soon.
		if still, err := q.config.Pods.Apart(ctx, &subject); err == nil && !still {
			q.Release(ctx, &enforce.Action{Name: enforce.Release, Subject: subject})
		}
	}
}

// Release takes a quarantine back.
func (q *Quarantine) Release(ctx context.Context, a *enforce.Action) enforce.Outcome {
	k := a.Subject.Container
	if k == nil {
		return enforce.Outcome{Err: fmt.Errorf("no container: %w", enforce.ErrIdentity)}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prune()
	var err error
	found := false
	for dir, c := range q.cuts {
		if c.Container.ID == k.ID || k.PodUID != "" && c.Container.PodUID == k.PodUID {
			err = errors.Join(err, c.filter.Close())
			delete(q.cuts, dir)
			found = true
		}
	}
	if !found {
		return enforce.Outcome{Err: fmt.Errorf("container %.12s is not in quarantine: %w", k.ID, enforce.ErrGone)}
	}
	if err = errors.Join(err, q.save()); err == nil && q.config.Pods != nil && k.Pod != "" {
		err = q.config.Pods.Return(ctx, &a.Subject)
	}
	return enforce.Outcome{Err: err, Detail: "the network is back"}
}

// Restore takes up the quarantines of an earlier process. What is gone since is
// forgotten; for the others an error says which are not cut.
func (q *Quarantine) Restore() error {
	if q.config.File == "" {
		return nil
	}
	data, err := os.ReadFile(q.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("quarantines: %w", err)
	}
	all, err := parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", q.config.File, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	for _, k := range all {
		if q.cuts[k.Cgroup] != nil || inode(k.Cgroup) != k.Inode {
			continue
		}
		if err := q.cut(k); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...) // the file is left for the next try
	}
	return q.save()
}

// maxKept bounds the quarantines of a node.
const maxKept = 1024

func parse(data []byte) (all []kept, err error) {
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("quarantines: %w: %w", err, seawall.ErrCorrupt)
	}
	if len(all) > maxKept {
		return nil, fmt.Errorf("%d quarantines: %w", len(all), seawall.ErrBound)
	}
	for _, k := range all {
		if !filepath.IsAbs(k.Cgroup) || k.Inode == 0 || k.Container == nil || len(k.Container.ID) < 12 {
			return nil, fmt.Errorf("a quarantine of %q has no cgroup or container: %w", k.Cgroup, seawall.ErrCorrupt)
		}
	}
	return all, nil
}

// Contained names the containers in quarantine, as they were caught.
func (q *Quarantine) Contained() []*seawall.Container {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.prune()
	var out []*seawall.Container
	for _, dir := range slices.Sorted(maps.Keys(q.cuts)) {
		out = append(out, q.cuts[dir].Container)
	}
	return out
}

// Close ends all quarantines of this process; the file keeps them for the next one.
func (q *Quarantine) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var errs []error
	for dir, c := range q.cuts {
		errs = append(errs, c.filter.Close())
		delete(q.cuts, dir)
	}
	return errors.Join(errs...)
}

func (q *Quarantine) cut(k kept) error {
	k.Inode = inode(k.Cgroup)
	if k.Inode == 0 {
		return fmt.Errorf("cgroup %s: %w", k.Cgroup, enforce.ErrGone)
	}
	if len(q.cuts) >= maxKept {
		return fmt.Errorf("%d quarantines: %w", len(q.cuts), seawall.ErrBound)
	}
	pids, err := process.Members(k.Cgroup)
	if err != nil {
		return err
	}
	if slices.Contains(pids, os.Getpid()) {
		return fmt.Errorf("the agent itself is in %s: %w", k.Cgroup, enforce.ErrProtected)
	}
	f, err := filter.New(filter.Config{Cgroup: k.Cgroup, PIDs: pids, Peers: q.config.Peers})
	if err != nil {
		return err
	}
	q.cuts[k.Cgroup] = &cut{f, k}
	return nil
}

// prune forgets what is gone; the kernel has taken the programs off by then.
func (q *Quarantine) prune() {
	for dir, c := range q.cuts {
		if inode(dir) != c.Inode {
			_ = c.filter.Close()
			delete(q.cuts, dir)
		}
	}
}

// save writes the file, whole or not at all.
func (q *Quarantine) save() error {
	if q.config.File == "" {
		return nil
	}
	all := []kept{}
	for _, dir := range slices.Sorted(maps.Keys(q.cuts)) {
		all = append(all, q.cuts[dir].kept)
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(q.config.File), 0o700); err != nil {
		return fmt.Errorf("quarantines: %w", err)
	}
	next := q.config.File + ".new"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return fmt.Errorf("quarantines: %w", err)
	}
	return os.Rename(next, q.config.File)
}

// scope is the pod's cgroup where the container's lies in one, else the container's.
func scope(dir string, c *seawall.Container) string {
	parent := filepath.Dir(dir)
	// The systemd driver writes the dashes of the UID as underscores.
	name := strings.ReplaceAll(filepath.Base(parent), "_", "-")
	if c.PodUID != "" && strings.Contains(name, c.PodUID) {
		return parent
	}
	return dir
}

func inode(dir string) uint64 {
	var info unix.Stat_t
	if unix.Stat(dir, &info) != nil {
		return 0
	}
	return info.Ino
}
