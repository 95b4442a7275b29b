package cli

import (
	"os"
	"sync"

	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/scan"
)

// editions are the advisory databases of a server, one after the other, each with the
// scanners that ask it. A scan keeps the one it began with.
type editions struct {
	open func() (*edition, error)
	path string

	mu   sync.Mutex
	file os.FileInfo // nil while there is no file and the embedded database is used
	now  *edition
}

// edition is one database. It is closed when it was replaced and no scan asks it any more.
type edition struct {
	db    *db.Reader
	cfg   scan.Config
	users int // scans, and editions while it is the newest
}

// openEditions opens the first one; cfg is what scans have in common.
func (a *app) openEditions(f *scanFlags, cfg scan.Config) (*editions, error) {
	k := &editions{path: f.databaseFlags.path}
	if k.path == "" {
		if dir, err := a.cacheDirectory(f.cacheDir); err == nil {
			k.path = databasePath(dir)
		}
	}
	k.open = func() (*edition, error) {
		r, err := a.openDatabase(&f.databaseFlags, f.cacheDir)
		if err != nil {
			return nil, err
		}
		info := r.Info()
		e := &edition{db: r, cfg: cfg, users: 1}
		e.cfg.Database = &info
		if err := f.scannerFlags.complete(&e.cfg, r); err != nil {
			r.Close()
			return nil, err
		}
		return e, nil
	}
	k.file, _ = os.Stat(k.path)
	var err error
	k.now, err = k.open()
	return k, err
}

// refresh opens the database anew when its file was replaced, and says whether it was.
// On an error the old one stays, and the next call tries again.
func (k *editions) refresh() (bool, error) {
	file, err := os.Stat(k.path)
	k.mu.Lock()
	was := k.file
	k.mu.Unlock()
	if err != nil || was != nil && os.SameFile(was, file) && was.ModTime().Equal(file.ModTime()) && was.Size() == file.Size() {
		return false, nil // none, or the same
	}
	e, err := k.open()
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	old := k.now
	k.file, k.now = file, e
	k.mu.Unlock()
	return true, k.release(old)
}

// take is the newest edition, which release gives back.
func (k *editions) take() *edition {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now.users++
	return k.now
}

func (k *editions) release(e *edition) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.users--; e.users > 0 {
		return nil
	}
	return e.db.Close()
}

// built is when the newest was built.
func (k *editions) built() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now.cfg.Database.Built
}

// close is called when no scan runs any more.
func (k *editions) close() error { return k.release(k.now) }
