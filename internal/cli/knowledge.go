package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/advisory/db"
	detectall "github.com/seawall-security/seawall/internal/detect/all"
	"github.com/seawall-security/seawall/internal/inventory"
	inventoryall "github.com/seawall-security/seawall/internal/inventory/all"
	"github.com/seawall-security/seawall/internal/policy/suppress"
	"github.com/seawall-security/seawall/internal/scan"
	"github.com/seawall-security/seawall/internal/scan/cache"
)

// suppressFlags name what is accepted or does not apply.
type suppressFlags struct {
	ignore []string
	vex    []string
}

func (f *suppressFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.ignore, "ignore", nil, "files of accepted findings: Seawall's YAML, or a .trivyignore list")
	cmd.Flags().StringSliceVar(&f.vex, "vex", nil, "VEX documents: OpenVEX, CSAF or CycloneDX")
}

func (f *suppressFlags) load(now time.Time) (*suppress.Set, error) {
	return suppress.Load(now, append(append([]string(nil), f.ignore...), f.vex...)...)
}

// addKnowledge completes a scan's Config with collectors, detectors and what they know.
func addKnowledge(cfg *scan.Config, r *db.Reader) {
	info := r.Info()
	cfg.Database = &info
	cfg.Collectors = inventoryall.Collectors()
	cfg.Detectors = detectall.Detectors(r)
}

// openCache returns the layer cache, nil when it is not wanted.
func (a *app) openCache(f *scanFlags) (inventory.Cache, error) {
	if f.noCache {
		return nil, nil
	}
	dir, err := a.cacheDirectory(f.cacheDir)
	if err != nil {
		return nil, err
	}
	return cache.Open(dir, 0)
}
