// Package secret finds credentials: in the files of every layer and of
// directories, in archives, in the configuration and history of images, and in
// the history of git repositories.
//
// New gives two halves. The Collector searches content, one pass for all rules,
// and emits Matches: rule, place, a redacted description and a keyed hash; the
// layer cache keeps those and never a secret. The Detector turns Matches into
// Findings, one per secret with all its places, and searches the image
// configuration itself.
//
// The search looks for the literals of all rules at once (package needle). Where one
// is found its rule is tried (pattern.go), and what has the right form is judged
// (judge.go): checksum, entropy, known examples. Names that sound like a secret
// lead to the value they are given (assign.go). Where a file lies decides what
// counts (place.go).
package secret

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/seawall-security/seawall/internal/detect/secret/live"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Options are the parameters of New.
type Options struct {
	// Rules are files of further rules in gitleaks' TOML form.
	Rules []string
	// Verify asks vendors whether a token is live; nil asks nobody.
	Verify *live.Options
}

// New returns the two halves of the secret scanner. An error wraps
// seawall.ErrUsage and names the rule file.
func New(o Options) (*Collector, *Detector, error) {
	extra, err := loadRules(o.Rules)
	if err != nil {
		return nil, nil, err
	}
	e, err := newEngine(extra)
	if err != nil {
		return nil, nil, err
	}
	if o.Verify != nil {
		e.verifier = live.New(*o.Verify)
		e.version ^= o.Verify.Version()
	}
	buffers := &sync.Pool{New: func() any { b := make([]byte, 0, bufferSize); return &b }}
	return &Collector{engine: e, buffers: buffers}, &Detector{engine: e}, nil
}

// Collector searches files. It satisfies inventory.Collector and Streamer.
type Collector struct {
	engine  *engine
	buffers *sync.Pool
}

// Name implements inventory.Collector.
func (*Collector) Name() string { return "secret/content" }

// Version implements inventory.Collector: a hash of all rules.
func (c *Collector) Version() int { return c.engine.version }

// minFile is the least size of a file that can hold a secret worth the name.
const minFile = 12

// Wants implements inventory.Collector: every file but those of kinds that hold
// no text of their own.
func (c *Collector) Wants(path string, info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Size() >= minFile && !skipped(path) && !manual(path)
}

// Collect implements inventory.Collector.
func (c *Collector) Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error) {
	if f.Link != "" {
		return nil, nil
	}
	if kind := archiveKind(f.Path); kind != notArchive && kind.is(f.Content) {
		return c.archive(ctx, f, kind)
	}
	matches, err := c.text(f.Path, "", f.Content)
	return facts(matches), err
}

// text searches one text.
func (c *Collector) text(path, inner string, r io.Reader) ([]seawall.Match, error) {
	name := path
	if inner != "" {
		name = path + "/" + inner
	}
	buf := c.buffers.Get().(*[]byte)
	s := c.engine.newSearch(name, *buf)
	defer func() { c.release(buf, s.used) }()
	err := s.readFrom(r)
	if s.full {
		err = errTooMany
	}
	return s.matches(inner), err
}

// release gives a buffer back without what was in it.
func (c *Collector) release(buf *[]byte, used int) {
	clear((*buf)[:used])
	c.buffers.Put(buf)
}

// errTooMany makes a collector partial.
var errTooMany = fmt.Errorf("more than %d secrets in one file, the rest is not reported: %w", maxHits, seawall.ErrBound)

func facts(matches []seawall.Match) []seawall.Fact {
	out := make([]seawall.Fact, len(matches))
	for i := range matches {
		out[i].Match = &matches[i]
	}
	return out
}

// Stream implements inventory.Streamer.
func (c *Collector) Stream(path string, _ fs.FileInfo) seawall.Stream {
	if archiveKind(path) != notArchive {
		return nil
	}
	buf := c.buffers.Get().(*[]byte)
	return &stream{c: c, buf: buf, search: c.engine.newSearch(path, *buf)}
}

type stream struct {
	c      *Collector
	buf    *[]byte
	search *search
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	s.search.write(p)
	return len(p), nil
}

// Facts implements seawall.Stream.
func (s *stream) Facts() ([]seawall.Fact, error) {
	s.search.step(true)
	matches := s.search.matches("")
	s.c.release(s.buf, s.search.used)
	if s.search.full {
		return facts(matches), errTooMany
	}
	return facts(matches), nil
}
