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
	// The clock runs ten times too fast: a busy core is a tenth of one.
	began := time.Now()
	now := func() time.Time { return began.Add(10 * time.Since(began)) }
	u, err := source.Usage(file, now)
	if err != nil {
		t.Fatal(err)
	}
	u.behaviour = behaviour.New(behaviour.Config{Warmup: 5 * time.Second, Young: time.Nanosecond, CPUFloor: 1e-5, CPUFor: 2 * time.Second})
	var found []seawall.Finding
	tell := func(f seawall.Finding, s seawall.Subject) {
		if s.CgroupPath != c.CgroupPath && s.CgroupPath != quiet.CgroupPath {
			return // another test's
		}
		if found = append(found, f); s.Container == nil || s.Container.ID != strings.TrimPrefix(f.Asset, "container:") {
			t.Errorf("subject %+v of %s", s.Container, f.Asset)
		}
	}
	for i := 0; i < 500 && len(found) == 0; i++ {
		if i == 50 {
			c.Run("while :; do :; done &")
		}
		if err := u.read(t.Context(), tell); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
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
