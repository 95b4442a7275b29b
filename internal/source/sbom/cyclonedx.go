package sbom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/seawall-security/seawall/internal/seawall"
)

// The parts of CycloneDX (https://cyclonedx.org/docs/1.6/json/) read here; JSON
// and XML share them. cyclonedx-go refuses versions it does not know and keeps
// everything; this keeps what matching needs.
type cycloneBOM struct {
	XMLName     xml.Name        `json:"-"`
	SpecVersion string          `json:"specVersion" xml:"-"`
	Metadata    cycloneMetadata `json:"metadata" xml:"metadata"`
	Components  []cyclonePart   `json:"components" xml:"components>component"`
}

type cycloneMetadata struct {
	Component *cyclonePart `json:"component" xml:"component"`
}

type cyclonePart struct {
	Type       string            `json:"type" xml:"type,attr"`
	Scope      string            `json:"scope" xml:"scope"`
	Publisher  string            `json:"publisher" xml:"publisher"`
	Supplier   cycloneSupplier   `json:"supplier" xml:"supplier"`
	Group      string            `json:"group" xml:"group"`
	Name       string            `json:"name" xml:"name"`
	Version    string            `json:"version" xml:"version"`
	PURL       string            `json:"purl" xml:"purl"`
	Hashes     []cycloneHash     `json:"hashes" xml:"hashes>hash"`
	Licenses   cycloneLicenses   `json:"licenses" xml:"licenses"`
	Properties []cycloneProperty `json:"properties" xml:"properties>property"`
	Evidence   cycloneEvidence   `json:"evidence" xml:"evidence"`
	Components []cyclonePart     `json:"components" xml:"components>component"`
}

type cycloneSupplier struct {
	Name string `json:"name" xml:"name"`
}

type cycloneEvidence struct {
	Occurrences []cycloneOccurrence `json:"occurrences" xml:"occurrences>occurrence"`
}

type cycloneOccurrence struct {
	Location string `json:"location" xml:"location"`
	Line     int    `json:"line" xml:"line"`
}

type cycloneHash struct {
	Algorithm string `json:"alg" xml:"alg,attr"`
	Content   string `json:"content" xml:",chardata"`
}

type cycloneProperty struct {
	Name  string `json:"name" xml:"name,attr"`
	Value string `json:"value" xml:",chardata"`
}

// cycloneLicenses are the identifiers, names and expressions of a licence list.
type cycloneLicenses []string

// UnmarshalJSON implements json.Unmarshaler: a list of {license: {id, name}} or {expression}.
func (l *cycloneLicenses) UnmarshalJSON(data []byte) error {
	var list []struct {
		License    cycloneLicense `json:"license"`
		Expression string         `json:"expression"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for _, e := range list {
		l.add(e.License.ID, e.License.Name, e.Expression)
	}
	return nil
}

// UnmarshalXML implements xml.Unmarshaler.
func (l *cycloneLicenses) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var list struct {
		Licenses    []cycloneLicense `xml:"license"`
		Expressions []string         `xml:"expression"`
	}
	if err := d.DecodeElement(&list, &start); err != nil {
		return err
	}
	for _, e := range list.Licenses {
		l.add(e.ID, e.Name)
	}
	l.add(list.Expressions...)
	return nil
}

type cycloneLicense struct {
	ID   string `json:"id" xml:"id"`
	Name string `json:"name" xml:"name"`
}

// add keeps the first word of each licence that is given: an id before a name.
func (l *cycloneLicenses) add(alternatives ...string) {
	for _, a := range alternatives {
		if a = strings.TrimSpace(a); a != "" {
			*l = append(*l, a)
			return
		}
	}
}

func parseCycloneJSON(data []byte) (*document, error) {
	var bom cycloneBOM
	if err := json.Unmarshal(data, &bom); err != nil {
		return nil, jsonError(data, err)
	}
	return bom.document(bom.SpecVersion)
}

const cycloneNamespace = "http://cyclonedx.org/schema/bom/"

func parseCycloneXML(data []byte) (*document, error) {
	var bom cycloneBOM
	d := xml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&bom); err != nil {
		line, _ := d.InputPos()
		return nil, fmt.Errorf("line %d: %w: %w", line, seawall.ErrCorrupt, err)
	}
	version, ok := strings.CutPrefix(bom.XMLName.Space, cycloneNamespace)
	if !ok || bom.XMLName.Local != "bom" {
		return nil, seawall.WithHint(fmt.Errorf("XML element %q: %w: %w", bom.XMLName.Local, seawall.ErrCorrupt, errFormat), formatHint)
	}
	return bom.document(version)
}

func (bom *cycloneBOM) document(version string) (*document, error) {
	if !strings.HasPrefix(version, "1.") {
		return nil, seawall.WithHint(fmt.Errorf("CycloneDX %q: %w", version, seawall.ErrUsage), formatHint)
	}
	var doc document
	if c := bom.Metadata.Component; c != nil {
		doc.subject = subject{name: c.Name, version: c.Version, digest: c.digest()}
		root := *c
		root.Components = nil
		if packageURL(root.PURL) {
			if err := doc.addCyclone(&root, 0); err != nil {
				return nil, err
			}
		}
		for i := range c.Components {
			if err := doc.addCyclone(&c.Components[i], 1); err != nil {
				return nil, err
			}
		}
	}
	for i := range bom.Components {
		if err := doc.addCyclone(&bom.Components[i], 1); err != nil {
			return nil, err
		}
	}
	return &doc, nil
}

// addCyclone adds a component and those inside it.
func (doc *document) addCyclone(c *cyclonePart, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("components nested more than %d deep: %w", maxDepth, seawall.ErrBound)
	}
	switch c.Type {
	case "operating-system":
		if doc.os == nil {
			doc.os = distribution(c.Name, c.Version)
		}
	case "file", "data", "machine-learning-model", "cryptographic-asset", "container":
		// No packages; what is inside them is looked at below.
	default:
		// Applications without a version and a package URL are the lock files
		// that tools group components by; up to 1.3 a version had to be there.
		if c.PURL != "" || c.Type == "library" || c.Version != "" && c.Version != "0.0.0" {
			doc.components = append(doc.components, c.component())
		}
	}
	for i := range c.Components {
		if err := doc.addCyclone(&c.Components[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// component takes what matching needs. Properties are read by the names that
// trivy, syft, npm and our own writer give them.
func (c *cyclonePart) component() component {
	out := component{name: c.Name, version: c.Version, purl: c.PURL, licenses: c.Licenses, supplier: cmp.Or(c.Supplier.Name, c.Publisher)}
	if c.Group != "" && c.PURL == "" {
		out.name = c.Group + "/" + c.Name
	}
	var path, layer, release, epoch string
	for _, p := range c.Properties {
		value := strings.TrimSpace(p.Value)
		switch p.Name {
		case "aquasecurity:trivy:SrcName", "syft:metadata:source", "syft:metadata:originPackage", "seawall:package:source":
			out.source = value
		case "aquasecurity:trivy:SrcVersion", "syft:metadata:sourceVersion", "seawall:package:source-version":
			out.sourceVersion = value
		case "aquasecurity:trivy:SrcRelease":
			release = value
		case "aquasecurity:trivy:SrcEpoch":
			epoch = value
		case "syft:metadata:sourceRpm":
			out.source, out.sourceVersion = sourceRPM(value)
		case "aquasecurity:trivy:Modularitylabel", "syft:metadata:modularityLabel", "seawall:package:module":
			out.module = moduleStream(value)
		case "aquasecurity:trivy:FilePath", "syft:location:0:path":
			path = strings.TrimPrefix(value, "/")
		case "aquasecurity:trivy:LayerDigest", "syft:location:0:layerID", "seawall:layer:digest":
			layer = cmp.Or(layer, value)
		case "seawall:ecosystem":
			out.ecosystem = value
			out.dev = c.Scope == "optional"
		case "seawall:package:owner":
			out.owner = value
		case "seawall:package:declared":
			out.declared = value == "true"
		case "cdx:npm:package:development":
			out.dev = value == "true"
		}
	}
	if out.sourceVersion != "" && release != "" {
		out.sourceVersion += "-" + release
	}
	if out.sourceVersion != "" && epoch != "" && epoch != "0" {
		out.sourceVersion = epoch + ":" + out.sourceVersion
	}
	out.locations = c.Evidence.locations(layer)
	if len(out.locations) == 0 && path+layer != "" {
		out.locations = []seawall.Location{{Path: path, Layer: layer}}
	}
	return out
}

// locations are the places of a component; the first is the layer's.
func (e *cycloneEvidence) locations(layer string) []seawall.Location {
	var out []seawall.Location
	for _, o := range e.Occurrences {
		path, inner, _ := strings.Cut(strings.TrimPrefix(o.Location, "/"), "!")
		out = append(out, seawall.Location{Path: path, Inner: strings.TrimPrefix(inner, "/"), Line: o.Line, Layer: layer})
		layer = ""
	}
	return out
}

// digest is the manifest digest of a described image, where the document says it.
func (c *cyclonePart) digest() string {
	for _, p := range c.Properties {
		if p.Name == "aquasecurity:trivy:RepoDigest" {
			if _, d, ok := strings.Cut(p.Value, "@"); ok {
				return d
			}
		}
	}
	if d := imageDigest(c.PURL); d != "" {
		return d
	}
	if strings.HasPrefix(c.Version, "sha256:") {
		return c.Version
	}
	for _, h := range c.Hashes {
		if h.Algorithm == "SHA-256" && c.Type == "container" {
			return "sha256:" + strings.TrimSpace(h.Content)
		}
	}
	return ""
}
