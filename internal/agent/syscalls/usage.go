package syscalls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/seawall-security/seawall/internal/detect/behaviour"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
	"github.com/seawall-security/seawall/internal/sensor/usage"
)

// Usage is an agent.Finder: it reads what containers use of the machine and tells
// which use much more than they are used to.
type Usage struct {
	// Every is how often it reads, SaveEvery how often it writes File, which keeps the
	// baselines over a restart.
	Every, SaveEvery time.Duration
	File             string
	Now              func() time.Time

	behaviour *behaviour.Behaviour
	ids       containers
}

// containers tells whose processes are; identity.Resolver does.
type containers interface {
	Of(pid uint32) (cgroup uint64, err error)
	Lookup(cgroup uint64, pid uint32) (c *identity.Container, ready bool)
}

// Usage makes the Finder of this source's containers. Its error says that the
// baselines of an earlier run are lost; the Finder then begins anew.
func (s *Source) Usage(file string, now func() time.Time) (*Usage, error) {
	u := &Usage{Every: 30 * time.Second, SaveEvery: 10 * time.Minute, File: file, Now: now, behaviour: behaviour.New(behaviour.Config{}), ids: s.ids}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return u, fmt.Errorf("baselines of resource use: %w", err)
	}
	defer f.Close()
	if err := u.behaviour.Load(f); err != nil {
		return u, fmt.Errorf("%s: %w", file, err)
	}
	return u, nil
}

// Name implements agent.Finder.
func (*Usage) Name() string { return "resource use" }

// Run implements agent.Finder.
func (u *Usage) Run(ctx context.Context, tell func(seawall.Finding, seawall.Subject)) error {
	read, save := time.NewTicker(u.Every), time.NewTicker(u.SaveEvery)
	defer read.Stop()
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			return u.save()
		case <-save.C:
			if err := u.save(); err != nil {
				return err
			}
		case <-read.C:
			if err := u.read(ctx, tell); err != nil {
				return err
			}
		}
	}
}

// read reads every container once, by the first of its processes.
func (u *Usage) read(ctx context.Context, tell func(seawall.Finding, seawall.Subject)) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("looking for containers: %w", err)
	}
	done := map[string]bool{}
	for _, entry := range entries {
		pid, err := strconv.ParseUint(entry.Name(), 10, 32)
		if err != nil || ctx.Err() != nil {
			continue
		}
		cgroup, err := u.ids.Of(uint32(pid))
		if err != nil {
			continue // it has ended
		}
		c, ready := u.ids.Lookup(cgroup, uint32(pid))
		if c == nil || !ready || c.Sandbox || done[c.ID] {
			continue
		}
		done[c.ID] = true
		cpu, err := usage.CPU(c.CgroupPath)
		if err != nil {
			continue // it has ended
		}
		reading := behaviour.Usage{Container: &c.Container, CPU: cpu, Sent: -1, Time: u.Now(), Started: time.Unix(0, c.Created)}
		// Containers of a pod share its network: all of it counts for each.
		if sent, err := usage.Sent(int(pid)); err == nil {
			reading.Sent = int64(sent)
		}
		for _, f := range u.behaviour.Observe(reading) {
			k := c.Container
			tell(f, seawall.Subject{Cgroup: cgroup, CgroupPath: c.CgroupPath, Container: &k})
		}
	}
	return nil
}

func (u *Usage) save() error {
	var data bytes.Buffer
	err := u.behaviour.Save(&data)
	if err == nil {
		err = os.WriteFile(u.File+".new", data.Bytes(), 0o600)
	}
	if err == nil {
		err = os.Rename(u.File+".new", u.File)
	}
	if err != nil {
		return fmt.Errorf("baselines of resource use: %w", err)
	}
	return nil
}
