// Command image builds the container images of Seawall without a container
// engine or root: a static binary, certificate roots, a user, nothing else. There
// are two, of seawall and of seawall-agent, which runs on nodes and is root there.
//
// Output is one OCI layout directory an image, holding an index for linux/amd64 and
// linux/arm64, and for each image its own SBOM (made by scanning the image's
// files with the program itself), attached as an OCI referrer and packed as
// /usr/share/doc/seawall/sbom.cdx.json. The same commit gives the same bytes:
// times come from SOURCE_DATE_EPOCH or the commit, files are sorted, the build
// trims paths.
//
// Data flows: go build -> root directory -> scan (SBOM) -> layer tar -> image
// -> index -> layout.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/seawall-security/seawall/internal/cli"
)

const sbomMediaType = "application/vnd.cyclonedx+json"

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// program is one of our binaries and how its container runs.
type program struct {
	name, title string
	// user runs it: the agent needs a root's capabilities to load its programs.
	user string
}

func programs() []program {
	return []program{
		{"seawall", "seawall", "65532:65532"},
		{"seawall-agent", "seawall node agent", "0:0"},
	}
}

func run(ctx context.Context) error {
	name := flag.String("program", "seawall", "which program: seawall or seawall-agent")
	out := flag.String("out", "", "OCI layout directory to write, replaced (default: dist/PROGRAM.oci)")
	version := flag.String("version", "devel", "version the binary reports")
	arches := flag.String("arch", "amd64,arm64", "architectures, comma-separated")
	flag.Parse()

	at := slices.IndexFunc(programs(), func(p program) bool { return p.name == *name })
	if at < 0 {
		return fmt.Errorf("--program %q: want seawall or seawall-agent", *name)
	}
	p := programs()[at]
	if *out == "" {
		*out = "dist/" + p.name + ".oci"
	}
	created, err := sourceDate(ctx)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(*out); err != nil {
		return err
	}
	dir, err := layout.Write(*out, empty.Index)
	if err != nil {
		return err
	}
	index := v1.ImageIndex(empty.Index)
	var referrers []mutate.IndexAddendum
	for arch := range strings.SplitSeq(*arches, ",") {
		img, sbom, err := p.build(ctx, arch, *version, created)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		platform := &v1.Platform{OS: "linux", Architecture: arch}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
		referrer, err := attach(img, sbom, created)
		if err != nil {
			return fmt.Errorf("%s: attaching the SBOM: %w", arch, err)
		}
		referrers = append(referrers, mutate.IndexAddendum{Add: referrer})
	}
	annotations := map[string]string{"org.opencontainers.image.ref.name": *version}
	if err := dir.AppendIndex(index, layout.WithAnnotations(annotations)); err != nil {
		return err
	}
	for _, r := range referrers {
		if err := dir.AppendImage(r.Add.(v1.Image)); err != nil {
			return err
		}
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s@%s (%s)\n", *out, digest, *arches)
	return nil
}

// sourceDate is the time every file and record carries.
func sourceDate(ctx context.Context) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, errors.New("no commit to take the time from: set SOURCE_DATE_EPOCH")
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q: %w", text, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// build makes one platform's image and its SBOM.
func (p program) build(ctx context.Context, arch, version string, created time.Time) (v1.Image, []byte, error) {
	root, err := os.MkdirTemp("", "seawall-image-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(root)
	if err := p.populate(ctx, root, arch, version); err != nil {
		return nil, nil, err
	}
	sbom, err := p.describe(ctx, root, version, created)
	if err != nil {
		return nil, nil, fmt.Errorf("making the SBOM: %w", err)
	}
	if err := writeFile(root, "usr/share/doc/seawall/sbom.cdx.json", sbom, 0o644); err != nil {
		return nil, nil, err
	}
	layerBytes, err := p.pack(root, created)
	if err != nil {
		return nil, nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layerBytes)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(base, mutate.Addendum{Layer: layer,
		History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "seawall deploy/image", Comment: "static binary, certificate roots"}})
	if err != nil {
		return nil, nil, err
	}
	img, err = mutate.ConfigFile(img, p.config(img, arch, version, created))
	return img, sbom, err
}

func (p program) config(img v1.Image, arch, version string, created time.Time) *v1.ConfigFile {
	file, err := img.ConfigFile()
	if err != nil {
		file = &v1.ConfigFile{}
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: created}
	file.Config = v1.Config{
		User:       p.user,
		Entrypoint: []string{"/usr/bin/" + p.name},
		Env:        []string{"PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "HOME=/tmp"},
		WorkingDir: "/work",
		Labels: map[string]string{
			"org.opencontainers.image.title":    p.title,
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.source":   "https://github.com/seawall-security/seawall",
		},
	}
	return file
}

// populate lays out the image's files under root.
func (p program) populate(ctx context.Context, root, arch, version string) error {
	for _, dir := range []string{"usr/bin", "etc/ssl/certs", "usr/share/doc/seawall", "tmp", "work"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	binary := filepath.Join(root, "usr/bin", p.name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+version, "-o", binary, "./cmd/"+p.name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	var roots bytes.Buffer
	for r := range bundle.Roots() {
		if r.Constraint != nil {
			continue // a PEM file cannot carry the constraint
		}
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate}); err != nil {
			return err
		}
	}
	files := map[string]string{
		"etc/ssl/certs/ca-certificates.crt": roots.String(),
		"etc/passwd":                        "root:x:0:0:root:/:/nologin\nseawall:x:65532:65532:seawall:/tmp:/nologin\n",
		"etc/group":                         "root:x:0:\nseawall:x:65532:\n",
	}
	for _, name := range []string{"LICENSE", "NOTICE"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files["usr/share/doc/seawall/"+name] = string(text)
	}
	for name, text := range files {
		if err := writeFile(root, name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(root, name string, data []byte, mode fs.FileMode) error {
	return os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), data, mode)
}

// describe scans the image's files with this very program.
func (p program) describe(ctx context.Context, root, version string, created time.Time) ([]byte, error) {
	var sbom, stderr bytes.Buffer
	code := cli.Run(ctx, cli.Invocation{
		Args:    []string{"scan", "rootfs", root, "--name", p.name, "--offline", "--quiet", "--format", "cyclonedx"},
		Environ: []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(created.Unix(), 10), "HOME=" + root},
		Stdout:  &sbom, Stderr: &stderr, Version: version,
	})
	if code != 0 {
		return nil, fmt.Errorf("exit %d: %s", code, stderr.String())
	}
	return sbom.Bytes(), nil
}

// pack writes root as a tar: sorted, owned by root, dated created.
func (p program) pack(root string, created time.Time) ([]byte, error) {
	var paths []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != root {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, path := range paths {
		if err := p.packOne(w, root, path, created); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}

func (p program) packOne(w *tar.Writer, root, path string, created time.Time) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: filepath.ToSlash(name), ModTime: created, Format: tar.FormatPAX}
	switch {
	case info.IsDir():
		header.Typeflag, header.Mode, header.Name = tar.TypeDir, 0o755, header.Name+"/"
		if name == "tmp" {
			header.Mode = 0o1777
		}
		return w.WriteHeader(header)
	case name == "usr/bin/"+p.name:
		header.Mode = 0o755
	default:
		header.Mode = 0o644
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// attach makes the SBOM an OCI artifact whose subject is the image (OCI image specification 1.1, referrers).
func attach(img v1.Image, sbom []byte, created time.Time) (v1.Image, error) {
	subject, err := partial.Descriptor(img)
	if err != nil {
		return nil, err
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomMediaType)
	artifact, err = mutate.AppendLayers(artifact, static.NewLayer(sbom, sbomMediaType))
	if err != nil {
		return nil, err
	}
	annotated := mutate.Annotations(artifact, map[string]string{"org.opencontainers.image.created": created.Format(time.RFC3339)})
	return mutate.Subject(annotated.(v1.Image), *subject).(v1.Image), nil
}
