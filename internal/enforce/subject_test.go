package enforce_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seawall-security/seawall/internal/enforce"
	"github.com/seawall-security/seawall/internal/enforce/enforcetest"
	"github.com/seawall-security/seawall/internal/seawall"
)

func TestCgroupDir(t *testing.T) {
	c := enforcetest.New(t)
	plain := filepath.Join(t.TempDir(), c.Container.ID)
	if err := os.Mkdir(plain, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(t *seawall.Subject)
		want   error
	}{
		{"as it is", func(*seawall.Subject) {}, nil},
		{"no container", func(t *seawall.Subject) { t.Container = nil }, enforce.ErrIdentity},
		{"no cgroup", func(t *seawall.Subject) { t.CgroupPath = "" }, enforce.ErrIdentity},
		{"the root", func(t *seawall.Subject) { t.CgroupPath = filepath.Dir(t.CgroupPath) }, enforce.ErrIdentity},
		{"another's", func(t *seawall.Subject) { t.Container = &seawall.Container{ID: strings.Repeat("a", 64)} }, enforce.ErrIdentity},
		{"another number", func(t *seawall.Subject) { t.Cgroup++ }, enforce.ErrGone},
		{"gone", func(t *seawall.Subject) { t.CgroupPath = filepath.Join(t.CgroupPath, t.Container.ID) }, enforce.ErrGone},
		{"no cgroup directory", func(t *seawall.Subject) { t.CgroupPath, t.Cgroup = plain, 0 }, enforce.ErrIdentity},
	} {
		target := c.Subject
		tc.change(&target)
		if _, err := enforce.CgroupDir(&target); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
