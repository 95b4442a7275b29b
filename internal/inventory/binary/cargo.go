package binary

import (
	"bytes"
	"compress/zlib"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"github.com/seawall-security/seawall/internal/inventory/langpkg"
	"github.com/seawall-security/seawall/internal/seawall"
)

// Cargo reads the crates of Rust programs built with cargo-auditable
// (https://github.com/rust-secure-code/cargo-auditable): zlib-compressed JSON in
// a section of its own, of ELF programs here. Crates only used to build are not in the program and
// not reported; crates of no registry (path, git) only where they are the
// program itself.
type Cargo struct{}

const (
	auditSection = ".dep-v0"
	maxAudit     = 8 << 20 // bytes of JSON; 1,000 crates are 100 KB
)

// Name implements inventory.Collector.
func (Cargo) Name() string { return "binary/cargo" }

// Version implements inventory.Collector.
func (Cargo) Version() int { return 1 }

// Wants implements inventory.Collector.
func (Cargo) Wants(path string, info fs.FileInfo) bool { return executable(path, info) }

// Collect implements inventory.Collector. A container whose sections cannot be
// read has no audit data: the section table is the only way to it.
func (Cargo) Collect(_ context.Context, f seawall.File) ([]seawall.Fact, error) {
	section := auditData(f.Content)
	if section == nil {
		return nil, nil
	}
	release, err := f.Budget(maxAudit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	defer release()
	facts, err := parseAudit(section, f.Path)
	if err != nil {
		return facts, fmt.Errorf("%s: section %s: %w", f.Path, auditSection, err)
	}
	return facts, nil
}

// auditData opens the section; nil where there is none.
func auditData(c seawall.Content) io.Reader {
	if !boundedELF(c) {
		return nil
	}
	file, err := elf.NewFile(c)
	if err != nil {
		return nil
	}
	s := file.Section(auditSection)
	if s == nil || s.Type == elf.SHT_NOBITS {
		return nil
	}
	return s.Open()
}

// parseAudit reads the content of the section.
func parseAudit(r io.Reader, path string) ([]seawall.Fact, error) {
	z, err := zlib.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxAudit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	if len(text) > maxAudit {
		return nil, fmt.Errorf("more than %d bytes inflated: %w", maxAudit, seawall.ErrBound)
	}
	var audit struct {
		Packages []struct {
			Name, Version, Source, Kind string
			Root                        bool
		}
	}
	if err := json.Unmarshal(text, &audit); err != nil {
		return nil, fmt.Errorf("%w: %w", seawall.ErrCorrupt, err)
	}
	var facts []seawall.Fact
	for _, c := range audit.Packages {
		if c.Kind == "build" || !c.Root && (c.Source == "local" || c.Source == "git") {
			continue
		}
		p, err := langpkg.New(langpkg.Crates(), langpkg.Dependency{Name: c.Name, Version: c.Version})
		if err != nil {
			return facts, err
		}
		p.Kind = "binary"
		p.Locations = []seawall.Location{{Path: path}}
		facts = append(facts, seawall.Fact{Package: p})
	}
	return facts, nil
}

// Stream implements inventory.Streamer. The section table ends a file and the
// data lies before it, so a stream can only say that there is some.
func (Cargo) Stream(path string, _ fs.FileInfo) seawall.Stream {
	// As in a table of section names. Put together here, so that programs which
	// only know the name, this one among them, do not hold it in that form.
	return &cargoStream{path: path, name: fmt.Appendf(nil, "\x00%s\x00", auditSection)}
}

type cargoStream struct {
	path  string
	name  []byte
	carry []byte
	found bool
}

// Write implements seawall.Stream.
func (s *cargoStream) Write(chunk []byte) (int, error) {
	name := s.name
	seam := append(s.carry, chunk[:min(len(chunk), len(name))]...)
	s.found = s.found || bytes.Contains(seam, name) || bytes.Contains(chunk, name)
	tail := chunk
	if len(chunk) < len(name) {
		tail = seam
	}
	s.carry = append(s.carry[:0], tail[max(0, len(tail)-len(name)):]...)
	return len(chunk), nil
}

// Facts implements seawall.Stream.
func (s *cargoStream) Facts() ([]seawall.Fact, error) {
	if s.found {
		return nil, fmt.Errorf("%s: cargo-auditable data in a file too large for random access: %w", s.path, seawall.ErrBudget)
	}
	return nil, nil
}
