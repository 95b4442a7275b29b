// Package respond says whether an action a policy asks for is carried out: not in a
// dry run, not on what is protected, not twice, and not more often than its limit.
// It is pure: the time is an argument, and doing is package enforce's.
//
//	Decision of a policy + Subject -> Judge -> Verdict -> enforce
package respond

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Limit is how often an action may be carried out on this node.
type Limit struct {
	Count int
	Per   time.Duration
}

// String is the limit as it is told: "5 in 10m0s".
func (l Limit) String() string { return fmt.Sprintf("%d in %s", l.Count, l.Per) }

// Limits are the limits without configuration, by action. An action without one has none.
func Limits() map[string]Limit {
	return map[string]Limit{
		"kill-process":   {60, time.Minute},
		"kill-container": {10, 10 * time.Minute},
		"delete-pod":     {5, 10 * time.Minute},
		"isolate":        {10, 10 * time.Minute},
		"capture":        {5, 10 * time.Minute},
	}
}

// Config says what is never done.
type Config struct {
	// DryRun: nothing is done, and decisions say what would have been.
	DryRun bool
	// Protected are namespaces, as globs, whose pods nothing is done to.
	Protected []string
	// Host allows actions on processes of the node that are in no container.
	Host   bool
	Limits map[string]Limit
}

// again is how long an action on the same target is not repeated.
const again = 30 * time.Second

// maxRemembered bounds the targets remembered.
const maxRemembered = 4096

// Judge remembers what was done. It is not safe for concurrent use.
type Judge struct {
	Config
	done map[string][]time.Time // by action, within its limit's time
	last map[target]time.Time
}

type target struct {
	action, container string
	process           seawall.ProcessID
}

// Verdict is whether an action is to be carried out. Reason says why not.
type Verdict struct {
	Do     bool
	DryRun bool
	Reason string
}

// Judge says whether to carry out an action now; if so it counts as done.
func (j *Judge) Judge(action string, s *seawall.Subject, now time.Time) Verdict {
	if why := j.spared(s); why != "" {
		return Verdict{Reason: why}
	}
	t := target{action: action, process: seawall.ProcessID{PID: s.PID, Start: s.Start}}
	if action != "kill-process" && s.Container != nil {
		t.container, t.process = s.Container.ID, seawall.ProcessID{}
	}
	if when, ok := j.last[t]; ok && now.Sub(when) < again {
		return Verdict{Reason: fmt.Sprintf("done already, %s before", now.Sub(when).Round(time.Millisecond))}
	}
	limit, limited := j.Limits[action]
	recent := slices.DeleteFunc(j.done[action], func(when time.Time) bool { return now.Sub(when) >= limit.Per })
	if limited && len(recent) >= limit.Count {
		return Verdict{Reason: fmt.Sprintf("over the limit of this node, %s", limit)}
	}
	j.remember(t, limited, recent, now)
	if j.DryRun {
		return Verdict{DryRun: true, Reason: "the agent does nothing (--dry-run)"}
	}
	return Verdict{Do: true}
}

// spared says why nothing is ever done to a subject.
func (j *Judge) spared(s *seawall.Subject) string {
	if s.Container == nil {
		if !j.Host {
			return "it is a process of the node, and responses are for containers"
		}
		return ""
	}
	for _, pattern := range j.Protected {
		if ok, err := path.Match(pattern, s.Container.Namespace); err == nil && ok && s.Container.Namespace != "" {
			return "namespace " + s.Container.Namespace + " is protected"
		}
	}
	return ""
}

func (j *Judge) remember(t target, limited bool, recent []time.Time, now time.Time) {
	if j.done == nil {
		j.done, j.last = map[string][]time.Time{}, map[target]time.Time{}
	}
	if limited {
		j.done[t.action] = append(recent, now)
	}
	if len(j.last) >= maxRemembered {
		maps.DeleteFunc(j.last, func(_ target, when time.Time) bool { return now.Sub(when) >= again })
	}
	if len(j.last) < maxRemembered {
		j.last[t] = now
	}
}
