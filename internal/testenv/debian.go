package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Debian returns a package of the distribution, unpacked, and its upstream
// version. Downloads are kept in the user's cache directory.
func Debian(t testing.TB, name string) (root, upstream string) {
	t.Helper()
	apt, dpkg := Tool(t, "apt-get"), Tool(t, "dpkg-deb")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "seawall-test", "debs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	deb := newestDeb(dir, name)
	if deb == "" {
		cmd := exec.Command(apt, "download", "-qq", name)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if deb = newestDeb(dir, name); deb == "" {
			missing(t, "apt-get download %s: %v (apt-get update needed?)\n%s", name, err, out)
		}
	}
	root = t.TempDir()
	if out, err := exec.Command(dpkg, "-x", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb -x %s: %v\n%s", deb, err, out)
	}
	version, err := exec.Command(dpkg, "-f", deb, "Version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return root, upstreamVersion(strings.TrimSpace(string(version)))
}

func newestDeb(dir, name string) string {
	debs, _ := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
	if len(debs) == 0 {
		return ""
	}
	return debs[len(debs)-1]
}

// upstreamVersion takes off the epoch, the revision and what Debian adds ("+dfsg", "~ds1").
func upstreamVersion(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i > 0 {
		v = v[:i]
	}
	v, _, _ = strings.Cut(v, "+")
	v, _, _ = strings.Cut(v, "~")
	return v
}
