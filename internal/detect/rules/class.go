package rules

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The prevention classes: how early the node agent can stop what a rule is about.
const (
	// ClassKernel: a BPF program ends the process at exec, before its first instruction.
	ClassKernel = "kernel"
	// ClassPermission: the exec is refused (fanotify, FAN_OPEN_EXEC_PERM).
	ClassPermission = "permission"
	// ClassAfter: the process is ended when the event has been judged.
	ClassAfter = "after"
)

// Prevention is a rule's class, and why it has no earlier one.
type Prevention struct {
	// Class is for processes of containers; of the host where the rule is about those alone.
	Class string `json:"class"`
	// Host is the class for processes of the host where the rule is about both: ClassAfter.
	Host   string `json:"host,omitempty"`
	Reason string `json:"reason"`
}

// Denial is what the kernel looks for to act on a rule in one container: any one of
// its members. It is what internal/sensor/kernel can refuse.
type Denial struct {
	Rule *Rule
	// Upper: the executable is not the image's; Memfd: it is in memory alone.
	Upper, Memfd bool
	// UIDs: these users start it, whatever it is.
	UIDs []uint32
}

// maxUIDs bounds the users of one comparison.
const maxUIDs = 64

// classify finds a rule's class from its condition for events of execve and execveat.
//
// It never promises more than holds: a comparison with a field that is not known in
// time takes the class away wherever in the condition it stands. Neither mechanism is
// used for processes of the host.
func (e *Engine) classify(s *Status) *Prevention {
	if s.State != StateOK || s.Source != SourceSyscall {
		return nil
	}
	for _, t := range s.Events {
		if t != "execve" && t != "execveat" {
			return &Prevention{Class: ClassAfter, Reason: "it is about " + t + ", not only about starting programs"}
		}
	}
	if len(s.Events) == 0 {
		return &Prevention{Class: ClassAfter, Reason: "it is asked for every type of event"}
	}
	kernel, permission := &limits{}, &limits{}
	host, contained, combined := never, never, false
	roots := e.roots(s.Rule)
	if len(s.Events) < 2 || len(roots) > 1 {
		kernel.fields = append(kernel.fields, "evt.type") // it sees no difference
	}
	for _, root := range roots {
		host, contained = max(host, where(root, true)), max(contained, where(root, false))
		kernel.need(root, true, inKernel)
		permission.need(root, true, atOpen)
		if least, most := conditions(root, true); least == 0 || most > 1 {
			combined = true
		}
	}
	p := &Prevention{Class: ClassAfter, Reason: "only known when the program runs: " + permission.String()}
	switch {
	case contained == never:
		p.Reason = "it is about processes of the host"
	case len(kernel.fields) == 0 && !combined:
		p.Class, p.Reason = ClassKernel, "container and executable decide"
	case len(permission.fields) == 0 && len(kernel.fields) == 0:
		p.Class, p.Reason = ClassPermission, "known when the file is opened to be run; the kernel looks for one thing, never for two at once or for none"
	case len(permission.fields) == 0:
		p.Class, p.Reason = ClassPermission, "known when the file is opened to be run; not in the kernel: "+kernel.String()
	}
	if p.Class != ClassAfter && host != never {
		p.Host = ClassAfter
	}
	return p
}

// roots are a rule's conditions by type of exec.
func (e *Engine) roots(r *Rule) (roots []*node) {
	for _, t := range []string{"execve", "execveat"} {
		for _, c := range e.sources[SourceSyscall].types[t] {
			if c.rule == r && !slices.Contains(roots, c.root) {
				roots = append(roots, c.root)
			}
		}
	}
	return roots
}

// limits collects the fields that keep a rule from a class.
type limits struct{ fields []string }

func (l *limits) String() string {
	slices.Sort(l.fields)
	all := slices.Compact(l.fields)
	if len(all) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:3], ", "), len(all)-3)
	}
	return strings.Join(all, ", ")
}

// need notes every comparison that known does not accept, in its sense: as it
// stands, or negated.
func (l *limits) need(n *node, as bool, known func(c *check, as bool) bool) {
	switch n.kind {
	case kindCheck:
		if !known(n.check, as) {
			l.fields = append(l.fields, n.check.ref.String())
		}
		if o := n.check.other; o != nil && !known(&check{ref: *o, other: &n.check.ref}, as) {
			l.fields = append(l.fields, o.String())
		}
	case kindNot:
		l.need(n.terms[0], !as, known)
	}
	if n.kind == kindAnd || n.kind == kindOr {
		for _, t := range n.terms {
			l.need(t, as, known)
		}
	}
}

// succeeded is what fields say of every exec that succeeds: a failed one starts nothing.
type succeeded struct{}

func (succeeded) EventType() string { return "execve" }

func (succeeded) Value(r *seawall.FieldRef, i int, v *seawall.Value) bool {
	*v = seawall.Value{}
	switch r.Name {
	case "evt.failed", "evt.rawres":
		return i == 0
	case "evt.res":
		v.Text = "SUCCESS"
		return i == 0
	case "evt.arg", "evt.rawarg":
		v.Text = "0"
		return i == 0 && r.Argument == "res"
	}
	return false
}

// constant says whether a comparison is the same for every successful exec.
func (c *check) constant() (result, known bool) {
	var v seawall.Value
	if c.ref.Name == "evt.num" && c.other == nil && len(c.transforms) == 0 && c.match != nil {
		// Rules have always_true and never_true by comparing the number, from 1, with 0.
		first, last := c.match(&seawall.Value{Number: 1}), c.match(&seawall.Value{Number: math.MaxInt64})
		zero := !slices.ContainsFunc(c.numbers(), func(n int64) bool { return n > 0 })
		return first != c.negated, first == last && zero
	}
	if c.other != nil || !(succeeded{}).Value(&c.ref.FieldRef, 0, &v) {
		return false, false
	}
	return c.with(succeeded{}), true
}

// with is the comparison's result for one record.
func (c *check) with(r Record) bool {
	alone := *c
	alone.slot = 0
	s := &State{record: r, kept: make([]kept, 1), now: 1}
	return s.check(&alone)
}

// workload says whether a field is the container's or pod's, known from its start on.
func workload(name string) bool {
	switch {
	case name == "container.duration", name == "container.ip", name == "k8s.pod.ip", strings.HasSuffix(name, "cni.json"):
		return false
	}
	return strings.HasPrefix(name, "container.") || strings.HasPrefix(name, "k8s.")
}

// inKernel: constants, the workload, and what a Denial has, as it stands.
func inKernel(c *check, as bool) bool {
	if _, known := c.constant(); known || workload(c.ref.Name) {
		return true
	}
	_, ok := c.denials()
	return as && ok
}

// denials is what makes a comparison about the executable or its user true.
func (c *check) denials() (d Denial, ok bool) {
	if c.other != nil || c.negated || len(c.transforms) > 0 || c.operator != "=" && c.operator != "in" {
		return d, false
	}
	switch c.ref.Name {
	case "proc.is_exe_upper_layer", "proc.is_exe_from_memfd":
		d.Memfd = c.ref.Name == "proc.is_exe_from_memfd"
		d.Upper = !d.Memfd
		return d, !c.match(&seawall.Value{Number: 0}) && c.match(&seawall.Value{Number: 1})
	case "user.uid":
		for _, n := range c.numbers() {
			if n < 0 || n >= 1<<32-1 {
				return d, false
			}
			d.UIDs = append(d.UIDs, uint32(n))
		}
		return d, len(d.UIDs) > 0 && len(d.UIDs) <= maxUIDs
	}
	return d, false
}

// numbers are what a number is compared with.
func (c *check) numbers() (out []int64) {
	for _, r := range c.right {
		n, err := strconv.ParseInt(r, 0, 64)
		if err != nil {
			n = -1
		}
		out = append(out, n)
	}
	return out
}

// atOpen: fields of the file, of the process that is to run it and its parents, and
// of the name and arguments it passes, which another of its threads may change while
// they are read: then the process is ended after the exec. A file in memory is on no
// mount that could be watched.
func atOpen(c *check, as bool) bool {
	if _, known := c.constant(); known || workload(c.ref.Name) {
		return true
	}
	name := c.ref.Name
	switch name {
	case "proc.is_exe_from_memfd":
		_, ok := c.denials()
		return !as && ok
	case "proc.is_exe_upper_layer", "proc.is_exe_lower_layer", "proc.exe_ino", "proc.exepath", "proc.exe", "proc.name",
		"proc.args", "proc.cmdline", "proc.exeline", "proc.cmdnargs", "proc.cmdlenargs", "proc.cwd", "proc.tty",
		"proc.pid", "proc.ppid", "proc.vpid", "proc.pvpid", "proc.apid", "proc.sid", "proc.pgid", "proc.vpgid", "proc.sname",
		"proc.pname", "proc.aname", "proc.pexe", "proc.aexe", "proc.pexepath", "proc.aexepath", "proc.pcmdline", "proc.acmdline",
		"user.loginuid", "user.loginname", "evt.source", "evt.hostname":
		return true
	}
	return strings.HasPrefix(name, "proc.sid.") || strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "group.")
}

// sometimes is what is not known of a condition.
type sometimes uint8

const (
	never sometimes = iota
	maybe
	always
)

// where says whether a condition can be true for processes of the host, or for those of containers.
func where(n *node, host bool) sometimes {
	switch n.kind {
	case kindTrue:
		return always
	case kindFalse:
		return never
	case kindNot:
		return always - where(n.terms[0], host)
	case kindAnd, kindOr:
		result := where(n.terms[0], host)
		for _, t := range n.terms[1:] {
			if n.kind == kindAnd {
				result = min(result, where(t, host))
			} else {
				result = max(result, where(t, host))
			}
		}
		return result
	}
	c := n.check
	result, known := c.constant()
	switch {
	case known || c.other != nil:
	case host && strings.HasPrefix(c.ref.Name, "k8s."):
		result, known = false, true // a process of the host has no pod
	case c.ref.Name == "container.id" && slices.Equal(c.right, []string{"host"}) && (c.operator == "=" || c.operator == "!=" || c.operator == "in"):
		result, known = host != c.negated, true
	}
	switch {
	case !known:
		return maybe
	case result:
		return always
	}
	return never
}

// conditions is how many conditions for the kernel have to hold at once, in the
// least and the most demanding way that makes a condition, or its negation, true.
func conditions(n *node, as bool) (least, most int) {
	switch n.kind {
	case kindNot:
		return conditions(n.terms[0], !as)
	case kindCheck:
		if _, ok := n.check.denials(); ok {
			return 1, 1
		}
	case kindAnd, kindOr:
		least, most = conditions(n.terms[0], as)
		for _, t := range n.terms[1:] {
			l, m := conditions(t, as)
			if (n.kind == kindAnd) == as {
				least, most = least+l, most+m
			} else {
				least, most = min(least, l), max(most, m)
			}
		}
	}
	return least, most
}

// Denials are what to look for in a container, for the rules of ClassKernel that want
// accepts; a rule that cannot be true there has none. container answers for its
// container.* and k8s.* fields.
func (e *Engine) Denials(container Record, want func(*Rule) bool) (out []Denial) {
	for i := range e.statuses {
		s := &e.statuses[i]
		if s.Prevention == nil || s.Prevention.Class != ClassKernel || !want(s.Rule) {
			continue
		}
		d := Denial{Rule: s.Rule}
		for _, root := range e.roots(s.Rule) {
			_, some := denial(root, true, container)
			d.join(some)
		}
		if d.Upper || d.Memfd || len(d.UIDs) > 0 {
			out = append(out, d)
		}
	}
	return out
}

func (d *Denial) join(other Denial) {
	d.Upper, d.Memfd = d.Upper || other.Upper, d.Memfd || other.Memfd
	for _, uid := range other.UIDs {
		if !slices.Contains(d.UIDs, uid) {
			d.UIDs = append(d.UIDs, uid)
		}
	}
}

// denial is what makes a condition, or its negation, true in one container: whatever
// is executed, one of the members of a Denial, or nothing.
func denial(n *node, as bool, container Record) (always bool, some Denial) {
	switch n.kind {
	case kindNot:
		return denial(n.terms[0], !as, container)
	case kindTrue, kindFalse:
		return (n.kind == kindTrue) == as, some
	case kindCheck:
		if result, known := n.check.constant(); known {
			return result == as, some
		}
		if d, ok := n.check.denials(); ok {
			return false, d
		}
		return n.check.with(container) == as, some
	}
	all := (n.kind == kindAnd) == as
	always = all
	for _, t := range n.terms {
		termAlways, term := denial(t, as, container)
		switch {
		case !all && termAlways:
			return true, Denial{}
		case !all:
			some.join(term)
		case !termAlways && !term.Upper && !term.Memfd && len(term.UIDs) == 0:
			return false, Denial{}
		case !termAlways:
			always, some = false, term // the only one: conditions says so
		}
	}
	return always, some
}
