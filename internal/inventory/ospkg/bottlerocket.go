package ospkg

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/seawall"
)

const (
	bottlerocketInventory = "usr/share/bottlerocket/application-inventory.json"
	maxInventory          = 16 << 20
)

// Bottlerocket reads the list of packages that Bottlerocket's image builder
// writes: the image itself has no rpm database.
type Bottlerocket struct{}

var _ inventory.Collector = Bottlerocket{}

// Name implements inventory.Collector.
func (Bottlerocket) Name() string { return "os/bottlerocket" }

// Version implements inventory.Collector.
func (Bottlerocket) Version() int { return 1 }

// Wants implements inventory.Collector. In the host's own containers the
// system's root is a directory named after the architecture.
func (Bottlerocket) Wants(file string, _ fs.FileInfo) bool {
	return strings.HasSuffix(file, bottlerocketInventory)
}

// Collect implements inventory.Collector.
func (Bottlerocket) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	if f.Content.Size() > maxInventory {
		return nil, fmt.Errorf("%d bytes, %d are allowed: %w", f.Content.Size(), maxInventory, seawall.ErrBound)
	}
	var list struct {
		Content []struct{ Name, Publisher, Version, Release, Epoch, Architecture string }
	}
	if err := json.NewDecoder(f.Content).Decode(&list); err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	var facts []seawall.Fact
	var d damage
	for i := range list.Content {
		c := &list.Content[i]
		if c.Name == "" || c.Version == "" {
			d.corrupt("entry %d has no name or no version", i+1)
			continue
		}
		p := &seawall.Package{Name: c.Name, Version: c.Version, Arch: c.Architecture, Vendor: c.Publisher, Kind: Kind, PURL: rpmType}
		if c.Release != "" {
			p.Version += "-" + c.Release
		}
		if c.Epoch != "" && c.Epoch != "0" {
			p.Version = c.Epoch + ":" + p.Version
		}
		facts = append(facts, seawall.Fact{Package: p})
	}
	return facts, d.err()
}
