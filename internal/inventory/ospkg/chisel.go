package ospkg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	chiselManifest = "var/lib/chisel/manifest.wall"
	// maxManifest bounds the inflated manifest; all of Ubuntu's slices together are about 10 MB.
	maxManifest = 64 << 20
)

// Chisel reads the manifest that chisel leaves in images cut from Ubuntu
// packages, which have no dpkg database: zstd over one JSON object per line.
// It does not name source packages.
type Chisel struct{}

var _ inventory.Collector = Chisel{}

// Name implements inventory.Collector.
func (Chisel) Name() string { return "os/chisel" }

// Version implements inventory.Collector.
func (Chisel) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Chisel) Wants(file string, _ fs.FileInfo) bool { return file == chiselManifest }

// Collect implements inventory.Collector.
func (Chisel) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	r, err := zstd.NewReader(f.Content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxManifest))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	defer r.Close()
	limited := io.LimitedReader{R: r, N: maxManifest}
	var facts []seawall.Fact
	var owned ownership
	var d damage
	for lines := json.NewDecoder(&limited); ; {
		var line struct {
			Kind, Name, Version, Arch string // of a package
			Slice, Path               string // of its content
		}
		if err := lines.Decode(&line); errors.Is(err, io.EOF) && limited.N > 0 {
			break
		} else if limited.N <= 0 {
			d.add(fmt.Errorf("more than %d bytes inflated: %w", maxManifest, seawall.ErrBound))
			break
		} else if err != nil {
			d.add(fmt.Errorf("%w: %w", seawall.ErrCorrupt, err))
			break
		}
		switch {
		case line.Kind == "content":
			owner, _, _ := strings.Cut(line.Slice, "_") // package_slice
			owned.add(owner, []byte(line.Path))
		case line.Kind != "package":
		case line.Name == "" || line.Version == "":
			d.corrupt("package %d has no name or no version", len(facts)+1)
		default:
			facts = append(facts, seawall.Fact{Package: &seawall.Package{
				Name: line.Name, Version: line.Version, Arch: line.Arch, Kind: Kind, PURL: debType,
			}})
		}
	}
	facts = owned.appendTo(facts, &d)
	return facts, d.err()
}
