package node

import (
	"strconv"
	"strings"
)

// initUserNS is the inode number of the first user namespace (PROC_USER_INIT_INO).
const initUserNS = 0xEFFFFFFD

// span maps a range of a user namespace's identifiers to the host's (user_namespaces(7)).
type span struct{ inside, outside, length uint32 }

// idMap are the users' and groups' ranges of a user namespace.
type idMap struct{ uids, gids []span }

// maxSpans bounds the ranges of one map: the kernel takes 340.
const maxSpans = 340

// parseSpans reads /proc/PID/uid_map or gid_map.
func parseSpans(text string) (all []span) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 || len(all) >= maxSpans {
			continue
		}
		var n [3]uint32
		ok := true
		for i := range f {
			v, err := strconv.ParseUint(f[i], 10, 32)
			n[i], ok = uint32(v), ok && err == nil
		}
		if ok {
			all = append(all, span{n[0], n[1], n[2]})
		}
	}
	return all
}

// into is an identifier of the host as the namespace has it; one that it has not stays as it is.
func into(all []span, id uint32) uint32 {
	for _, s := range all {
		if id >= s.outside && id-s.outside < s.length {
			return s.inside + (id - s.outside)
		}
	}
	return id
}

// uid and gid are the process's as it sees them itself: a container may have a user
// namespace, in which its root is an ordinary user of the host.
func (e *Event) uid() uint32 {
	if m := e.identifiers(); m != nil {
		return into(m.uids, e.Task.UID)
	}
	return e.Task.UID
}

func (e *Event) gid() uint32 {
	if m := e.identifiers(); m != nil {
		return into(m.gids, e.Task.GID)
	}
	return e.Task.GID
}

// identifiers is the map of the process's user namespace, nil where it is the host's
// or was not seen while one of its processes lived.
func (e *Event) identifiers() *idMap {
	ns := e.Task.UserNS
	if ns == 0 || ns == initUserNS {
		return nil
	}
	s := e.stream
	if m := s.idMaps[ns]; m != nil {
		return m
	}
	m := &idMap{uids: parseSpans(string(s.procFile(e.Task.PID, "uid_map"))), gids: parseSpans(string(s.procFile(e.Task.PID, "gid_map")))}
	if m.uids == nil {
		return nil // not mapped yet, or gone
	}
	if len(s.idMaps) >= maxRoots {
		clear(s.idMaps)
	}
	s.idMaps[ns] = m
	return m
}
