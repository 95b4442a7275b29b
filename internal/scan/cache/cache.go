// Package cache keeps the raw facts of layers on disk, so that a layer is
// analysed once whatever the number of images that have it.
//
// One file holds one layer as one set of collectors saw it; its name is a hash
// of both, so nothing is ever invalidated: what nobody asks for any more is
// evicted, least recently used first. Files are written whole under another
// name and renamed, so concurrent processes see complete entries or none; a
// checksum makes a damaged entry a miss, and the next Put replaces it. Facts
// may name what is secret in an image: everything is readable by its owner only.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/inventory"
)

const (
	// DefaultSize bounds the cache's files together when nothing else is asked for.
	DefaultSize = 512 << 20

	suffix    = ".facts"
	temporary = ".tmp-"
	// staleAfter is when a temporary file is taken for left behind, and how
	// precisely the time of last use is kept.
	staleAfter = time.Hour
)

// Cache is a directory of layers' facts. It implements inventory.Cache.
type Cache struct {
	dir string
	max int64

	mu   sync.Mutex
	size int64 // of all entries; -1 until counted
}

// Open returns the cache under dir, which is made when missing. maxBytes bounds
// its files together; 0 is DefaultSize.
func Open(dir string, maxBytes int64) (*Cache, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultSize
	}
	layers := filepath.Join(dir, "layers")
	if err := os.MkdirAll(layers, 0o700); err != nil {
		return nil, fmt.Errorf("opening the layer cache: %w", err)
	}
	return &Cache{dir: layers, max: maxBytes, size: -1}, nil
}

// path names the entry of a layer as read by these collectors.
func (c *Cache) path(layer string, collectors []inventory.Collector) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", format, layer)
	for _, col := range collectors {
		fmt.Fprintf(h, "%s %d\n", col.Name(), col.Version())
	}
	return filepath.Join(c.dir, hex.EncodeToString(h.Sum(nil)[:20])+suffix)
}

// Get implements inventory.Cache.
func (c *Cache) Get(layer string, collectors []inventory.Collector) (*inventory.LayerFacts, bool) {
	path := c.path(layer, collectors)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	facts, err := decode(data)
	if err != nil || len(facts.Tallies) != len(collectors) {
		return nil, false
	}
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > staleAfter {
		now := time.Now()
		_ = os.Chtimes(path, now, now)
	}
	return facts, true
}

// Put implements inventory.Cache.
func (c *Cache) Put(layer string, collectors []inventory.Collector, facts *inventory.LayerFacts) {
	data := encode(facts)
	if int64(len(data)) > c.max {
		return
	}
	path := c.path(layer, collectors)
	if write(c.dir, path, data) == nil {
		c.grown(int64(len(data)), path)
	}
}

// write puts a complete file at path or none.
func write(dir, path string, data []byte) error {
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// grown counts a new entry and evicts old ones where the bound is passed.
func (c *Cache) grown(n int64, newest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size >= 0 && c.size+n <= c.max {
		c.size += n
		return
	}
	c.size = c.evict(newest)
}

type entry struct {
	path string
	size int64
	used time.Time
}

// evict removes the least recently used entries until a tenth of the bound is
// free, never the newest, and what killed processes left behind. It returns the
// size left.
func (c *Cache) evict(newest string) int64 {
	entries, total := c.entries()
	if total <= c.max {
		return total
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.used.Compare(b.used) })
	for _, e := range entries {
		if total <= c.max-c.max/10 {
			break
		}
		if e.path != newest && os.Remove(e.path) == nil {
			total -= e.size
		}
	}
	return total
}

// entries lists the cache's files; stale temporary files are removed on the way.
func (c *Cache) entries() (entries []entry, total int64) {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, 0
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(c.dir, f.Name())
		switch {
		case strings.HasPrefix(f.Name(), temporary):
			removeStale(path, info)
		case strings.HasSuffix(f.Name(), suffix):
			entries = append(entries, entry{path, info.Size(), info.ModTime()})
			total += info.Size()
		}
	}
	return entries, total
}

func removeStale(path string, info fs.FileInfo) {
	if time.Since(info.ModTime()) > staleAfter {
		_ = os.Remove(path)
	}
}
