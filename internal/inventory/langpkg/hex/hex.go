// Package hex collects the Elixir and Erlang packages of mix.lock. Left out are
// packages from git and paths.
package hex

import (
	"bytes"
	"fmt"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Lock()} }

// Lock collects mix.lock, an Elixir map that mix writes with one entry a line:
//
//	"plug": {:hex, :plug, "1.10.4", "checksum", [:mix], […], "hexpm", "checksum"},
//
// The package is the second element; the key is the application's name.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/mix-lock", Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named("mix.lock")}
}

func parse(data []byte, out *langpkg.List) error {
	for n, line := range langpkg.Lines(data) {
		_, tuple, ok := bytes.Cut(line, []byte("{:hex, :"))
		if !ok {
			continue
		}
		name, rest, _ := bytes.Cut(tuple, []byte(`, "`))
		version, _, ok := bytes.Cut(rest, []byte(`"`))
		name = bytes.Trim(name, `"`) // :"quoted-atom"
		if !ok || len(name) == 0 || len(version) == 0 {
			return fmt.Errorf("line %d: %w: want {:hex, :name, \"version\", …}", n, seawall.ErrCorrupt)
		}
		out.Declared(langpkg.Hex(), langpkg.Dependency{Name: string(name), Version: string(version), Line: n})
	}
	return nil
}
