// Package enforce carries decisions out on a node.
//
//	Decision -> Action (what, and whom exactly) -> Enforcer -> Actor -> Outcome
//
// Children are the actors, one or two actions each: process kills, pod asks the
// API server, quarantine cuts the network (with filter's BPF programs), capture
// keeps evidence, permission refuses an exec before it happens. Package all puts
// them together. Whether an action is wanted at all (rate limits, protected
// namespaces, dry run) was decided before; here it is made certain that it meets
// the one it is meant for and nobody else: processes are known by their start
// time, cgroups by their number, pods by their UID.
package enforce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The actions, as policies name them. Release takes an Isolate back.
const (
	KillProcess   = "kill-process"
	KillContainer = "kill-container"
	DeletePod     = "delete-pod"
	Isolate       = "isolate"
	Capture       = "capture"
	Release       = "release"
)

// The outcomes.
const (
	Enforced = "enforced"
	Failed   = "failed"
)

// Why an actor may leave its target alone.
var (
	// ErrGone: it ended by itself; another one may have its number by now.
	ErrGone = errors.New("gone already")
	// ErrProtected: it must not be harmed, whatever a policy says.
	ErrProtected = errors.New("protected")
	// ErrIdentity: what is known of the target is too little, or does not fit together.
	ErrIdentity = errors.New("not surely the one that is meant")
)

// Target is whom an action is about. What an action needs of it is said there.
type Target struct {
	// PID is the process in the agent's PID namespace (the host's), Started its
	// start in time since boot (CLOCK_BOOTTIME, as trace events have it).
	PID     int           `json:"pid,omitempty"`
	Started time.Duration `json:"started,omitempty"`
	// Container is the runtime's full ID, "" for a process of the host.
	Container string `json:"container,omitempty"`
	// Cgroup is the absolute path of the container's cgroup v2 directory as the
	// agent sees it, CgroupID its number (the directory's inode).
	Cgroup   string `json:"cgroup,omitempty"`
	CgroupID uint64 `json:"cgroupID,omitempty"`
	// Namespace, Pod and PodUID are the pod's.
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	PodUID    string `json:"podUID,omitempty"`
}

// Action is one thing to do.
type Action struct {
	// Name is one of the constants.
	Name string
	Target
	// Reason is why, in few words: the policy and rule.
	Reason string
	// Events are what is known to have happened around it; Capture keeps them.
	Events []seawall.Event
}

// Outcome is what became of an action.
type Outcome struct {
	// State is Enforced or Failed.
	State string
	// Reason says what was done, or why not.
	Reason string
	// Path is the bundle of a Capture.
	Path string
}

// Actor carries out an action. The Outcome's State is the Enforcer's to set.
type Actor interface {
	Do(ctx context.Context, a *Action) (Outcome, error)
}

// Func is an Actor of one function.
type Func func(ctx context.Context, a *Action) (Outcome, error)

// Do implements Actor.
func (f Func) Do(ctx context.Context, a *Action) (Outcome, error) { return f(ctx, a) }

// Enforcer carries out actions by name. It is safe for concurrent use.
type Enforcer struct {
	actors map[string]Actor
	close  []func() error
}

// New returns an Enforcer of actors by action; close is called by Close, last first.
func New(actors map[string]Actor, close ...func() error) *Enforcer {
	return &Enforcer{actors: actors, close: close}
}

// Can says whether an action can be carried out here.
func (e *Enforcer) Can(action string) bool { return e.actors[action] != nil }

// Do carries out one action. It never panics on a target that is gone.
func (e *Enforcer) Do(ctx context.Context, a Action) Outcome {
	actor := e.actors[a.Name]
	if actor == nil {
		return Outcome{State: Failed, Reason: a.Name + " cannot be carried out here"}
	}
	o, err := actor.Do(ctx, &a)
	if err != nil {
		return Outcome{State: Failed, Reason: fmt.Sprintf("%s: %v", a.Name, err), Path: o.Path}
	}
	o.State = Enforced
	return o
}

// Close undoes what ends with the agent (quarantines) and frees what actors hold.
func (e *Enforcer) Close() error {
	var errs []error
	for i := len(e.close) - 1; i >= 0; i-- {
		errs = append(errs, e.close[i]())
	}
	return errors.Join(errs...)
}
