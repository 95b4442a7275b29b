package process

import "github.com/seawall-security/seawall/internal/sensor/trace"

// Live is a process with its ancestors as /proc has them now: events of the last
// moments may not have come yet. The tree is asked for parents that have ended. nil
// where the process is gone. What is returned is not of the tree.
func (t *Tree) Live(pid uint32) *Process {
	first, ppid, err := t.read(pid)
	if err != nil {
		return nil
	}
	p := first
	for range maxDead {
		if known := t.byPID[p.PID]; known != nil && p.same(known.Start) {
			if known.Program.Path == p.Program.Path && known.Program.Started != 0 {
				p.Program = known.Program // the kernel knows more of the file
			}
			if known.Parent != nil && known.Parent.Ended {
				p.Parent = known.Parent
				break
			}
		}
		if ppid == 0 {
			break
		}
		parent, above, err := t.read(ppid)
		if err != nil {
			break
		}
		p.Parent, p, ppid = parent, parent, above
	}
	return first
}

// Replaced is a process of Live after an exec: the same, with another program.
func Replaced(p *Process, e *trace.Event) *Process {
	after := *p
	after.Program = program(e)
	after.rename(e.Task.Comm)
	return &after
}
