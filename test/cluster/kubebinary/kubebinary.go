// Package kubebinary builds the programs of a test cluster into the cache
// directory that all of this repository's tools share: the Kubernetes binary of
// test/cluster/kube, whose cold build takes minutes, and the keeper.
package kubebinary

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// version is that of k8s.io/kubernetes in test/cluster/kube/go.mod; clients cannot
// do without one.
const version = "v1.36.3"

// Build returns the Kubernetes binary, built when its sources are new.
func Build(ctx context.Context) (string, error) {
	source, err := directory("test/cluster/kube")
	if err != nil {
		return "", err
	}
	hash, err := hashOf(source)
	if err != nil {
		return "", err
	}
	path, unlock, err := cached("kube-" + hash)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "kube-*"))
	stamp := "-X k8s.io/component-base/version."
	minor := strings.Split(version, ".")[1]
	flags := "-s -w " + stamp + "gitVersion=" + version + " " + stamp + "gitMajor=1 " + stamp + "gitMinor=" + minor
	if err := build(ctx, source, path, "-ldflags", flags, "."); err != nil {
		return "", err
	}
	for _, o := range old {
		// Another branch may still build this one; one that runs stays until it ends.
		if info, err := os.Stat(o); err == nil && time.Since(info.ModTime()) > 7*24*time.Hour {
			os.Remove(o)
		}
	}
	return path, nil
}

// BuildKeeper returns the command test/cluster, built from what is in the tree now.
func BuildKeeper(ctx context.Context) (string, error) {
	source, err := directory("test/cluster")
	if err != nil {
		return "", err
	}
	path, unlock, err := cached("cluster-keeper")
	if err != nil {
		return "", err
	}
	defer unlock()
	return path, build(ctx, source, path, ".")
}

// build builds beside path and moves the result there, so that nobody runs half of it.
func build(ctx context.Context, dir, path string, args ...string) error {
	partial := path + ".partial"
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-buildvcs=false", "-o", partial}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", dir, err, out)
	}
	return os.Rename(partial, path)
}

// cached returns a path in the cache of tools and holds its lock.
func cached(name string) (path string, unlock func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(cache, "seawall-tools")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "cluster.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		lock.Close()
		return "", nil, fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	return filepath.Join(dir, name), func() { lock.Close() }, nil
}

// hashOf is short for what is in a directory's files.
func hashOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, e := range entries {
		if !slices.Contains([]string{".go", ".mod", ".sum"}, filepath.Ext(e.Name())) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n", e.Name(), len(data))
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// directory finds a directory of this repository from anywhere inside it.
func directory(rel string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, filepath.FromSlash(rel))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the repository: no " + rel)
		}
		dir = parent
	}
}
