package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/seawall-security/seawall/internal/seawall"
)

// DenyRule says which programs may not start in a cgroup: those for which one of
// its conditions is true. The executable is what is looked at: of a script its interpreter.
type DenyRule struct {
	// ID comes back in trace.Event.Rule.
	ID uint32
	// Upper: executables of an overlay's upper layer, which are not of the image. Memfd: of memfd_create.
	Upper, Memfd bool
	// UIDs: whatever these users start.
	UIDs []uint32
	// Files: these executables.
	Files []FileID
}

// FileID is a file as trace.File has it.
type FileID struct {
	Dev   uint32
	Inode uint64
}

// Deny adds a rule for a cgroup (its version 2 id) and those below it: a program
// that it forbids is ended with SIGKILL before its first instruction; the event of its start has trace.FlagKilled.
// It holds while the sensor runs. Where two rules forbid the same, the later one's ID is told.
func (s *Sensor) Deny(cgroup uint64, rule DenyRule) error {
	if cgroup <= 1 {
		return fmt.Errorf("denying in cgroup %d, which is the whole machine: %w", cgroup, seawall.ErrUsage)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range rule.keys(cgroup) {
		if err := s.objects.Denied.Put(k, rule.ID); err != nil {
			return fmt.Errorf("denying in cgroup %d: %w", cgroup, err)
		}
		s.denials[k] = rule.ID
		s.guarded[cgroup] |= k.Kind
	}
	if err := s.objects.Guarded.Put(cgroup, s.guarded[cgroup]); err != nil {
		return fmt.Errorf("denying in cgroup %d: %w", cgroup, err)
	}
	return nil
}

// keys are the entries of a rule.
func (r *DenyRule) keys(cgroup uint64) []sensorDenyKey {
	var keys []sensorDenyKey
	add := func(kind sensorDenyKind, inode uint64, other uint32) {
		keys = append(keys, sensorDenyKey{Cgroup: cgroup, Kind: uint32(kind), Inode: inode, DevOrUid: other})
	}
	if r.Upper {
		add(sensorDenyKindDENY_UPPER, 0, 0)
	}
	if r.Memfd {
		add(sensorDenyKindDENY_MEMFD, 0, 0)
	}
	for _, uid := range r.UIDs {
		add(sensorDenyKindDENY_UID, 0, uid)
	}
	for _, f := range r.Files {
		add(sensorDenyKindDENY_INODE, f.Inode, f.Dev)
	}
	return keys
}

// Allow removes every rule of a cgroup; that there is none is no error.
func (s *Sensor) Allow(cgroup uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if _, ok := s.guarded[cgroup]; ok {
		errs = append(errs, gone(s.objects.Guarded.Delete(cgroup)))
		delete(s.guarded, cgroup)
	}
	for k := range s.denials {
		if k.Cgroup == cgroup {
			errs = append(errs, gone(s.objects.Denied.Delete(k)))
			delete(s.denials, k)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("allowing in cgroup %d: %w", cgroup, err)
	}
	return nil
}

// gone is the error of a deletion; what was not there is deleted.
func gone(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}
