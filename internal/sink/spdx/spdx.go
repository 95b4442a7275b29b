// Package spdx writes an SPDX 2.3 JSON document: every asset and package with
// its package URL, place, layer and licence, DESCRIBES and CONTAINS
// relationships, and the advisories of failing vulnerabilities as security
// references. Licences that are not SPDX expressions are declared as
// LicenseRef with the words the package uses.
package spdx

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/sink"
	"github.com/seawall-security/seawall/internal/sink/license"
	"github.com/seawall-security/seawall/internal/sink/triage"
)

const (
	noAssertion    = "NOASSERTION"
	toolURL        = "https://github.com/seawall-security/seawall"
	licenseRefBase = "LicenseRef-"
)

// New returns the handler of the spdx format.
func New(w io.Writer) sink.Handler { return sink.Document(w, build) }

type builder struct {
	doc *v2_3.Document
	// refs are the LicenseRef identifiers by the words they stand for.
	refs map[string]string
	// advisories are the failing vulnerabilities of each package.
	advisories map[packageKey][]string
}

type packageKey struct{ asset, ecosystem, name, version string }

func build(r *seawall.Report) *v2_3.Document {
	name := "seawall"
	if r.Asset != nil {
		name = cmp.Or(r.Asset.Name, r.Asset.ID)
	}
	b := &builder{refs: make(map[string]string), advisories: make(map[packageKey][]string), doc: &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: name, DocumentNamespace: toolURL + "/spdx/" + strings.TrimPrefix(sink.DocumentID("spdx", r), "urn:uuid:"),
		CreationInfo: &v2_3.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "seawall-" + cmp.Or(r.Tool.Version, "unknown")}},
			Created:  created(cmp.Or(r.Run.Ended, r.Run.Started)),
		},
		Packages: []*v2_3.Package{}, Relationships: []*v2_3.Relationship{},
	}}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Status == seawall.StatusFail && f.Vulnerability != nil && f.Package != nil {
			key := packageKey{f.Asset, f.Package.Ecosystem, f.Package.Name, f.Package.Version}
			if u := sink.AdvisoryURL(f.Rule); u != "" {
				b.advisories[key] = append(b.advisories[key], u)
			}
		}
	}
	assets := make(map[string]common.ElementID)
	for i, a := range sink.Assets(r) {
		id := common.ElementID(fmt.Sprintf("Asset-%d", i))
		assets[a.ID] = id
		b.doc.Packages = append(b.doc.Packages, assetPackage(a, id))
		b.relate("DOCUMENT", "DESCRIBES", id)
	}
	for i := range r.Packages {
		p := &r.Packages[i]
		id := packageID(i)
		b.doc.Packages = append(b.doc.Packages, b.pkg(p, id))
		if asset, known := assets[p.Asset]; known {
			b.relate(asset, "CONTAINS", id)
		} else {
			b.relate("DOCUMENT", "DESCRIBES", id)
		}
	}
	b.own(r.Packages)
	return b.doc
}

// own says which operating-system package brought a language package, in the
// form syft writes and readers know.
func (b *builder) own(packages []seawall.Package) {
	type owner struct{ asset, name string }
	owners := make(map[owner]int)
	for i := range packages {
		if p := &packages[i]; p.Kind == "os" {
			owners[owner{p.Asset, p.Name}] = i
		}
	}
	for i := range packages {
		p := &packages[i]
		n, known := owners[owner{p.Asset, p.Owner}]
		if p.Owner == "" || !known {
			continue
		}
		b.relate(packageID(n), "OTHER", packageID(i))
		b.doc.Relationships[len(b.doc.Relationships)-1].RelationshipComment = "ownership-by-file-overlap: the first package installed the files of the second"
	}
}

func packageID(i int) common.ElementID { return common.ElementID(fmt.Sprintf("Package-%d", i)) }

func (b *builder) relate(from common.ElementID, kind string, to common.ElementID) {
	b.doc.Relationships = append(b.doc.Relationships, &v2_3.Relationship{
		RefA: common.DocElementID{ElementRefID: from}, Relationship: kind, RefB: common.DocElementID{ElementRefID: to},
	})
}

// created is the time in the form SPDX wants: UTC, whole seconds.
func created(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func assetPackage(a *seawall.Asset, id common.ElementID) *v2_3.Package {
	p := &v2_3.Package{
		PackageName: cmp.Or(a.Name, a.ID), PackageSPDXIdentifier: id, PackageVersion: a.Digest,
		PackageDownloadLocation: noAssertion, PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
		PackageComment: "scanned " + string(a.Kind),
	}
	if a.Kind == seawall.AssetImage {
		p.PrimaryPackagePurpose = "CONTAINER"
	}
	if hex, ok := strings.CutPrefix(a.Digest, "sha256:"); ok && len(hex) == 64 {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: hex}}
	}
	if purl := sink.AssetPURL(a); purl != "" {
		p.PackageExternalReferences = []*v2_3.PackageExternalReference{purlReference(purl)}
	}
	return p
}

func purlReference(purl string) *v2_3.PackageExternalReference {
	return &v2_3.PackageExternalReference{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl}
}

func (b *builder) pkg(p *seawall.Package, id common.ElementID) *v2_3.Package {
	out := &v2_3.Package{
		PackageName: cmp.Or(p.Name, noAssertion), PackageSPDXIdentifier: id, PackageVersion: p.Version,
		PackageDownloadLocation: noAssertion, PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: b.license(p.Licenses), PackageCopyrightText: noAssertion,
		PrimaryPackagePurpose: "LIBRARY",
	}
	if p.PURL != "" {
		out.PackageExternalReferences = append(out.PackageExternalReferences, purlReference(p.PURL))
	}
	for _, u := range b.advisories[packageKey{p.Asset, p.Ecosystem, p.Name, p.Version}] {
		out.PackageExternalReferences = append(out.PackageExternalReferences,
			&v2_3.PackageExternalReference{Category: common.CategorySecurity, RefType: common.TypeSecurityAdvisory, Locator: u})
	}
	if p.Vendor != "" {
		out.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: p.Vendor}
	}
	var places []string
	for _, l := range p.Locations {
		place := triage.PathOf(l)
		if l.Layer != "" {
			place += " in layer " + l.Layer
		}
		places = append(places, place)
	}
	if len(places) > 0 {
		out.PackageSourceInfo = "found at: " + strings.Join(places, ", ")
	}
	if p.Source != "" {
		out.PackageComment = strings.TrimSpace("built from source package " + p.Source + " " + p.SourceVersion)
	}
	return out
}

// license joins what a package declares into one expression.
func (b *builder) license(names []string) string {
	var parts []string
	for _, n := range names {
		if n == "" {
			continue
		}
		if !license.IsExpression(n) {
			n = b.licenseRef(n)
		}
		if strings.Contains(n, " ") && len(names) > 1 {
			n = "(" + n + ")"
		}
		parts = append(parts, n)
	}
	return cmp.Or(strings.Join(parts, " AND "), noAssertion)
}

func (b *builder) licenseRef(words string) string {
	ref, known := b.refs[words]
	if !known {
		ref = fmt.Sprintf("%s%d", licenseRefBase, len(b.refs)+1)
		b.refs[words] = ref
		b.doc.OtherLicenses = append(b.doc.OtherLicenses, &v2_3.OtherLicense{LicenseIdentifier: ref, LicenseName: words, ExtractedText: words})
	}
	return ref
}
