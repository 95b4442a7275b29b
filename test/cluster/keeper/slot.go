//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seawall-security/seawall/test/cluster/node"
)

// Base has a directory per slot. It is not below the temporary directory, which
// tests point elsewhere.
const Base = "/var/tmp/seawall-cluster"

const slots = 32

// slot is one cluster's share of the machine. Whoever has its lock owns it.
type slot struct {
	number int
	dir    string
	lock   *os.File
}

func slotAt(n int) *slot {
	return &slot{number: n, dir: filepath.Join(Base, strconv.Itoa(n))}
}

func (s *slot) name() string              { return fmt.Sprintf("seawall-test-%d", s.number) }
func (s *slot) link() string              { return fmt.Sprintf("seawall%d", s.number) }
func (s *slot) network(n int) string      { return fmt.Sprintf("10.%d.%d.0/24", n, s.number) }
func (s *slot) address(n, i int) string   { return fmt.Sprintf("10.%d.%d.%d", n, s.number, i) }
func (s *slot) pods() string              { return s.network(214) }
func (s *slot) services() string          { return s.network(215) }
func (s *slot) nodeAddress() string       { return s.address(213, 2) }
func (s *slot) hostAddress() string       { return s.address(213, 1) }
func (s *slot) kubernetesService() string { return s.address(215, 1) }
func (s *slot) dnsService() string        { return s.address(215, 10) }

// claim takes the first free slot, cleaned.
func claim() (*slot, error) {
	for n := range slots {
		s := slotAt(n)
		ok, err := s.tryLock()
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := s.sweep(); err != nil {
			s.lock.Close()
			return nil, err
		}
		return s, nil
	}
	return nil, fmt.Errorf("all %d slots are taken: go run ./test/cluster down", slots)
}

// tryLock reports whether the slot is ours now. The lock ends with the process
// that has it, at the latest.
func (s *slot) tryLock() (bool, error) {
	if err := os.MkdirAll(Base, 0o700); err != nil {
		return false, err
	}
	lock, err := tryLock(s.dir + ".lock")
	if lock == nil {
		return false, err
	}
	ours, err := lock.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = os.Stat(lock.Name()); err == nil && !os.SameFile(ours, named) {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) { // given back between our opening and locking it
		lock.Close()
		return s.tryLock()
	}
	if err != nil {
		lock.Close()
		return false, err
	}
	s.lock = lock
	return true, nil
}

// sweep removes what a cluster left whose keeper was killed.
func (s *slot) sweep() error {
	if err := node.RemoveCgroups(s.name()); err != nil {
		return fmt.Errorf("an earlier cluster is still there: %w", err)
	}
	return os.RemoveAll(s.dir)
}

// release gives the slot back, cleaned.
func (s *slot) release() error {
	err := s.sweep()
	os.Remove(s.dir + ".lock")
	s.lock.Close()
	return err
}

// taken are the slots that have a lock file.
func taken() ([]*slot, error) {
	entries, err := os.ReadDir(Base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []*slot
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), ".lock")
		if n, err := strconv.Atoi(number); ok && err == nil {
			found = append(found, slotAt(n))
		}
	}
	return found, nil
}
