package enforce_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
)

func TestCgroupDir(t *testing.T) {
	c := enforcetest.New(t)
	plain := filepath.Join(t.TempDir(), c.Container)
	if err := os.Mkdir(plain, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(t *enforce.Target)
		want   error
	}{
		{"as it is", func(*enforce.Target) {}, nil},
		{"no container", func(t *enforce.Target) { t.Container = "" }, enforce.ErrIdentity},
		{"no cgroup", func(t *enforce.Target) { t.Cgroup = "" }, enforce.ErrIdentity},
		{"the root", func(t *enforce.Target) { t.Cgroup = filepath.Dir(t.Cgroup) }, enforce.ErrIdentity},
		{"another's", func(t *enforce.Target) { t.Container = strings.Repeat("a", 64) }, enforce.ErrIdentity},
		{"another number", func(t *enforce.Target) { t.CgroupID++ }, enforce.ErrGone},
		{"gone", func(t *enforce.Target) { t.Cgroup = filepath.Join(t.Cgroup, t.Container) }, enforce.ErrGone},
		{"no cgroup directory", func(t *enforce.Target) { t.Cgroup, t.CgroupID = plain, 0 }, enforce.ErrIdentity},
	} {
		target := c.Target
		tc.change(&target)
		if _, err := target.CgroupDir(); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
