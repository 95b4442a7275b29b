package node

import (
	"path"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
)

// host is what stands for the container of what runs outside of one.
const host = "host"

// of is a text of the container; the host has none.
func of(what func(c *identity.Container) string) field {
	return text(func(e *Event) string {
		if e.Container == nil {
			return ""
		}
		return what(e.Container)
	})
}

// inside is a flag of the container; it is not known of the host, nor of one that only the path told.
func inside(what func(c *identity.Container) bool) field {
	return flag(func(e *Event) (is, known bool) {
		if e.Container == nil || !e.Container.Known {
			return false, false
		}
		return what(e.Container), true
	})
}

func containerFields() map[string]field {
	orHost := func(what func(c *identity.Container) string) field {
		return text(func(e *Event) string {
			if e.Container == nil {
				return host
			}
			return what(e.Container)
		})
	}
	label := func(of func(c *identity.Container) map[string]string) field {
		return field{kindText, func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) (ok bool) {
			if e.Container == nil || i > 0 {
				return false
			}
			v.Text, ok = of(e.Container)[r.Argument]
			return ok
		}}
	}
	return map[string]field{
		"container.id":               orHost(func(c *identity.Container) string { return c.Short }),
		"container.full_id":          orHost(func(c *identity.Container) string { return c.ID }),
		"container.name":             orHost(func(c *identity.Container) string { return c.Name }),
		"container.type":             orHost(func(c *identity.Container) string { return c.Runtime }),
		"container.image":            of(func(c *identity.Container) string { return c.Image }),
		"container.image.id":         of(func(c *identity.Container) string { return strings.TrimPrefix(c.ImageID, "sha256:") }),
		"container.image.repository": of(func(c *identity.Container) string { return c.Repository }),
		"container.image.tag":        of(func(c *identity.Container) string { return c.Tag }),
		"container.image.digest":     of(func(c *identity.Container) string { return c.Digest }),
		"container.privileged":       inside(func(c *identity.Container) bool { return c.Privileged }),
		"container.host_pid":         inside(func(c *identity.Container) bool { return c.HostPID }),
		"container.host_network":     inside(func(c *identity.Container) bool { return c.HostNetwork }),
		"container.host_ipc":         inside(func(c *identity.Container) bool { return c.HostIPC }),
		"container.ip":               of(func(c *identity.Container) string { return c.IP }),
		"container.mounts":           of(func(c *identity.Container) string { return c.MountsText }),
		"container.labels":           of(func(c *identity.Container) string { return c.LabelsText }),
		"container.label":            label(func(c *identity.Container) map[string]string { return c.ContainerLabels }),
		"container.start_ts": number(func(e *Event) (int64, bool) {
			if e.Container == nil || e.Container.Created == 0 {
				return 0, false
			}
			return e.Container.Created, true
		}),
		"container.duration": number(func(e *Event) (int64, bool) {
			if e.Container == nil || e.Container.Created == 0 {
				return 0, false
			}
			return e.When().UnixNano() - e.Container.Created, true
		}),
		"k8s.pod.label": label(func(c *identity.Container) map[string]string { return c.Labels }),
	}
}

// mountFields take a mount's number in brackets or where it comes from, container.mount.source where it goes to.
func mountFields() map[string]field {
	all := map[string]field{}
	for name, what := range map[string]func(e *Event, m *identity.Mount) string{
		"container.mount":             func(e *Event, m *identity.Mount) string { return m.String() },
		"container.mount.source":      func(_ *Event, m *identity.Mount) string { return m.Source },
		"container.mount.dest":        func(_ *Event, m *identity.Mount) string { return m.Destination },
		"container.mount.mode":        func(_ *Event, m *identity.Mount) string { return m.Mode },
		"container.mount.propagation": func(_ *Event, m *identity.Mount) string { return m.Propagation },
		"container.mount.rdwr": func(_ *Event, m *identity.Mount) string {
			if m.Writable {
				return "true"
			}
			return "false"
		},
	} {
		all[name] = field{kindText, func(e *Event, r *seawall.FieldRef, i int, v *seawall.Value) bool {
			m := e.mount(r, name == "container.mount.source")
			if m == nil || i > 0 {
				return false
			}
			v.Text = what(e, m)
			return true
		}}
	}
	return all
}

// mount finds a mount by its number or by a glob of its source, of its destination where that is asked for by.
func (e *Event) mount(r *seawall.FieldRef, byDestination bool) *identity.Mount {
	if e.Container == nil {
		return nil
	}
	mounts := e.Container.Mounts
	if r.Index >= 0 {
		if r.Index < len(mounts) {
			return &mounts[r.Index]
		}
		return nil
	}
	for i := range mounts {
		key := mounts[i].Source
		if byDestination {
			key = mounts[i].Destination
		}
		if matches(r.Argument, key) {
			return &mounts[i]
		}
	}
	return nil
}

// matches is a glob whose last "*" also takes what lies below: "/root*".
func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok && !strings.ContainsAny(prefix, "*?[\\") {
		return strings.HasPrefix(name, prefix)
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

func podFields() map[string]field {
	sandbox := func(c *identity.Container) string { return c.SandboxID }
	return map[string]field{
		"k8s.ns.name":             of(func(c *identity.Container) string { return c.Namespace }),
		"k8s.pod.name":            of(func(c *identity.Container) string { return c.Pod }),
		"k8s.pod.id":              of(func(c *identity.Container) string { return c.PodUID }),
		"k8s.pod.uid":             of(func(c *identity.Container) string { return c.PodUID }),
		"k8s.pod.full_sandbox_id": of(sandbox),
		"k8s.pod.sandbox_id":      of(func(c *identity.Container) string { return c.SandboxID[:min(12, len(c.SandboxID))] }),
		"k8s.pod.labels":          of(func(c *identity.Container) string { return c.PodLabelsText }),
		"k8s.pod.ip":              of(func(c *identity.Container) string { return c.IP }),
		"k8s.rs.name":             of(func(c *identity.Container) string { return identity.ReplicaSet(&c.Container) }),
		"k8s.deployment.name":     of(func(c *identity.Container) string { return identity.Deployment(&c.Container) }),
		"k8s.workload":            of(func(c *identity.Container) string { return c.Workload }),
		"k8s.node.name":           text(func(e *Event) string { return e.stream.cfg.Node }),
	}
}
