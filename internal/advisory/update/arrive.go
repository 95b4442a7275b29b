package update

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seawall-security/seawall/internal/advisory"
	"github.com/seawall-security/seawall/internal/advisory/build"
	"github.com/seawall-security/seawall/internal/advisory/db"
	"github.com/seawall-security/seawall/internal/advisory/document"
	"github.com/seawall-security/seawall/internal/advisory/osv"
	"github.com/seawall-security/seawall/internal/seawall"
)

// maxIncrement is up to how many changed entries are fetched one by one; above
// it the archive is faster.
const maxIncrement = 400

// arrival is a feed whose files have been downloaded.
type arrival struct {
	feed   feed
	dir    string // holds the files, and nothing else
	known  feedState
	result FeedResult
	// index, of an incremental arrival, lists all entries there are; changed those downloaded.
	index   map[string]string
	changed map[string]bool
}

// arrive downloads what a feed has new; nil when the database is current.
func (u *updater) arrive(ctx context.Context, f feed) (*arrival, error) {
	a := &arrival{
		feed: f, dir: filepath.Join(u.feedsPath(), strings.ReplaceAll(f.name, "/", "-")),
		known:  feedState{Files: map[string]validators{}},
		result: FeedResult{Name: f.name, Status: Replaced},
	}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, err
	}
	have := u.state.Feeds[f.name]
	if u.base == nil || !slices.Contains(u.base.Feeds(), f.name) {
		have = feedState{}
	}
	if f.osv != "" {
		switch done, err := u.arriveOSV(ctx, a, have); {
		case err != nil, a.result.Status == Current:
			return nil, err
		case done:
			return a, nil
		}
	}
	if f.pointer {
		if err := u.follow(ctx, a); err != nil {
			return nil, err
		}
	}
	fresh, err := u.files(ctx, a, have.Files)
	if err != nil || fresh == 0 {
		return nil, err
	}
	if fresh < len(a.feed.urls) {
		// Some files are new and the others are no longer at hand: fetch those, too.
		if _, err := u.files(ctx, a, nil); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// files downloads the files that changed and returns how many there are.
func (u *updater) files(ctx context.Context, a *arrival, have map[string]validators) (fresh int, err error) {
	for i, address := range a.feed.urls {
		name := strconv.Itoa(i) + "-" + filepath.Base(address)
		got, current, err := u.file(ctx, a, address, name, have[address])
		if err != nil {
			return fresh, err
		}
		a.known.Files[address] = got
		if !current {
			fresh++
		}
	}
	return fresh, nil
}

// file downloads one file of a feed, going on where an earlier update was
// stopped. A file still being written lies outside the feed's directory.
func (u *updater) file(ctx context.Context, a *arrival, address, name string, have validators) (validators, bool, error) {
	target := filepath.Join(a.dir, name)
	if _, err := os.Stat(target); err == nil && a.known.Files[address].known() {
		return a.known.Files[address], false, nil // fetched by this run
	}
	part := filepath.Base(a.dir) + "-" + name + ".part"
	got, current, err := u.resume(ctx, address, part, have)
	switch {
	case err != nil:
		return got, false, err
	case current:
		return got, true, os.Remove(filepath.Join(u.work, part))
	}
	return got, false, os.Rename(filepath.Join(u.work, part), target)
}

// resume downloads address into the file part of the working directory, from
// where an earlier update was stopped.
func (u *updater) resume(ctx context.Context, address, part string, have validators) (validators, bool, error) {
	d := download{url: address, path: filepath.Join(u.work, part), have: have}
	if begun := u.state.Partial[part]; begun.URL == address {
		d.partial = begun.Have
	}
	d.started = func(v validators) error {
		u.state.Partial[part] = partial{address, v}
		return u.state.write(u.statePath())
	}
	got, current, err := u.fetch.get(ctx, d)
	if err == nil {
		delete(u.state.Partial, part)
	}
	return got, current, err
}

// follow reads the file that names the archive, and puts the archive in its place.
func (u *updater) follow(ctx context.Context, a *arrival) error {
	pointer := a.feed.urls[0]
	if _, _, err := u.file(ctx, a, pointer, "pointer", validators{}); err != nil {
		return err
	}
	path := filepath.Join(a.dir, "pointer")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name := strings.TrimSpace(string(data))
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "/\\\r\n?#") {
		return fmt.Errorf("%s: %.60q is no file name: %w", pointer, name, seawall.ErrCorrupt)
	}
	a.feed.urls = []string{pointer[:strings.LastIndexByte(pointer, '/')+1] + url.PathEscape(name)}
	return os.Remove(path)
}

// arriveOSV looks at the index of changes first. It is done when nothing or
// little changed; else the archive is to be fetched.
func (u *updater) arriveOSV(ctx context.Context, a *arrival, have feedState) (done bool, err error) {
	address := a.feed.osv + "/modified_id.csv"
	got, current, err := u.file(ctx, a, address, "modified_id.csv", have.Index)
	switch {
	case errors.Is(err, errGone) && have.Newest == "":
		return false, nil // a mirror without an index still has the archive
	case err != nil:
		return false, err
	}
	if current {
		a.result.Status = Current
		return true, nil
	}
	path := filepath.Join(a.dir, "modified_id.csv")
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	index, newest, err := osv.ReadIndex(f)
	err = errors.Join(err, f.Close(), os.Remove(path))
	if err != nil {
		return false, fmt.Errorf("%s: %w", address, err)
	}
	a.known.Index, a.known.Newest, a.known.Files = got, newest, map[string]validators{}
	if have.Newest == "" || len(index) < u.source(a.feed.name).Advisories/2 {
		return false, nil // the first time; or an index that lost half of its entries is not believed
	}
	a.changed = map[string]bool{}
	for id, modified := range index {
		// What has the latest time we know may have come after we looked.
		if modified >= have.Newest {
			a.changed[id] = true
		}
	}
	if len(a.changed) > maxIncrement || len(a.changed) > len(index)/2 {
		a.changed = nil
		return false, nil
	}
	a.known.Files, a.index, a.result.Status = have.Files, index, Incremental
	return true, u.entries(ctx, a)
}

// entries downloads the changed entries, eight at a time. One that is gone by
// now is as good as not listed.
func (u *updater) entries(ctx context.Context, a *arrival) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	quiet := *u.fetch
	quiet.progress = nil
	var mu sync.Mutex
	for id := range a.changed {
		g.Go(func() error {
			path := filepath.Join(a.dir, id+".json")
			_, _, err := quiet.get(ctx, download{url: a.feed.osv + "/" + url.PathEscape(id) + ".json", path: path})
			if errors.Is(err, errGone) {
				mu.Lock()
				defer mu.Unlock()
				delete(a.index, id)
				return os.Remove(path)
			}
			return err
		})
	}
	return g.Wait()
}

// assemble builds the new database and puts it in place. A feed that cannot be
// read is returned as broken, and nothing has changed.
func (u *updater) assemble(ctx context.Context, ready []*arrival) (broken *arrival, err error) {
	w := db.NewWriter(db.Options{
		Built: u.Now().UTC().Format(time.RFC3339), Key: u.SigningKey,
		// A score may be kept while advisories that name its CVE come later.
		AllExploitation: true,
	})
	replaced := map[string]bool{}
	for _, a := range ready {
		replaced[a.feed.name] = true
		for _, name := range a.feed.replaces {
			replaced[name] = true
		}
		if err := u.read(ctx, w, a); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			a.result.Err = err
			return a, nil
		}
	}
	if u.base != nil {
		w.Keep(u.base, func(feed string) bool { return !replaced[feed] })
	}
	f, err := os.CreateTemp(u.work, "database-*.tmp")
	if err != nil {
		return nil, err
	}
	_, err = w.WriteTo(f)
	return nil, install(f, errors.Join(err, f.Chmod(0o644)), u.Path)
}

// read adds a feed to the database: of an incremental one first the entries
// that did not change.
func (u *updater) read(ctx context.Context, w *db.Writer, a *arrival) error {
	if a.index != nil {
		if err := u.keepEntries(w, a); err != nil {
			return err
		}
	}
	report, err := build.Run(ctx, a.dir, build.Options{
		Importers: u.Importers, Feed: a.feed.name, FactsOnly: u.FactsOnly,
		Sink: func(feed string, r advisory.Record) error {
			if r.Source != nil && a.index != nil {
				return nil // keepEntries described the whole
			}
			return w.Add(feed, r)
		},
		Progress: func(documents int) {
			if u.Progress != nil {
				u.Progress(seawall.Progress{Stage: "reading " + a.feed.name, Unit: "documents", Done: int64(documents)})
			}
		},
	})
	if err != nil {
		return err
	}
	a.result.Advisories, a.result.Damaged = report.Advisories()+report.Scores, len(report.Damaged)
	for _, d := range report.Damaged {
		// A file of its own, or the archive around the others: what was read is not all there is.
		// Of an incremental feed each entry is a file, and is lost alone.
		if !strings.Contains(d.Place, "!") && a.index == nil {
			return fmt.Errorf("%s: %w", d.Place, d.Err)
		}
	}
	if a.result.Advisories == 0 && a.index == nil {
		return fmt.Errorf("%s holds nothing any importer reads: %w", strings.Join(a.feed.urls, ", "), seawall.ErrCorrupt)
	}
	return nil
}

// keepEntries adds the entries of an incremental feed that are listed and did
// not change, and the description of the feed.
func (u *updater) keepEntries(w *db.Writer, a *arrival) error {
	for old, err := range u.base.Feed(a.feed.name) {
		if err != nil {
			return err
		}
		if _, listed := a.index[old.ID]; !listed || a.changed[old.ID] {
			continue
		}
		if err := w.Add(a.feed.name, advisory.Record{Advisory: old}); err != nil {
			return err
		}
	}
	s := u.source(a.feed.name)
	s.Updated = max(s.Updated, document.Time(a.known.Newest))
	return w.Add(a.feed.name, advisory.Record{Source: &s})
}

// source is what the database says of a source; zero when it has none of the name.
func (u *updater) source(name string) seawall.DatabaseSource {
	if u.base != nil {
		for _, s := range u.base.Info().Sources {
			if s.Name == name {
				return s
			}
		}
	}
	return seawall.DatabaseSource{}
}
