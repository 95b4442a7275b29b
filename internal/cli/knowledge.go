package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/policy/suppress"
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

// openCache returns the layer cache, nil when it is not wanted. A directory that
// was asked for must work; without the default one (a read-only container, a
// user without a home) the scan only takes longer.
func (a *app) openCache(f *scanFlags) (inventory.Cache, error) {
	if f.noCache {
		return nil, nil
	}
	dir, err := a.cacheDirectory(f.cacheDir)
	if err == nil {
		var layers *cache.Cache
		if layers, err = cache.Open(dir, 0); err == nil {
			return layers, nil
		}
	}
	if f.cacheDir != "" {
		return nil, err
	}
	if !f.quiet {
		fmt.Fprintf(a.Stderr, "seawall: scanning without a cache: %v (--cache-dir names another place, --no-cache is silent)\n", err)
	}
	return nil, nil
}
