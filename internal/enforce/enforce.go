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
	"slices"
	"sync"

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

// Why an actor may leave its target alone.
var (
	// ErrGone: it ended by itself; another one may have its number by now.
	ErrGone = errors.New("gone already")
	// ErrProtected: it must not be harmed, whatever a policy says.
	ErrProtected = errors.New("protected")
	// ErrIdentity: what is known of the target is too little, or does not fit together.
	ErrIdentity = errors.New("not surely the one that is meant")
)

// Action is one thing to do.
type Action struct {
	// Name is one of the constants.
	Name string
	// Subject is whom it is about. What an action needs of it is said there.
	Subject seawall.Subject
	// Finding is why, Policy and Rule who wants it; nil and "" where a person does.
	Finding      *seawall.Finding
	Policy, Rule string
	// Events are what is known to have happened around it; Capture keeps them.
	Events []seawall.Event
}

// Outcome is what became of an action.
type Outcome struct {
	// Err is why it was not carried out; nil when it was.
	Err error
	// Detail says what was done.
	Detail string
	// Path is the bundle of a Capture.
	Path string
}

// Actor carries out an action.
type Actor func(ctx context.Context, a *Action) Outcome

// Part is what an actor does by itself: Run works until ctx ends, Close undoes what
// ends with the agent and frees what is held. Either may be nil.
type Part struct {
	Run   func(ctx context.Context)
	Close func() error
}

// Enforcer carries out actions by name. It is safe for concurrent use.
type Enforcer struct {
	actors map[string]Actor
	parts  []Part
}

// New returns an Enforcer of actors by action.
func New(actors map[string]Actor, parts ...Part) *Enforcer {
	return &Enforcer{actors: actors, parts: parts}
}

// Can says whether an action can be carried out here.
func (e *Enforcer) Can(action string) bool { return e.actors[action] != nil }

// Do carries out one action.
func (e *Enforcer) Do(ctx context.Context, a Action) Outcome {
	actor := e.actors[a.Name]
	if actor == nil {
		return Outcome{Err: fmt.Errorf("%s cannot be carried out here", a.Name)}
	}
	return actor(ctx, &a)
}

// Run does what actors do by themselves until ctx ends.
func (e *Enforcer) Run(ctx context.Context) {
	var wait sync.WaitGroup
	for _, p := range e.parts {
		if p.Run != nil {
			wait.Go(func() { p.Run(ctx) })
		}
	}
	wait.Wait()
}

// Close closes the parts, the last one first. Run must have returned.
func (e *Enforcer) Close() error {
	var errs []error
	for _, p := range slices.Backward(e.parts) {
		if p.Close != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}
