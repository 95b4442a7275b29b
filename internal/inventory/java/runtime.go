package java

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Runtime reads the release file of an installed Java runtime.
type Runtime struct{}

// maxRelease bounds a release file; real ones are about 2 KB.
const maxRelease = 64 << 10

// Name implements inventory.Collector.
func (Runtime) Name() string { return "binary/java-runtime" }

// Version implements inventory.Collector.
func (Runtime) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Runtime) Wants(p string, info fs.FileInfo) bool {
	return path.Base(p) == "release" && info != nil && info.Mode().IsRegular() && info.Size() <= maxRelease
}

// Collect implements inventory.Collector. A file without JAVA_VERSION is some other "release".
func (Runtime) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	text, err := io.ReadAll(io.LimitReader(f.Content, maxRelease))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	values := make(map[string]string)
	for line := range bytes.Lines(text) {
		if key, value, ok := strings.Cut(string(line), "="); ok {
			values[key] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	version := values["JAVA_VERSION"]
	if !isVersion(version) {
		return nil, nil
	}
	return []seawall.Fact{{Package: &seawall.Package{
		Name:      "openjdk",
		Version:   version,
		Ecosystem: "generic",
		PURL:      packageurl.NewPackageURL("generic", "", "openjdk", version, nil, "").ToString(),
		Vendor:    values["IMPLEMENTOR"],
		Kind:      "binary",
		Locations: []seawall.Location{{Path: f.Path}},
	}}}, nil
}
