package binary

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/seawall-security/seawall/internal/seawall"
)

// Software recognises programs and libraries by what their own text says. Where
// distributions install, only files with a known name are opened; everywhere
// else every executable is, whatever it is called. Programs that the Go linker
// made are left to the Go collector.
type Software struct{}

// Name implements inventory.Collector.
func (Software) Name() string { return "binary/software" }

// Version implements inventory.Collector.
func (Software) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Software) Wants(p string, info fs.FileInfo) bool {
	if info == nil || !info.Mode().IsRegular() {
		return false
	}
	if distribution(p) {
		return wellKnown(path.Base(p))
	}
	return executable(p, info)
}

// Collect implements inventory.Collector.
func (s Software) Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error) {
	if head(f.Content) == formatNone {
		return nil, nil
	}
	return streamAll(ctx, f, s.Stream(f.Path, f.Info))
}

// Stream implements inventory.Streamer.
func (Software) Stream(p string, _ fs.FileInfo) seawall.Stream {
	return &softwareStream{path: p, base: path.Base(p)}
}

// compiled are the literals of all signatures, prepared by the first file that needs them.
var compiled = sync.OnceValue(func() *literals {
	texts := make([]string, len(signatures()))
	for i, s := range signatures() {
		texts[i] = s.literal
	}
	return newLiterals(texts)
})

// How much content around a literal a signature sees.
const (
	lookBehind = 64
	lookAhead  = 128
)

// softwareStream looks for all signatures in one file.
type softwareStream struct {
	path, base string
	started    bool
	skip       bool
	buf        []byte
	offset     int64 // of buf in the file
	next       int   // where in buf the scan goes on
	seen       []hit
	framed     versionScan
}

// hit is a signature that was found, with the versions its places stated.
type hit struct {
	signature int
	versions  []string
}

// Write implements seawall.Stream.
func (s *softwareStream) Write(chunk []byte) (int, error) {
	if !s.started {
		s.started = true
		s.skip = formatOf(chunk) == formatNone
	}
	if s.skip {
		return len(chunk), nil
	}
	if _, err := s.framed.Write(chunk); err != nil {
		return 0, err
	}
	s.buf = append(s.buf, chunk...)
	if len(s.buf) > lookAhead {
		s.scan(len(s.buf) - lookAhead)
		drop := max(0, s.next-lookBehind)
		s.buf = s.buf[:copy(s.buf, s.buf[drop:])]
		s.next -= drop
		s.offset += int64(drop)
	}
	return len(chunk), nil
}

// enough says that the rest of the file changes nothing.
func (s *softwareStream) enough() bool { return s.skip }

// scan looks at the literals that start before to.
func (s *softwareStream) scan(to int) {
	if to <= s.next {
		return
	}
	compiled().scan(s.buf, s.next, to, s.found)
	s.next = to
}

// found judges one place.
func (s *softwareStream) found(signature, at int) {
	sig := &signatures()[signature]
	if !sig.named(s.base) {
		return
	}
	if sig.literal == goNote {
		s.skip = s.skip || s.offset+int64(at) < goNoteLimit
		return
	}
	i := slices.IndexFunc(s.seen, func(h hit) bool { return h.signature == signature })
	var version string
	if sig.version != nil {
		behind := s.buf[max(0, at-lookBehind):at]
		ahead := s.buf[at+len(sig.literal) : min(len(s.buf), at+len(sig.literal)+lookAhead)]
		if version = sig.version(behind, ahead); version == "" {
			return // these words, but not as the program writes them
		}
	}
	if i < 0 {
		s.seen = append(s.seen, hit{signature: signature})
		i = len(s.seen) - 1
	}
	if h := &s.seen[i]; version != "" && len(h.versions) < maxFramed && !slices.Contains(h.versions, version) {
		h.versions = append(h.versions, version)
	}
}

// Facts implements seawall.Stream. A program whose places state different
// versions, or none, is not reported: which one it is cannot be told.
func (s *softwareStream) Facts() ([]seawall.Fact, error) {
	if s.scan(len(s.buf)); s.skip {
		return nil, nil
	}
	var facts []seawall.Fact
	for _, h := range s.seen {
		sig := &signatures()[h.signature]
		var version string
		switch {
		case sig.needs != "" && !s.has(sig.needs):
			continue
		case sig.framed != nil:
			version = sig.framed(s.framed.found, s.base)
		case len(h.versions) == 1:
			version = h.versions[0]
		}
		if version != "" && !reported(facts, sig.name) {
			facts = append(facts, generic("generic", sig.name, version, s.path))
		}
	}
	return facts, nil
}

// has reports whether the signature with a literal was found.
func (s *softwareStream) has(literal string) bool {
	return slices.ContainsFunc(s.seen, func(h hit) bool { return signatures()[h.signature].literal == literal })
}

func reported(facts []seawall.Fact, name string) bool {
	return slices.ContainsFunc(facts, func(f seawall.Fact) bool { return f.Package.Name == name })
}

// wellKnown reports whether a file name in a distribution's directories may be
// software with a signature. It allocates nothing.
func wellKnown(base string) bool {
	for _, prefix := range [...]string{"lib", "php", "python", "ruby", "perl", "redis-", "valkey-", "busybox", "postgres", "mysql", "mariadb", "node", "nginx", "openresty"} {
		if strings.HasPrefix(base, prefix) {
			return prefix != "lib" || wellKnownLibrary(base)
		}
	}
	switch base {
	case "[", "[[", // in layers the first of busybox's hard links, the one with the content
		"bash", "openssl", "httpd", "apache2", "haproxy", "envoy", "memcached", "crun", "curl", "git", "sqlite3", "lighttpd":
		return true
	}
	return false
}

func wellKnownLibrary(base string) bool {
	for _, prefix := range [...]string{"libcrypto.so", "libssl.so", "libcurl", "libsqlite3.so", "libpython", "libnode.so", "libjvm.so", "libphp", "libruby", "libperl.so"} {
		if strings.HasPrefix(base, prefix) {
			return library(base)
		}
	}
	return false
}
