// Package watch keeps up with the policies, exceptions and namespaces of a cluster.
//
//	Policy, PolicyException -> parse (mistakes with their field) -> Snapshot, swapped whole
//	decisions -> Seen -> status of the objects, every now and then
//
// A Policy with a mistake never harms the others: its status says what is wrong, and
// the last version without one stays in force.
package watch

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seawall-security/seawall/internal/admission/follow"
	"github.com/seawall-security/seawall/internal/policy"
)

// Policies are the policies and exceptions of the cluster, compiled.
type Policies struct {
	now     func() time.Time
	changed func(*policy.Set, []Problem)

	mu sync.Mutex
	// policies and exceptions are by key: the name, for exceptions namespace/name.
	policies, exceptions map[string]*entry
	// listed: which of the two were listed once.
	listed  [2]bool
	current atomic.Pointer[policy.Set]
}

// entry is an object and what became of it.
type entry struct {
	uid        string
	generation int64
	mistake    *Mistake
	// The last good version, and its generation.
	policy    *policy.Policy
	exception *policy.Exception
	active    int64
}

// New makes an empty set. changed is told of every new Snapshot and of what is not in
// it, by one goroutine at a time; it must not ask the Policies anything.
func New(now func() time.Time, changed func(*policy.Set, []Problem)) *Policies {
	p := &Policies{now: now, changed: changed, policies: map[string]*entry{}, exceptions: map[string]*entry{}}
	p.current.Store(&policy.Set{})
	return p
}

// Snapshot is the set in force. It is never changed, only replaced.
func (p *Policies) Snapshot() *policy.Set { return p.current.Load() }

// Ready says whether policies and exceptions were listed.
func (p *Policies) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listed[0] && p.listed[1]
}

// OfPolicies takes in Policy objects, OfExceptions PolicyExceptions.
func (p *Policies) OfPolicies() follow.Follower   { return &side{p, p.policies, 0} }
func (p *Policies) OfExceptions() follow.Follower { return &side{p, p.exceptions, 1} }

// side is one of the two kinds.
type side struct {
	*Policies
	entries map[string]*entry
	index   int
}

// Replace implements follow.Follower.
func (s *side) Replace(objects []follow.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := map[string]bool{}
	for _, o := range objects {
		there[keyOf(o)] = true
		s.set(o)
	}
	maps.DeleteFunc(s.entries, func(key string, _ *entry) bool { return !there[key] })
	s.listed[s.index] = true
	s.swap()
}

// Set implements follow.Follower.
func (s *side) Set(o follow.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set(o) {
		s.swap()
	}
}

// Delete implements follow.Follower.
func (s *side) Delete(o follow.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, keyOf(o))
	s.swap()
}

// set reads an object unless only its status changed.
func (s *side) set(o follow.Object) bool {
	uid, generation := textAt(o, "metadata", "uid"), generationOf(o)
	e := s.entries[keyOf(o)]
	if e == nil || e.uid != uid {
		e = &entry{uid: uid}
		s.entries[keyOf(o)] = e
	} else if e.generation == generation {
		return false
	}
	e.generation = generation
	var read *policy.Set
	if read, e.mistake = Read(o); e.mistake != nil {
		return true
	}
	e.active = generation
	if len(read.Policies) == 1 {
		e.policy = read.Policies[0]
	} else {
		e.exception = read.Exceptions[0]
	}
	return true
}

// swap makes the snapshot anew.
func (p *Policies) swap() {
	if !p.listed[0] || !p.listed[1] {
		return // half of them would be another set of rules
	}
	set := &policy.Set{}
	for _, key := range slices.Sorted(maps.Keys(p.policies)) {
		if e := p.policies[key]; e.policy != nil {
			set.Policies = append(set.Policies, e.policy)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.exceptions)) {
		if e := p.exceptions[key]; e.exception != nil {
			set.Exceptions = append(set.Exceptions, e.exception)
		}
	}
	p.current.Store(set)
	p.changed(set, p.problems())
}

// Problem is an object that is not in force as it is written.
type Problem struct {
	Kind, Name string
	Mistake
}

// problems are all there are, by kind and name.
func (p *Policies) problems() []Problem {
	var out []Problem
	for _, s := range []struct {
		kind    string
		entries map[string]*entry
	}{{policy.KindPolicy, p.policies}, {policy.KindException, p.exceptions}} {
		for key, e := range s.entries {
			if e.mistake != nil {
				out = append(out, Problem{s.kind, key, *e.mistake})
			}
		}
	}
	slices.SortFunc(out, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return out
}

// Namespaces are the Namespace objects of the cluster.
type Namespaces struct {
	mu     sync.RWMutex
	byName map[string]follow.Object
}

// Ready says whether they were listed.
func (n *Namespaces) Ready() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byName != nil
}

// Get is a Namespace object, nil where there is none. It is not to be changed.
func (n *Namespaces) Get(name string) map[string]any {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byName[name]
}

// Replace implements follow.Follower.
func (n *Namespaces) Replace(objects []follow.Object) {
	byName := make(map[string]follow.Object, len(objects))
	for _, o := range objects {
		byName[keyOf(o)] = o
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byName = byName
}

// Set implements follow.Follower.
func (n *Namespaces) Set(o follow.Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byName == nil {
		n.byName = map[string]follow.Object{}
	}
	n.byName[keyOf(o)] = o
}

// Delete implements follow.Follower.
func (n *Namespaces) Delete(o follow.Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.byName, keyOf(o))
}

// keyOf is the name, after the namespace where there is one.
func keyOf(o follow.Object) string {
	name := textAt(o, "metadata", "name")
	if ns := textAt(o, "metadata", "namespace"); ns != "" {
		return ns + "/" + name
	}
	return name
}

func at(o map[string]any, keys ...string) any {
	for _, k := range keys[:len(keys)-1] {
		o, _ = o[k].(map[string]any)
	}
	return o[keys[len(keys)-1]]
}

func textAt(o map[string]any, keys ...string) string {
	s, _ := at(o, keys...).(string)
	return s
}

func generationOf(o map[string]any) int64 {
	n, _ := at(o, "metadata", "generation").(int64)
	return n
}
