// Package all lists every Opener, so that only one place knows them, and picks
// the one a target's name asks for.
package all

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/source/archive"
	"github.com/seawall-security/seawall/internal/source/containerd"
	"github.com/seawall-security/seawall/internal/source/engine"
	"github.com/seawall-security/seawall/internal/source/registry"
	"github.com/seawall-security/seawall/internal/source/rootfs"
	"github.com/seawall-security/seawall/internal/source/sbom"
)

// Openers returns every way to open a target.
func Openers() []source.Opener {
	return append([]source.Opener{
		registry.Opener{},
		archive.Layout{},
		archive.OCI{},
		archive.Docker{},
		engine.Opener{},
		containerd.Opener{},
		sbom.Opener{},
	}, rootfs.Openers()...)
}

// Open opens a target by what stands before its first colon: "oci:DIR",
// "docker-archive:TAR", "docker:REF", "rootfs:DIR", "host:".
//
// A name without a scheme is a path when it looks like one ("./x", "/x",
// "../x", "x.tar"), and what is there is recognised by its content; any other
// is a reference in a registry.
func Open(ctx context.Context, name string, o source.Options) (seawall.Target, error) {
	if scheme, rest, ok := strings.Cut(name, ":"); ok {
		for _, op := range Openers() {
			if slices.Contains(op.Schemes(), scheme) {
				return op.Open(ctx, rest, o)
			}
		}
		if strings.HasPrefix(rest, "//") || looksLikePath(rest) {
			return nil, unknownScheme(name, scheme)
		}
	}
	if name == "" {
		return nil, seawall.WithHint(fmt.Errorf("%w: no target named", seawall.ErrUsage), "name an image, as in nginx:1.27 or docker-archive:image.tar")
	}
	if !looksLikePath(name) {
		t, err := registry.Opener{}.Open(ctx, name, o)
		if err != nil {
			return nil, mentionFile(name, err)
		}
		return t, nil
	}
	file, _ := archive.SplitName(name)
	scheme, err := recognise(file)
	if err != nil {
		return nil, err
	}
	for _, op := range Openers() {
		if slices.Contains(op.Schemes(), scheme) {
			return op.Open(ctx, name, o)
		}
	}
	return nil, unknownScheme(name, scheme)
}

// unknownScheme says which schemes there are.
func unknownScheme(name, scheme string) error {
	var have []string
	for _, op := range Openers() {
		for _, s := range op.Schemes() {
			have = append(have, s+":")
		}
	}
	return seawall.WithHint(fmt.Errorf("%s: %w: unknown kind of target %q", name, seawall.ErrUsage, scheme+":"),
		"there are "+strings.Join(have, " ")+" and, without any, a reference in a registry")
}

// looksLikePath tells names that are meant as files: no reference begins with a dot or a
// slash, and one that ends like an archive and is a file is hardly a repository.
func looksLikePath(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "~") {
		return true
	}
	switch filepath.Ext(name) {
	case ".tar", ".tgz", ".gz", ".zst":
		_, err := os.Stat(name)
		return err == nil
	}
	return false
}

// mentionFile adds that there is a file of that name to an error of the registry.
func mentionFile(name string, err error) error {
	if _, serr := os.Stat(name); serr != nil {
		return err
	}
	if scheme, rerr := recognise(name); rerr == nil {
		return seawall.WithHint(err, "did you mean "+scheme+":"+name+"?")
	}
	return err
}

// recognise tells an image layout or archive by its content and returns its scheme.
func recognise(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", seawall.WithHint(fmt.Errorf("%s: %w: no such file or directory", path, seawall.ErrUnreadable),
			"a name that begins with a dot or a slash is a file; an image in a registry is written as in nginx:1.27")
	}
	if st.IsDir() {
		if _, err := os.Stat(filepath.Join(path, "index.json")); err == nil {
			return "oci", nil
		}
		return "", seawall.WithHint(fmt.Errorf("%s: %w: a directory, but not an OCI image layout", path, seawall.ErrUnreadable),
			"for an unpacked root file system use scan rootfs "+path+", for a project scan fs "+path)
	}
	if !st.Mode().IsRegular() {
		return "docker-archive", nil // a pipe cannot be looked into without taking from it
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return "", fmt.Errorf("%s: %w: %w", path, seawall.ErrUnreadable, err)
	}
	head = head[:n]
	switch {
	case len(head) > 262 && string(head[257:262]) == "ustar",
		bytes.HasPrefix(head, []byte("\x1f\x8b")), bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return "docker-archive", nil // which opens an OCI archive as well
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")), bytes.HasPrefix(head, []byte("<?xml")), bytes.HasPrefix(head, []byte("SPDXVersion:")):
		return "sbom", nil
	}
	return "", seawall.WithHint(fmt.Errorf("%s: %w: neither an image archive nor an SBOM", path, seawall.ErrUnreadable),
		"for a lock file or a single file use scan fs "+path)
}
