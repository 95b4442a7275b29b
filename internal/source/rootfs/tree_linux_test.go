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

// TestCapabilities: what a program may do beside its mode is in its information.
func TestCapabilities(t *testing.T) {
	testenv.Root(t)
	const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	dir := tree(t, "plain", "ping", "data")
	for name, mode := range map[string]os.FileMode{"plain": 0o755, "ping": 0o755, "data": 0o644} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Setxattr(filepath.Join(dir, "ping"), "security.capability", []byte(netRaw), 0); err != nil {
		t.Skipf("no file capabilities on this file system: %v", err)
	}
	got := map[string]string{}
	err := open(t, seawall.AssetRootFS, dir, source.Options{}).Layers()[0].Walk(t.Context(), func(e seawall.Entry) error {
		if e.Kind == seawall.EntryFile {
			got[e.Path] = string(e.Info.(interface{ Capability() []byte }).Capability())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"plain": "", "ping": netRaw, "data": ""}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
