//go:build linux && !rootfsportable

package rootfs_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/sourcetest"
	"github.com/seawall-security/seawall/internal/testenv"
)

// TestMounts: a host scan stays out of a tmpfs mounted in it.
func TestMounts(t *testing.T) {
	testenv.Root(t)
	dir := tree(t, "mnt/", "a")
	mnt := filepath.Join(dir, "mnt")
	if err := syscall.Mount("tmpfs", mnt, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no mount allowed: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(mnt, syscall.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(mnt, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for all, want := range map[bool][]string{false: {"0 dir .", `0 file a "a"`, "0 dir mnt"}, true: {"0 dir .", `0 file a "a"`, "0 dir mnt", `0 file mnt/x ""`}} {
		got, err := sourcetest.Dump(t.Context(), open(t, seawall.AssetHost, dir, source.Options{AllFileSystems: all}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("all %v: %s", all, diff)
		}
	}
}
