package binary

import "github.com/seawall-security/seawall/internal/inventory"

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector {
	return []inventory.Collector{Go{}, Cargo{}, Software{}}
}
