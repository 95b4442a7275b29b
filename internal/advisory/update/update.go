// Package update keeps a database file current: `seawall db update` and `db import`.
//
// Data flows: ecosystems asked for -> feeds (plan) -> what changed, downloaded
// beside the database (resumed after a break, checked, skipped when the server
// still has what we have; of OSV's ecosystems only the changed entries when they
// are few) -> build turns it into records -> a new file of the new feeds and,
// byte for byte, the old ones -> renamed over the old file. Or a whole database
// from a mirror, an OCI registry or a file, its checksums and signature verified.
//
// At every moment the file at Config.Path is a complete database: a killed
// update leaves the old one in use. Downloads, validators and the lock lie in
// the directory Path + ".d".
package update

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Config is what an update is asked to do.
type Config struct {
	// Path is the database file; its directory is created.
	Path string
	// Ecosystems to have, with or without releases ("npm", "Debian:12"). Feeds of
	// others stay as they are.
	Ecosystems []string
	Sources    Sources
	// From takes a whole database instead of feeds: an http(s) URL, an
	// oci://registry/repository:tag, or a file.
	From string
	// AllowOlder lets a database replace a newer one.
	AllowOlder bool
	// Key, when set, must have signed a database taken with From. Feeds are built
	// into a file here, so with a Key they need a SigningKey, too.
	Key        ed25519.PublicKey
	SigningKey ed25519.PrivateKey
	Importers  []advisory.Importer
	// Starter opens the database to start from when there is no file; nil starts empty.
	Starter func() (*db.Reader, error)
	// FactsOnly leaves out summaries.
	FactsOnly bool
	Client    *http.Client
	UserAgent string
	Now       func() time.Time
	// Sleep waits between tries; nil means the clock.
	Sleep    func(context.Context, time.Duration) error
	Progress func(seawall.Progress)
}

// Status is what became of a feed.
type Status string

// The statuses of a feed.
const (
	Current     Status = "current"
	Replaced    Status = "replaced"
	Incremental Status = "incremental"
	Failed      Status = "failed"
)

// FeedResult is how one feed fared.
type FeedResult struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Advisories counts what was read anew; Damaged the documents that could not be.
	Advisories int   `json:"advisories"`
	Damaged    int   `json:"damaged,omitempty"`
	Err        error `json:"-"`
}

// Result is what an update came to.
type Result struct {
	// Changed says whether the file was replaced.
	Changed bool                 `json:"changed"`
	Feeds   []FeedResult         `json:"feeds,omitempty"`
	Info    seawall.DatabaseInfo `json:"database"`
}

// Run carries out an update. With some feeds failing, the others are still
// installed, and the error names those that failed.
func Run(ctx context.Context, c Config) (*Result, error) {
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.From == "" && c.Key != nil && c.SigningKey == nil {
		return nil, seawall.WithHint(fmt.Errorf("a key is configured, and a database built from feeds here would not be signed by it: %w", seawall.ErrUsage),
			"take a signed database with --from, or remove the key from the configuration")
	}
	u, err := begin(c)
	if err != nil {
		return nil, err
	}
	defer u.end()
	if c.From != "" {
		return u.whole(ctx)
	}
	return u.feeds(ctx)
}

// updater is one run, holding the lock.
type updater struct {
	Config
	work   string
	unlock func()
	state  *state
	base   *db.Reader // nil when there is nothing to start from
	fetch  *fetcher
}

func begin(c Config) (*updater, error) {
	work := c.Path + ".d"
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, seawall.WithHint(err, "choose a directory that can be written to with --cache-dir")
	}
	unlock, err := lock(filepath.Join(work, "lock"))
	if err != nil {
		return nil, err
	}
	u := &updater{Config: c, work: work, unlock: unlock}
	u.fetch = &fetcher{client: c.Client, agent: c.UserAgent, sleep: c.Sleep, progress: c.Progress}
	if err := u.load(); err != nil {
		u.end()
		return nil, err
	}
	return u, nil
}

// load opens what the update starts from and what is known of it, and removes
// temporary files of an update that was killed.
func (u *updater) load() error {
	left, err := filepath.Glob(filepath.Join(u.work, "*.tmp"))
	if err != nil {
		return err
	}
	for _, name := range append(left, u.feedsPath()) {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	if u.state, err = readState(u.statePath()); err != nil {
		return err
	}
	if u.base, err = db.Open(u.Path, nil); err == nil {
		if u.base.Info().Built != u.state.Built {
			u.state.forget()
		}
		return nil
	}
	u.base = nil
	// A missing or damaged file is replaced; what was known of it does not count.
	u.state.forget()
	if u.Starter != nil {
		if u.base, err = u.Starter(); err != nil {
			return fmt.Errorf("starter database: %w", err)
		}
	}
	return nil
}

func (u *updater) end() {
	if u.base != nil {
		_ = u.base.Close()
	}
	_ = os.RemoveAll(u.feedsPath()) // the next update clears what stays
	u.unlock()
}

// feedsPath holds what was downloaded while it is being read.
func (u *updater) feedsPath() string { return filepath.Join(u.work, "feeds") }

func (u *updater) statePath() string { return filepath.Join(u.work, "state.json") }

// feeds updates what the ecosystems need.
func (u *updater) feeds(ctx context.Context) (*Result, error) {
	list, err := plan(u.Sources, u.Ecosystems)
	if err != nil {
		return nil, err
	}
	var ready []*arrival
	result := &Result{}
	var failures []error
	fail := func(name string, err error) {
		failures = append(failures, fmt.Errorf("feed %s: %w", name, err))
		result.Feeds = append(result.Feeds, FeedResult{Name: name, Status: Failed, Err: err})
	}
	for _, f := range list {
		a, err := u.arrive(ctx, f)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			fail(f.name, err)
		case a == nil:
			result.Feeds = append(result.Feeds, FeedResult{Name: f.name, Status: Current})
		default:
			ready = append(ready, a)
		}
	}
	for len(ready) > 0 {
		broken, err := u.assemble(ctx, ready)
		if err != nil {
			return nil, err
		}
		if broken == nil {
			result.Changed = true
			break
		}
		fail(broken.feed.name, broken.result.Err)
		ready = slices.DeleteFunc(ready, func(a *arrival) bool { return a == broken })
	}
	for _, a := range ready {
		result.Feeds = append(result.Feeds, a.result)
		u.state.Feeds[a.feed.name] = a.known
	}
	slices.SortFunc(result.Feeds, func(a, b FeedResult) int { return strings.Compare(a.Name, b.Name) })
	return result, errors.Join(append(failures, u.finish(result))...)
}

// finish describes the database now in use and saves what is known of it.
func (u *updater) finish(result *Result) error {
	r, err := db.Open(u.Path, nil)
	switch {
	case errors.Is(err, os.ErrNotExist): // nothing arrived and there was nothing before
	case err != nil:
		return err
	default:
		result.Info = r.Info()
		if err := r.Close(); err != nil {
			return err
		}
	}
	u.state.Built = result.Info.Built
	return u.state.write(u.statePath())
}
