package sbom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The parts of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/) read here.
// spdx/tools-golang keeps every file and relationship in memory and refuses
// tags it does not know; this keeps packages.
type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	Name          string             `json:"name"`
	Packages      []spdxPackage      `json:"packages"`
	Describes     []string           `json:"documentDescribes"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxPackage struct {
	ID               string         `json:"SPDXID"`
	Name             string         `json:"name"`
	Version          string         `json:"versionInfo"`
	Supplier         string         `json:"supplier"`
	SourceInfo       string         `json:"sourceInfo"`
	LicenseConcluded string         `json:"licenseConcluded"`
	LicenseDeclared  string         `json:"licenseDeclared"`
	Purpose          string         `json:"primaryPackagePurpose"`
	Refs             []spdxRef      `json:"externalRefs"`
	Checksums        []spdxChecksum `json:"checksums"`
	Attributions     []string       `json:"attributionTexts"`
}

type spdxRef struct {
	Type    string `json:"referenceType"`
	Locator string `json:"referenceLocator"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRelationship struct {
	From    string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	To      string `json:"relatedSpdxElement"`
	Comment string `json:"comment"`
}

const (
	spdxRoot = "SPDXRef-DOCUMENT"
	// spdxOwnership begins the comment of a relationship OTHER from the
	// operating-system package that installed another package, as syft writes it.
	spdxOwnership = "ownership-by-file-overlap"
)

func parseSPDXJSON(data []byte) (*document, error) {
	var d spdxDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, jsonError(data, err)
	}
	return d.document()
}

func (d *spdxDocument) document() (*document, error) {
	if !strings.HasPrefix(d.Version, "SPDX-2.") {
		return nil, seawall.WithHint(fmt.Errorf("version %q: %w", d.Version, seawall.ErrUsage), formatHint)
	}
	owners := d.readRelationships()
	doc := document{subject: subject{name: d.Name}}
	described := ""
	if len(d.Describes) > 0 {
		described = d.Describes[0]
	}
	for i := range d.Packages {
		p := &d.Packages[i]
		if p.ID == described && described != "" {
			doc.subject = subject{name: p.Name, version: p.Version, digest: p.digest()}
		}
		purl := p.purl()
		switch {
		case p.Purpose == "OPERATING-SYSTEM" || p.Purpose == "OPERATING_SYSTEM":
			if doc.os == nil {
				doc.os = distribution(p.Name, p.Version)
			}
		case p.Purpose == "CONTAINER" || p.Purpose == "FILE" || imageURL(purl):
			// The image itself, not a package in it.
		case purl == "" && (p.ID == described || p.Version == "" || p.Version == "NOASSERTION"):
			// A name for the whole, or a lock file that groups packages.
		default:
			c := p.component(purl)
			c.owner = owners[p.ID]
			doc.components = append(doc.components, c)
		}
	}
	return &doc, nil
}

// readRelationships adds to what the document describes and returns the names
// of owners by the identifiers of what they own.
func (d *spdxDocument) readRelationships() map[string]string {
	owners := make(map[string]string)
	for _, r := range d.Relationships {
		switch {
		case r.From == spdxRoot && r.Type == "DESCRIBES":
			d.Describes = append(d.Describes, r.To)
		case r.To == spdxRoot && r.Type == "DESCRIBED_BY":
			d.Describes = append(d.Describes, r.From)
		case r.Type == "OTHER" && strings.HasPrefix(r.Comment, spdxOwnership):
			owners[r.To] = r.From
		}
	}
	if len(owners) == 0 {
		return nil
	}
	names := make(map[string]string, len(d.Packages))
	for i := range d.Packages {
		names[d.Packages[i].ID] = d.Packages[i].Name
	}
	for owned, owner := range owners {
		owners[owned] = names[owner]
	}
	return owners
}

func (p *spdxPackage) purl() string {
	for _, r := range p.Refs {
		if r.Type == "purl" {
			return r.Locator
		}
	}
	return ""
}

func (p *spdxPackage) digest() string {
	if d := imageDigest(p.purl()); d != "" {
		return d
	}
	for _, c := range p.Checksums {
		if c.Algorithm == "SHA256" && p.Purpose == "CONTAINER" {
			return "sha256:" + strings.ToLower(c.Value)
		}
	}
	if strings.HasPrefix(p.Version, "sha256:") {
		return p.Version
	}
	return ""
}

// component takes what matching needs. Trivy writes the source package of an
// operating-system package as prose, and the layer as an attribution.
func (p *spdxPackage) component(purl string) component {
	c := component{name: p.Name, version: p.Version, purl: purl}
	if c.version == "NOASSERTION" {
		c.version = ""
	}
	if _, name, ok := strings.Cut(p.Supplier, "Organization: "); ok {
		c.supplier = name
	}
	for _, l := range [...]string{p.LicenseDeclared, p.LicenseConcluded} {
		if l != "" && l != "NOASSERTION" && l != "NONE" {
			c.licenses = []string{l}
			break
		}
	}
	if s, ok := strings.CutPrefix(p.SourceInfo, "built package from: "); ok {
		c.source, c.sourceVersion, _ = strings.Cut(s, " ")
	}
	for _, a := range p.Attributions {
		if layer, ok := strings.CutPrefix(a, "LayerDigest: "); ok {
			c.locations = []seawall.Location{{Layer: layer}}
		}
	}
	return c
}

// parseTagValue reads "Tag: value" lines; a value in <text></text> may span lines.
func parseTagValue(data []byte) (*document, error) {
	var r tagReader
	line := 0
	for len(data) > 0 {
		line++
		text, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		tag, value, ok := strings.Cut(strings.TrimSpace(string(text)), ":")
		if !ok || strings.HasPrefix(tag, "#") {
			if ok || strings.TrimSpace(tag) == "" || strings.HasPrefix(tag, "#") {
				continue
			}
			return nil, fmt.Errorf("line %d: %w: no tag", line, seawall.ErrCorrupt)
		}
		value = strings.TrimSpace(value)
		if start, ok := strings.CutPrefix(value, "<text>"); ok {
			value = start
			if end := strings.Index(value, "</text>"); end >= 0 {
				value = value[:end]
			} else {
				more, after, ok := bytes.Cut(data, []byte("</text>"))
				if !ok {
					return nil, fmt.Errorf("line %d: %w: <text> has no end", line, seawall.ErrCorrupt)
				}
				value += "\n" + string(more)
				line += bytes.Count(more, []byte("\n"))
				data = after
			}
		}
		if r.tag(tag, value); len(r.doc.Packages) > maxPackages {
			return nil, fmt.Errorf("line %d: more than %d packages: %w", line, maxPackages, seawall.ErrBound)
		}
	}
	return r.doc.document()
}

// tagReader builds a document from tags in order: PackageName begins a package,
// FileName, SnippetSPDXID and LicenseID end it.
type tagReader struct {
	doc  spdxDocument
	pack *spdxPackage
}

func (r *tagReader) tag(tag, value string) {
	switch tag {
	case "SPDXVersion":
		r.doc.Version = value
	case "DocumentName":
		r.doc.Name = value
	case "PackageName":
		r.doc.Packages = append(r.doc.Packages, spdxPackage{Name: value})
		r.pack = &r.doc.Packages[len(r.doc.Packages)-1]
	case "FileName", "SnippetSPDXID", "LicenseID":
		r.pack = nil
	case "Relationship":
		if f := strings.Fields(value); len(f) == 3 {
			r.doc.Relationships = append(r.doc.Relationships, spdxRelationship{From: f[0], Type: f[1], To: f[2]})
		}
	case "RelationshipComment":
		if n := len(r.doc.Relationships); n > 0 {
			r.doc.Relationships[n-1].Comment = value
		}
	default:
		if r.pack != nil {
			r.pack.tag(tag, value)
		}
	}
}

func (p *spdxPackage) tag(tag, value string) {
	switch tag {
	case "SPDXID":
		p.ID = value
	case "PackageVersion":
		p.Version = value
	case "PackageSupplier":
		p.Supplier = value
	case "PackageSourceInfo":
		p.SourceInfo = value
	case "PackageLicenseConcluded":
		p.LicenseConcluded = value
	case "PackageLicenseDeclared":
		p.LicenseDeclared = value
	case "PrimaryPackagePurpose":
		p.Purpose = value
	case "PackageAttributionText":
		p.Attributions = append(p.Attributions, value)
	case "PackageChecksum":
		if algorithm, sum, ok := strings.Cut(value, ": "); ok {
			p.Checksums = append(p.Checksums, spdxChecksum{algorithm, sum})
		}
	case "ExternalRef":
		if f := strings.Fields(value); len(f) == 3 {
			p.Refs = append(p.Refs, spdxRef{Type: f[1], Locator: f[2]})
		}
	}
}
