package binary

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"

	"golang.org/x/mod/module"

	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Go reads the modules and the toolchain of Go programs from their build info,
// which since Go 1.18 is text among the data of any container (ELF, PE, Mach-O);
// before that only ELF programs in random access are read.
//
// The main module has a version where the build info, the linker flags
// (-X …version=) or, for known programs, a linker-set string states one; else
// its version is "". The commit of a VCS stamp is not turned into a version:
// v0.0.0-… would sort below every fix.
type Go struct{}

// Name implements inventory.Collector.
func (Go) Name() string { return "binary/go" }

// Version implements inventory.Collector.
func (Go) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Go) Wants(path string, info fs.FileInfo) bool { return executable(path, info) }

// Collect implements inventory.Collector.
func (Go) Collect(ctx context.Context, f seawall.File) ([]seawall.Fact, error) {
	if head(f.Content) == formatNone {
		return nil, nil
	}
	if !boundedELF(f.Content) {
		return streamAll(ctx, f, Go{}.Stream(f.Path, f.Info))
	}
	info, err := buildinfo.Read(f.Content)
	if err != nil {
		// Not Go, or a container too damaged for the section walk: build info
		// that lies in the bytes is found all the same.
		if strings.HasSuffix(err.Error(), "not a Go executable") {
			return nil, nil
		}
		return streamAll(ctx, f, Go{}.Stream(f.Path, f.Info))
	}
	var text versionScan
	if hasUnstatedVersion(info) {
		if err := pour(ctx, f, &text); err != nil {
			return nil, err
		}
	}
	return goFacts(f.Path, info, &text), nil
}

// Stream implements inventory.Streamer.
func (Go) Stream(path string, _ fs.FileInfo) seawall.Stream {
	return &goStream{path: path}
}

// streamAll runs random-access content through a stream.
func streamAll(ctx context.Context, f seawall.File, s seawall.Stream) ([]seawall.Fact, error) {
	if err := pour(ctx, f, s); err != nil {
		return nil, err
	}
	return s.Facts()
}

// pour writes the content to w from its start, until w has seen enough.
func pour(ctx context.Context, f seawall.File, w io.Writer) error {
	buf := make([]byte, 128<<10)
	enough := func() bool { return false }
	if s, ok := w.(interface{ enough() bool }); ok {
		enough = s.enough
	}
	for off := int64(0); off < f.Content.Size() && !enough(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Content.ReadAt(buf, off)
		if n == 0 && err != nil {
			return fmt.Errorf("%s at byte %d: %w", f.Path, off, err)
		}
		off += int64(n)
		if _, err := w.Write(buf[:n]); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

// Build info as the linker writes it since Go 1.18: a 32-byte header, then the
// toolchain version and the module text, each with a varint length.
// Reference: cmd/link/internal/ld/data.go and debug/buildinfo.
const (
	buildMagic      = "\xff Go buildinf:"
	buildAlign      = 16
	buildHeader     = 32
	buildInline     = 2       // flag bit: strings follow the header
	maxToolchain    = 1 << 10 // bytes of a toolchain version
	maxModuleText   = 8 << 20 // bytes of module text; 1,000 modules are 100 KB
	maxBuildInfos   = 16      // places that look like build info and are not, per file
	sentinelLen     = 16
	moduleTextStart = "\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6"
)

// goStream finds build info in content that arrives in order.
type goStream struct {
	path    string
	started bool
	skip    bool // not machine code
	offset  int64
	carry   []byte // the tail of what was seen; its first byte is at offset
	tries   int
	info    *debug.BuildInfo
	old     bool // build info of before Go 1.18 was met: pointers, not text
	text    versionScan
}

// Write implements seawall.Stream.
func (s *goStream) Write(chunk []byte) (int, error) {
	if !s.started {
		s.started = true
		s.skip = formatOf(chunk) == formatNone
	}
	if s.skip {
		return len(chunk), nil
	}
	if _, err := s.text.Write(chunk); err != nil {
		return 0, err
	}
	if s.info != nil {
		return len(chunk), nil
	}
	s.carry = append(s.carry, chunk...)
	keep, err := s.search(s.carry)
	if err != nil {
		return 0, err
	}
	s.offset += int64(keep)
	s.carry = s.carry[:copy(s.carry, s.carry[keep:])]
	return len(chunk), nil
}

// search looks for build info in buf and returns how many of its bytes are done with.
func (s *goStream) search(buf []byte) (done int, err error) {
	for {
		i := bytes.Index(buf[done:], []byte(buildMagic))
		if i < 0 {
			return max(done, len(buf)-len(buildMagic)+1), nil
		}
		done += i
		if (s.offset+int64(done))%buildAlign != 0 {
			done++
			continue
		}
		version, text, more := parseBuildInfo(buf[done:], &s.old)
		if more {
			return done, nil
		}
		if version == "" {
			if s.tries++; s.tries > maxBuildInfos {
				return 0, fmt.Errorf("more than %d false build infos: %w", maxBuildInfos, seawall.ErrBound)
			}
			done++
			continue
		}
		info, err := debug.ParseBuildInfo(text)
		if err != nil {
			return 0, fmt.Errorf("build info at byte %d: %w: %w", s.offset+int64(done), seawall.ErrCorrupt, err)
		}
		info.GoVersion = version
		s.info, s.old = info, false
		return len(buf), nil
	}
}

// parseBuildInfo reads build info at the start of b. more means that b ends
// before it does; version "" that this is no inline build info. old is set when
// it is in the format of before Go 1.18.
func parseBuildInfo(b []byte, old *bool) (version, text string, more bool) {
	if len(b) < buildHeader {
		return "", "", true
	}
	if b[15]&buildInline == 0 {
		if (b[14] == 4 || b[14] == 8) && b[15] <= 1 {
			*old = true
		}
		return "", "", false
	}
	raw, rest, state := varintString(b[buildHeader:], maxToolchain)
	if state != stringWhole {
		return "", "", state == stringShort
	}
	version = string(raw)
	if !strings.HasPrefix(version, "go") && !strings.HasPrefix(version, "devel ") {
		return "", "", false
	}
	raw, _, state = varintString(rest, maxModuleText)
	// Wait for the rest only of what begins as module text does.
	n := min(len(raw), len(moduleTextStart))
	if state == stringBad || string(raw[:n]) != moduleTextStart[:n] {
		return "", "", false
	}
	if state == stringShort {
		return "", "", true
	}
	// The text stands between two markers, and its last line ends before the second.
	if n := len(raw); n > 2*sentinelLen && raw[n-sentinelLen-1] == '\n' {
		text = string(raw[sentinelLen : n-sentinelLen])
	}
	return version, text, false
}

type stringState uint8

const (
	stringWhole stringState = iota
	stringShort             // b ends before the string does
	stringBad               // the length is impossible
)

// varintString reads a length and as many bytes. A short string comes back as far as it goes.
func varintString(b []byte, limit int) (value, rest []byte, state stringState) {
	length, shift := 0, 0
	for i, c := range b {
		length |= int(c&0x7f) << shift
		if length > limit {
			return nil, nil, stringBad
		}
		if c < 0x80 {
			b = b[i+1:]
			if len(b) < length {
				return b, nil, stringShort
			}
			return b[:length], b[length:], stringWhole
		}
		if shift += 7; shift > 28 {
			return nil, nil, stringBad
		}
	}
	return nil, nil, stringShort
}

// Facts implements seawall.Stream.
func (s *goStream) Facts() ([]seawall.Fact, error) {
	if s.info == nil {
		if s.old {
			return nil, fmt.Errorf("%s: build info of before Go 1.18, which needs an ELF program in random access: %w", s.path, seawall.ErrBudget)
		}
		return nil, nil
	}
	return goFacts(s.path, s.info, &s.text), nil
}

// goFacts turns build info into packages. text holds the version strings of the file.
func goFacts(path string, info *debug.BuildInfo, text *versionScan) []seawall.Fact {
	facts := make([]seawall.Fact, 0, len(info.Deps)+2)
	add := func(name, version string) {
		p, err := langpkg.New(langpkg.Go(), langpkg.Dependency{Name: name, Version: version})
		if err != nil { // no module path or version: nothing a toolchain wrote
			return
		}
		p.Kind = "binary"
		p.Locations = []seawall.Location{{Path: path}}
		facts = append(facts, seawall.Fact{Package: p})
	}
	if info.Path == goCommand { // advisories on the toolchain apply, those on the library with them
		return append(facts, generic("generic", "go", toolchainVersion(info.GoVersion), path))
	}
	if info.GoVersion != "" {
		add("stdlib", toolchainVersion(info.GoVersion))
	}
	program, known := knownProgram(info)
	version, stamped := mainVersion(info)
	switch {
	case known && (program.ecosystem != "" || !stamped):
		if version == "" {
			version = unique(text.found)
		}
		if version == "" && len(text.found) == 0 {
			version = unique(text.lines)
		}
		if version == "" {
			version = siblingVersion(info)
		}
		facts = append(facts, generic(program.system(), program.name, coreVersion(version), path))
	case info.Main.Path != "":
		add(info.Main.Path, version)
	}
	for _, d := range info.Deps {
		m := d
		if r := d.Replace; r != nil && released(r.Version) {
			m = r
		} else if r != nil {
			m = &debug.Module{Path: d.Path} // replaced by a directory
		}
		if released(m.Version) {
			add(m.Path, m.Version)
		} else {
			add(m.Path, "")
		}
	}
	return facts
}

// released reports whether a module's version is one: what was built from a
// directory or a workspace has "(devel)" or none.
func released(version string) bool { return version != "" && version != "(devel)" }

// toolchainVersion turns what the toolchain calls itself into the version its
// advisories use: "go1.21.3 X:boringcrypto" is 1.21.3, "go1.22rc1" is
// 1.22.0-rc.1, vendors' suffixes are dropped, a development build is "".
func toolchainVersion(s string) string {
	s, ok := strings.CutPrefix(s, "go")
	if !ok {
		return ""
	}
	n := numeric(s)
	version, rest := strings.TrimSuffix(s[:n], "."), s[n:]
	for _, pre := range [...]string{"rc", "beta"} {
		if num, ok := strings.CutPrefix(rest, pre); ok && strings.Count(version, ".") == 1 {
			num = num[:numeric(num)]
			return version + ".0-" + pre + "." + num
		}
	}
	return version
}

// numeric returns the length of the digits and dots that s starts with.
func numeric[T string | []byte](s T) int {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && s[i] != '.' {
			return i
		}
	}
	return len(s)
}

// mainVersion returns the main module's version, and whether it is the build
// info's own; one from the linker flags is not.
func mainVersion(info *debug.BuildInfo) (version string, stamped bool) {
	main := &info.Main
	if main.Replace != nil {
		main = main.Replace
	}
	if v := main.Version; released(v) && !strings.HasPrefix(v, "v0.0.0-") {
		return v, true
	}
	for _, s := range info.Settings {
		if s.Key == "-ldflags" {
			return flagVersion(s.Value, info.Main.Path), false
		}
	}
	return "", false
}

// flagVersion returns the version that linker flags set: main's own variable
// first, then the main module's packages, then any other, each only when it is
// the only one of its kind.
func flagVersion(flags, mainModule string) string {
	var ranks [3][]string
	for _, field := range splitFlags(flags) {
		name, value, ok := strings.Cut(strings.TrimPrefix(field, "-X="), "=")
		dot := strings.LastIndexByte(name, '.')
		if !ok || dot < 0 || coreVersion(value) == "" {
			continue
		}
		pkg, variable := name[:dot], strings.ToLower(name[dot+1:])
		if !strings.HasSuffix(variable, "version") && variable != "tag" && variable != "release" || strings.Contains(variable, "go_version") || strings.Contains(variable, "goversion") {
			continue
		}
		rank := 2
		switch {
		case pkg == "main":
			rank = 0
		case mainModule != "" && strings.HasPrefix(pkg+"/", mainModule+"/"):
			rank = 1
		}
		ranks[rank] = append(ranks[rank], value)
	}
	for _, values := range ranks {
		if len(values) > 0 {
			return unique(values)
		}
	}
	return ""
}

// splitFlags splits a command line at blanks outside quotes and takes the quotes off.
func splitFlags(s string) []string {
	var out []string
	var b strings.Builder
	var quote byte
	open := false
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if open {
				out = append(out, b.String())
				b.Reset()
				open = false
			}
		default:
			b.WriteByte(c)
			open = true
		}
	}
	if open {
		out = append(out, b.String())
	}
	return out
}

// unique returns the version that all of values state up to vendors' suffixes, else "".
func unique(values []string) string {
	if len(values) == 0 {
		return ""
	}
	for _, v := range values[1:] {
		if coreVersion(v) != coreVersion(values[0]) {
			return ""
		}
	}
	return values[0]
}

// siblingVersion returns the version the main module requires of another module
// of its own repository that is replaced by a directory beside it: they are
// released together (go.etcd.io/etcd/server/v3 and …/api/v3).
func siblingVersion(info *debug.BuildInfo) string {
	prefix, _, ok := module.SplitPathVersion(info.Main.Path)
	if !ok || prefix == "" {
		return ""
	}
	root := prefix[:strings.LastIndexByte(prefix, '/')+1]
	var versions []string
	for _, d := range info.Deps {
		if d.Replace != nil && strings.HasPrefix(d.Path, root) && strings.HasPrefix(d.Replace.Path, ".") && !strings.HasPrefix(d.Version, "v0.0.0") {
			versions = append(versions, d.Version)
		}
	}
	return unique(versions)
}
