// Package all lists every importer, so that only one place knows them.
package all

import "github.com/seawall-security/seawall/internal/advisory"

// Importers returns every native format, most specific first: the first that recognizes a file reads it.
func Importers() []advisory.Importer {
	return []advisory.Importer{}
}
