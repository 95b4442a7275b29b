// Package seen remembers which ecosystems scans have met on this machine, so
// that an update fetches those: a handler notes them, one a line, in the cache
// directory, and Read gives them back.
package seen

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// path is where scans note the ecosystems they met, one a line.
func path(cacheDir string) string { return filepath.Join(cacheDir, "db", "seen") }

// Read returns what earlier scans noted; nothing when there is no note.
func Read(cacheDir string) []string {
	data, err := os.ReadFile(path(cacheDir))
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

// Handler is the handler that notes the ecosystems of a run, so that the next
// update fetches them. What it cannot write is no error: the update can be told.
type Handler struct {
	// CacheDir is --cache-dir or its default.
	CacheDir   string
	ecosystems []string
}

// Handle implements sink.Handler.
func (s *Handler) Handle(_ context.Context, m seawall.Message) error {
	if m.Coverage != nil && m.Coverage.Ecosystem != "" {
		s.ecosystems = append(s.ecosystems, m.Coverage.Ecosystem)
	}
	return nil
}

// Close implements sink.Handler.
func (s *Handler) Close() error {
	old := Read(s.CacheDir)
	all := append(slices.Clone(old), s.ecosystems...)
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == len(old) || len(all) > maxSeen {
		return nil
	}
	if os.MkdirAll(filepath.Dir(path(s.CacheDir)), 0o700) != nil {
		return nil
	}
	_ = os.WriteFile(path(s.CacheDir), []byte(strings.Join(all, "\n")+"\n"), 0o600)
	return nil
}

const maxSeen = 1000
