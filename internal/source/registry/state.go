package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/seawall-security/seawall/internal/source/image"
)

// resumeWithin is how old an interrupted walk may be to be gone on with: what it
// learned of tags is taken as it was.
const resumeWithin = 24 * time.Hour

// repositoryPattern and tagPattern are of the distribution specification, "Pulling manifests".
var (
	repositoryPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	})
	tagPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`) })
)

// memory is what is remembered of a registry between runs, in one file: where
// each tag pointed, and how far a walk has come that was interrupted.
type memory struct {
	path string

	mu    sync.Mutex
	saved time.Time
	memoryFile
}

// memoryFile is the file's content.
type memoryFile struct {
	Registry string `json:"registry"`
	// FirstSeen is when the registry was first walked.
	FirstSeen time.Time `json:"firstSeen"`
	// Walk is the latest one: Key tells its selection from others.
	Walk struct {
		Number   int       `json:"number"`
		Key      string    `json:"key"`
		Started  time.Time `json:"started"`
		Complete bool      `json:"complete"`
	} `json:"walk"`
	Repositories map[string]*seenRepository `json:"repositories"`
}

// seenRepository is what was known of a repository when last asked.
type seenRepository struct {
	// Walk is the number of the walk that asked.
	Walk int                `json:"walk"`
	Tags map[string]seenTag `json:"tags"`
}

// seenTag is where a tag points, and where before if the latest walk found it moved.
type seenTag struct {
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"`
	Before string    `json:"before,omitempty"`
}

// recall reads what is remembered of a registry. A damaged file is as none: it only serves comparison.
func recall(dir, host string, now time.Time) *memory {
	m := &memory{path: filepath.Join(dir, fileName(host)+".json")}
	if raw, err := os.ReadFile(m.path); err == nil {
		if json.Unmarshal(raw, &m.memoryFile) != nil || m.Registry != host {
			m.memoryFile = memoryFile{}
		}
	}
	if m.Repositories == nil {
		m.Repositories = map[string]*seenRepository{}
	}
	if m.Registry == "" {
		m.Registry, m.FirstSeen = host, now
	}
	return m
}

// fileName is a host as a file's name.
func fileName(host string) string {
	return strings.NewReplacer(":", "_", "/", "_", "[", "", "]", "").Replace(host)
}

// begin starts a walk, or goes on with the one of the same key that was interrupted.
func (m *memory) begin(key string, now time.Time) (resumed bool) {
	if w := &m.Walk; w.Key == key && !w.Complete && now.Sub(w.Started) < resumeWithin {
		return true
	}
	m.Walk.Number++
	m.Walk.Key, m.Walk.Started, m.Walk.Complete = key, now, false
	return false
}

// known returns a repository as this walk already found it before it was interrupted.
func (m *memory) known(repository string) (*seenRepository, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.Repositories[repository]
	return r, r != nil && r.Walk == m.Walk.Number
}

// note remembers where tags of a repository point now and marks those that moved.
// Tags that are listed but were not asked for keep what was known of them.
func (m *memory) note(repository string, listed []string, digests map[string]string, now time.Time) *seenRepository {
	m.mu.Lock()
	defer m.mu.Unlock()
	var before map[string]seenTag
	if old := m.Repositories[repository]; old != nil {
		before = old.Tags
	}
	r := &seenRepository{Walk: m.Walk.Number, Tags: make(map[string]seenTag, len(listed))}
	for _, tag := range listed {
		old := before[tag]
		old.Before = ""
		digest, asked := digests[tag]
		switch {
		case !asked || digest == old.Digest:
			r.Tags[tag] = old
		default:
			r.Tags[tag] = seenTag{Digest: digest, Since: now, Before: old.Digest}
		}
	}
	m.Repositories[repository] = r
	return r
}

// save writes the file, at most every two seconds unless it must.
func (m *memory) save(must bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !must && time.Since(m.saved) < 2*time.Second {
		return nil
	}
	m.saved = time.Now()
	raw, err := json.Marshal(&m.memoryFile)
	if err != nil {
		return err
	}
	return writeFile(m.path, raw)
}

// writeFile puts a file in place whole, readable by its owner only.
func writeFile(path string, raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// documents keeps manifests and configurations by digest, so that a walk that
// goes on need not ask for them again.
type documents string

// keptFor is how long a document nobody asked for is kept.
const keptFor = 30 * 24 * time.Hour

func (d documents) path(digest string) string {
	return filepath.Join(string(d), strings.Replace(digest, ":", "-", 1))
}

// get returns a document; one that is not what its name says is as none.
func (d documents) get(digest string) ([]byte, bool) {
	if image.CheckDigest(digest) != nil {
		return nil, false
	}
	raw, err := os.ReadFile(d.path(digest))
	if err != nil || image.Digest(raw) != digest {
		return nil, false
	}
	return raw, true
}

// put keeps a document. A store that cannot be written is only slower.
func (d documents) put(digest string, raw []byte) {
	if image.Digest(raw) == digest {
		_ = writeFile(d.path(digest), raw)
	}
}

// prune removes documents that were written long ago.
func (d documents) prune(now time.Time) {
	_ = filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > keptFor {
			_ = os.Remove(path)
		}
		return nil
	})
}
