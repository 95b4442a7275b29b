package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source/object"
)

const (
	// parallel is how many lists are under way.
	parallel = 4
	// maxKept bounds the JSON of a snapshot in bytes.
	maxKept = 2 << 30
)

// snapshot is one reading of a cluster.
type snapshot struct {
	target *Target
	api    *api
	want   []wanted
	have   map[wanted]served
	groups []string
	// owners are the workloads met, by UID. Only the list of workloads and pods,
	// which goes one after the other, touches it.
	owners map[string]*owner

	// lists are by place in want, each written by the one goroutine that reads it.
	lists [][]*seawall.Object

	mu       sync.Mutex
	configs  []seawall.ConfigFact
	problems seawall.Incomplete
	kept     int64
	count    int64
}

// read takes the snapshot. What concerns only one list is noted.
func (s *snapshot) read(ctx context.Context) error {
	s.want = wantedResources()
	var err error
	if s.have, s.groups, err = s.api.discover(ctx, s.want); err != nil {
		return fmt.Errorf("which resources there are: %w", err)
	}
	s.lists = make([][]*seawall.Object, len(s.want)+1) // secrets are the last
	var chain, others []int
	for i, w := range s.want {
		if isWorkload(w) || w.resource == "pods" {
			chain = append(chain, i)
		} else {
			others = append(others, i)
		}
	}
	g, listing := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	g.Go(func() error {
		for _, i := range chain {
			if err := s.list(listing, i); err != nil {
				return err
			}
		}
		return nil
	})
	for _, i := range others {
		g.Go(func() error { return s.list(listing, i) })
	}
	g.Go(func() error { return s.secrets(listing) })
	g.Go(func() error { return s.deprecated(listing) })
	if err := g.Wait(); err != nil {
		return err
	}
	if err := s.kubelets(ctx); err != nil {
		return err
	}
	s.sum()
	return nil
}

// sum adds what only all lists together say.
func (s *snapshot) sum() {
	objects := slices.Concat(s.lists...)
	s.configs = append(s.configs, s.versionFact(objects))
	s.configs = append(s.configs, object.Components(objects)...)
}

// facts are the objects in the order of want, then the configurations, then what
// the cluster runs on.
func (s *snapshot) facts() []seawall.Fact {
	var out []seawall.Fact
	for _, o := range slices.Concat(s.lists...) {
		out = append(out, seawall.Fact{Object: o})
	}
	slices.SortStableFunc(s.configs, compareConfigs)
	for i := range s.configs {
		out = append(out, seawall.Fact{Config: &s.configs[i]})
	}
	packages := object.Packages(s.target.version.GitVersion, slices.Concat(s.lists...))
	for i := range packages {
		out = append(out, seawall.Fact{Package: &packages[i]})
	}
	return out
}

// list reads one resource. The error is one of the whole run.
func (s *snapshot) list(ctx context.Context, i int) error {
	w := s.want[i]
	sv, ok := s.have[w]
	if !ok {
		s.note("kubernetes/read", map[string]string{"resource": w.String(), "served": "false"})
		return nil
	}
	restricted := sv.namespaced
	var query url.Values
	if ns := s.target.options.Namespace; ns != "" && w.String() == "namespaces" {
		restricted, query = true, url.Values{"fieldSelector": {"metadata.name=" + ns}}
	}
	objects, err := s.collect(ctx, w, sv, sv.list(w, s.target.options.Namespace), query, "application/json")
	if err != nil {
		return s.unread(ctx, w.String(), err)
	}
	s.lists[i] = objects
	s.readNote(w.String(), restricted)
	return nil
}

// list is the path of a resource's list.
func (sv served) list(w wanted, namespace string) string {
	if namespace == "" || !sv.namespaced {
		return sv.path + "/" + w.resource
	}
	return sv.path + "/namespaces/" + url.PathEscape(namespace) + "/" + w.resource
}

// collect reads a list into objects.
func (s *snapshot) collect(ctx context.Context, w wanted, sv served, path string, query url.Values, accept string) ([]*seawall.Object, error) {
	var objects []*seawall.Object
	restart := func() {
		for _, o := range objects {
			_ = s.keep(-int64(len(o.JSON))) // less is never too much
		}
		objects = nil
	}
	err := s.api.list(ctx, path, query, accept, restart, func(raw []byte) error {
		it, err := parseItem(raw)
		if err != nil {
			return err
		}
		keep := true
		switch {
		case isWorkload(w):
			keep, err = s.workload(it, sv.kind)
		case w.String() == "pods":
			keep, err = s.pod(it)
		}
		if err != nil || !keep {
			return err
		}
		o, err := it.object(sv)
		if err != nil {
			return err
		}
		objects = append(objects, o)
		return s.keep(int64(len(o.JSON)))
	})
	if err != nil {
		restart()
		return nil, err
	}
	return objects, nil
}

// keep counts what the snapshot holds and says when it is too much.
func (s *snapshot) keep(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept += bytes
	if bytes > 0 {
		s.count++
		if report := s.target.options.Progress; report != nil && s.count%100 == 0 {
			report(seawall.Progress{Asset: s.target.asset.Name, Stage: "read", Unit: "objects", Done: s.count})
		}
	}
	if s.kept > maxKept {
		return fmt.Errorf("more than %d bytes of objects: %w", int64(maxKept), seawall.ErrBound)
	}
	return nil
}

// note adds a configuration fact.
func (s *snapshot) note(kind string, data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configs = append(s.configs, seawall.ConfigFact{Kind: kind, Data: data})
}

// readNote says that a list is complete; one that Options.Namespace restricts is
// complete as far as that namespace goes, which the fact names.
func (s *snapshot) readNote(resource string, restricted bool) {
	data := map[string]string{"resource": resource}
	if ns := s.target.options.Namespace; ns != "" && restricted {
		data["namespace"] = ns
	}
	s.note("kubernetes/read", data)
}

// unread notes a list that could not be read. A refusal is no problem of its own:
// whoever gave the scan its role meant it so, and the controls say what they lack.
// The error is not nil when the whole run must end.
func (s *snapshot) unread(ctx context.Context, resource string, err error) error {
	if ctx.Err() != nil || errors.Is(err, seawall.ErrBound) {
		return err
	}
	reason := err.Error()
	if refused(err) {
		reason = "not allowed to read " + resource + ": " + reason
	} else {
		s.mu.Lock()
		s.problems = append(s.problems, fmt.Errorf("%s: %w", resource, err))
		s.mu.Unlock()
	}
	data := map[string]string{"resource": resource, "reason": reason}
	if ns := s.target.options.Namespace; ns != "" {
		data["namespace"] = ns
	}
	s.note("kubernetes/unread", data)
	return nil
}
