package syscalls

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seawall-security/seawall/internal/detect/behaviour"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sensor/identity"
)

// TestUsage: a real container that begins to work hard is found, with whose it is.
func TestUsage(t *testing.T) {
	c, quiet := enforcetest.NewShell(t), enforcetest.NewShell(t)
	ids, err := identity.New(identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ids.Close() })
	file := filepath.Join(t.TempDir(), "usage.json")
	source := &Source{ids: ids}
	clock := time.Now()
	now := func() time.Time { return clock }
	u, err := source.Usage(file, now)
	if err != nil {
		t.Fatal(err)
	}
	u.behaviour = behaviour.New(behaviour.Config{Warmup: 5 * time.Minute, Young: time.Nanosecond, CPUFloor: 1e-5, CPUFor: time.Minute})
	var found []seawall.Finding
	tell := func(f seawall.Finding, s seawall.Subject) {
		if s.CgroupPath != c.CgroupPath && s.CgroupPath != quiet.CgroupPath {
			return // another test's
		}
		if found = append(found, f); s.Container == nil || s.Container.ID != strings.TrimPrefix(f.Asset, "container:") {
			t.Errorf("subject %+v of %s", s.Container, f.Asset)
		}
	}
	// Half a minute by the clock for each reading: some tenths of a second of work in it
	// are more than nothing, however busy the machine is.
	for i := 0; i < 60 && len(found) == 0; i++ {
		if i > 12 {
			c.Run("for ((i = 0; i < 300000; i++)); do :; done")
		}
		clock = clock.Add(30 * time.Second)
		if err := u.read(t.Context(), tell); err != nil {
			t.Fatal(err)
		}
	}
	if len(found) != 1 || found[0].Asset != "container:"+c.Container.ID || found[0].Rule != behaviour.RuleCPU {
		t.Errorf("%+v", found)
	}
	if err := u.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Usage(file, now); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if u, err := source.Usage(file, now); err == nil || u == nil {
		t.Errorf("damaged: %v, %v", u, err)
	}
}
