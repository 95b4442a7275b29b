// Package sbom opens bills of materials as targets: CycloneDX 1.x JSON and XML,
// SPDX 2.x JSON and tag-value, and either inside an in-toto attestation.
//
// Data flows one way:
//
//	file -> detect the format by content -> document (one parser each) -> Facts
//
// A document is what all formats have in common: a subject, an operating system
// and components. Where a component lies in the advisories is decided in one
// place (purl.go), mainly by its package URL. A component without one is still
// listed, with no ecosystem, so that it is counted as not evaluated.
//
// Fields that are not known are ignored: new minor versions of a format stay
// readable. Signatures around a document are not checked here.
package sbom

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
)

const (
	// maxSize bounds a document in bytes. The largest seen in public are about 100 MB.
	maxSize = 256 << 20
	// maxObjects and maxPackages bound the JSON objects or XML tags and the tag-value
	// packages of a document and with them its memory, which could be 100 times its
	// size otherwise. About 10 objects a package are usual.
	maxObjects  = 2 << 20
	maxPackages = 1 << 18
	// maxDepth bounds nested components and nested envelopes.
	maxDepth = 100
)

// Opener opens "sbom:FILE"; "-" is standard input.
type Opener struct{}

// Schemes implements source.Opener.
func (Opener) Schemes() []string { return []string{"sbom"} }

// Open implements source.Opener. It reads the whole document.
func (Opener) Open(_ context.Context, name string, o source.Options) (seawall.Target, error) {
	data, err := read(name, o)
	if err != nil {
		return nil, err
	}
	doc, err := parse(data, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return newTarget(name, doc), nil
}

// read returns a file's content, bounded.
func read(name string, o source.Options) ([]byte, error) {
	var r io.Reader
	if name == "-" && o.Stdin != nil {
		r = o.Stdin
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", seawall.ErrUnreadable, err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return nil, seawall.WithHint(fmt.Errorf("%s: is a directory: %w", name, seawall.ErrUsage), "name the SBOM file in it, or scan the directory with: seawall scan fs "+name)
		}
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w", name, seawall.ErrUnreadable, err)
	case len(data) > maxSize:
		return nil, fmt.Errorf("%s: larger than %d bytes: %w", name, maxSize, seawall.ErrBound)
	}
	return data, nil
}

// document is what a bill of materials says, whatever its format.
type document struct {
	subject    subject
	os         *seawall.OS
	components []component
}

// subject is what the document describes.
type subject struct {
	name, version, digest string
}

// component is one part of a document. What a package URL says too is only
// filled where the document says it elsewhere.
type component struct {
	name, version, purl   string
	ecosystem             string
	licenses              []string
	supplier              string
	source, sourceVersion string
	module                string
	owner                 string
	dev, declared         bool
	locations             []seawall.Location
}

// errFormat carries the formats that are read.
var errFormat = errors.New("not a CycloneDX or SPDX document")

const formatHint = "readable are CycloneDX 1.2 to 1.7 (JSON, XML), SPDX 2.2 and 2.3 (JSON, tag-value), and in-toto attestations of these"

// parse recognises the format and reads it. depth counts envelopes.
func parse(data []byte, depth int) (*document, error) {
	if depth > 4 {
		return nil, fmt.Errorf("envelopes nested %d deep: %w", depth, seawall.ErrBound)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case len(data) == 0:
		return nil, fmt.Errorf("empty: %w", seawall.ErrCorrupt)
	case (data[0] == '{' || data[0] == '<') && bytes.Count(data, data[:1]) > maxObjects:
		return nil, fmt.Errorf("more than %d objects: %w", maxObjects, seawall.ErrBound)
	case data[0] == '{':
		return parseJSON(data, depth)
	case data[0] == '<':
		return parseCycloneXML(data)
	case bytes.Contains(data[:min(len(data), 64<<10)], []byte("SPDXVersion:")):
		return parseTagValue(data)
	}
	return nil, seawall.WithHint(fmt.Errorf("%w: %w", seawall.ErrCorrupt, errFormat), formatHint)
}

// envelope has the fields that tell the JSON formats apart.
type envelope struct {
	BOMFormat   string          `json:"bomFormat"`
	SPDXVersion string          `json:"spdxVersion"`
	Context     json.RawMessage `json:"@context"` // SPDX 3
	Schema      struct {
		URL string `json:"url"`
	} `json:"schema"` // Syft's own
	Payload string `json:"payload"` // DSSE
	Bundle  struct {
		Payload string `json:"payload"`
	} `json:"dsseEnvelope"` // Sigstore bundle
	PredicateType string          `json:"predicateType"` // in-toto statement
	Predicate     json.RawMessage `json:"predicate"`
	Subject       []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

func parseJSON(data []byte, depth int) (*document, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, jsonError(data, err)
	}
	switch {
	case e.BOMFormat == "CycloneDX":
		return parseCycloneJSON(data)
	case e.SPDXVersion != "":
		return parseSPDXJSON(data)
	case e.PredicateType != "":
		return parseStatement(&e, depth)
	case e.Payload != "" || e.Bundle.Payload != "":
		payload, err := base64.StdEncoding.DecodeString(e.Payload + e.Bundle.Payload)
		if err != nil {
			return nil, fmt.Errorf("payload of the envelope: %w: %w", seawall.ErrCorrupt, err)
		}
		return parse(payload, depth+1)
	case strings.Contains(e.Schema.URL, "syft"):
		return nil, seawall.WithHint(fmt.Errorf("syft's own format: %w", errors.Join(seawall.ErrUsage, errFormat)), "write it as CycloneDX: syft convert FILE -o cyclonedx-json")
	case strings.Contains(string(e.Context), "spdx.org/rdf/3"):
		return nil, seawall.WithHint(fmt.Errorf("SPDX 3: %w", errors.Join(seawall.ErrUsage, errFormat)), formatHint)
	}
	return nil, seawall.WithHint(fmt.Errorf("%w: %w", seawall.ErrCorrupt, errFormat), formatHint)
}

// parseStatement reads an in-toto statement whose predicate is a document. Old
// cosign versions put the document as text under "Data".
func parseStatement(e *envelope, depth int) (*document, error) {
	predicate := []byte(e.Predicate)
	var wrapped struct{ Data json.RawMessage }
	if json.Unmarshal(predicate, &wrapped) == nil && len(wrapped.Data) > 0 {
		predicate = wrapped.Data
	}
	var text string
	if json.Unmarshal(predicate, &text) == nil {
		predicate = []byte(text)
	}
	doc, err := parse(predicate, depth+1)
	if err != nil {
		return nil, fmt.Errorf("predicate %s: %w", e.PredicateType, err)
	}
	if len(e.Subject) > 0 {
		s := e.Subject[0]
		if d := s.Digest["sha256"]; d != "" {
			doc.subject.digest = "sha256:" + d
		}
		if doc.subject.name == "" {
			doc.subject.name = s.Name
		}
	}
	return doc, nil
}

// jsonError names the line of a damaged JSON document.
func jsonError(data []byte, err error) error {
	var offset int64
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	line := 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
	return fmt.Errorf("line %d: %w: %w", line, seawall.ErrCorrupt, err)
}

// target is an opened document.
type target struct {
	asset seawall.Asset
	facts []seawall.Fact
}

func newTarget(path string, doc *document) *target {
	name := doc.subject.name
	switch {
	case name == "":
		name = filepath.Base(path)
	case doc.subject.version != "" && !strings.Contains(doc.subject.version, ":"):
		name += "@" + doc.subject.version
	}
	t := &target{asset: seawall.Asset{ID: doc.subject.digest, Kind: seawall.AssetSBOM, Name: name, Digest: doc.subject.digest, OS: doc.os}}
	if t.asset.ID == "" {
		t.asset.ID = "sbom:" + name
	}
	for i := range doc.components {
		p := doc.components[i].pack(doc.os)
		if len(p.Locations) == 0 {
			p.Locations = []seawall.Location{{Path: path}}
		}
		t.facts = append(t.facts, seawall.Fact{Package: p})
	}
	return t
}

// Asset implements seawall.Target.
func (t *target) Asset() seawall.Asset { return t.asset }

// Layers implements seawall.Target; a document has none.
func (t *target) Layers() []seawall.Layer { return nil }

// Close implements seawall.Target.
func (t *target) Close() error { return nil }

// Facts implements seawall.Describer.
func (t *target) Facts(context.Context) ([]seawall.Fact, error) { return t.facts, nil }
