package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Cache keeps verdicts in a directory by digest, policy and trust, each until it
// expires. Whoever can write the directory can forge verdicts: it is made for its owner only.
type Cache struct {
	dir string
	now func() time.Time
}

// NewCache keeps verdicts below dir, which is made when first needed.
func NewCache(dir string, now func() time.Time) *Cache { return &Cache{dir: dir, now: now} }

// kept is a cache file.
type kept struct {
	Expires time.Time `json:"expires"`
	Verdict Verdict   `json:"verdict"`
}

// CacheKey names the verdict on a digest under a policy. trust tells trust that is not
// in the policy apart: which embedded root. A trust store counts by its content.
func (p *Policy) CacheKey(digest, trust string) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode([]any{digest, trust, p}); err != nil {
		return "", err
	}
	if p.TrustStore != "" {
		store, err := os.OpenRoot(p.TrustStore)
		if err != nil {
			return "", err
		}
		defer store.Close()
		err = fs.WalkDir(store.FS(), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := fs.ReadFile(store.FS(), path)
			fmt.Fprintf(h, "%q %x\n", path, sha256.Sum256(raw))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Get returns an unexpired verdict. A file that cannot be read is as good as none.
func (c *Cache) Get(key string) (Verdict, bool) {
	k, err := readKept(c.path(key))
	if err != nil || !c.now().Before(k.Expires) {
		return Verdict{}, false
	}
	k.Verdict.Cached = true
	return k.Verdict, true
}

// Put keeps a verdict for as long as ttl.
func (c *Cache) Put(key string, v Verdict, ttl time.Duration) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("verdict cache: %w", err)
	}
	c.sweep()
	raw, err := json.Marshal(kept{Expires: c.now().Add(ttl), Verdict: v})
	if err != nil {
		return fmt.Errorf("verdict cache: %w", err)
	}
	f, err := os.CreateTemp(c.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("verdict cache: %w", err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.path(key))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("verdict cache: %w", err)
	}
	return nil
}

// sweepAbove is how many verdicts are kept before expired ones are looked for.
const sweepAbove = 1000

func (c *Cache) sweep() {
	entries, err := os.ReadDir(c.dir)
	if err != nil || len(entries) <= sweepAbove {
		return
	}
	for _, e := range entries {
		path := filepath.Join(c.dir, e.Name())
		if k, err := readKept(path); err != nil || !c.now().Before(k.Expires) {
			os.Remove(path)
		}
	}
}

func (c *Cache) path(key string) string { return filepath.Join(c.dir, key+".json") }

func readKept(path string) (kept, error) {
	var k kept
	raw, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(raw, &k)
}
