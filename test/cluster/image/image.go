// Package image makes container images out of files and puts them into a
// containerd, for clusters that no registry feeds.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// FromFiles makes an image of one layer that has these files, by path, all
// executable, and runs entrypoint.
func FromFiles(files map[string][]byte, entrypoint ...string) (v1.Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	made := map[string]bool{"": true, ".": true}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		name := strings.Trim(path, "/")
		for i := range len(name) {
			if name[i] == '/' && !made[name[:i]] {
				made[name[:i]] = true
				if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name[:i] + "/", Mode: 0o755}); err != nil {
					return nil, err
				}
			}
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[path]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[path]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return FromLayer(layer.Bytes(), "/bin", entrypoint...)
}

// FromLayer is an image of one layer, an uncompressed tar. It looks for programs in path
// and runs entrypoint.
func FromLayer(layer []byte, path string, entrypoint ...string) (v1.Image, error) {
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer)), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Entrypoint = entrypoint
	config.Config.Env = []string{"PATH=" + path}
	return mutate.ConfigFile(image, config)
}

// Busybox is an image of Debian's static busybox with its common commands in
// /bin, and an /etc that knows root and nobody. It runs entrypoint.
func Busybox(entrypoint ...string) (v1.Image, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("the package busybox-static is not installed: %w", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"bin/busybox": program,
		"etc/passwd":  []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
		"etc/group":   []byte("root:x:0:\nnogroup:x:65534:\n"),
	}
	for _, command := range strings.Fields("cat chmod cp date echo env grep httpd id ls mkdir mount nc nslookup ping ps rm sh sleep touch true wget") {
		files["bin/"+command] = []byte("#!/bin/busybox sh\nexec /bin/busybox " + command + " \"$@\"\n")
	}
	return FromFiles(files, entrypoint...)
}

// Import puts image into the containerd behind socket, by the names refs, where kubelet
// finds it. Its digest stays what it is.
func Import(ctx context.Context, socket string, image v1.Image, refs ...string) error {
	dir, err := os.MkdirTemp("", "seawall-image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		name := layout.WithAnnotations(map[string]string{"io.containerd.image.name": ref})
		if err := path.AppendImage(image, name); err != nil {
			return err
		}
	}
	archive := filepath.Join(dir, "image.tar")
	if out, err := exec.CommandContext(ctx, "tar", "-C", dir, "-cf", archive, "oci-layout", "index.json", "blobs").CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	out, err := exec.CommandContext(ctx, "ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", archive).CombinedOutput()
	if err != nil {
		return fmt.Errorf("importing %s: %w: %s", refs, err, out)
	}
	return nil
}
