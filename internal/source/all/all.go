// Package all lists every Opener, so that only one place knows them.
package all

import "github.com/seawall-security/seawall/internal/source"

// Openers returns every way to open a target.
func Openers() []source.Opener {
	return []source.Opener{}
}
