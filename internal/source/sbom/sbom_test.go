package sbom

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_2"
	"github.com/spdx/tools-golang/tagvalue"

	"github.com/seawall-security/seawall/internal/seawall"
	"github.com/seawall-security/seawall/internal/source"
	"github.com/seawall-security/seawall/internal/testenv"
)

// open writes a document to a file and opens it.
func open(t *testing.T, data []byte) (seawall.Asset, []seawall.Package, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bom")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	target, err := (Opener{}).Open(t.Context(), path, source.Options{})
	if err != nil {
		return seawall.Asset{}, nil, err
	}
	defer target.Close()
	facts, err := target.(seawall.Describer).Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	packages := make([]seawall.Package, len(facts))
	for i, f := range facts {
		packages[i] = *f.Package
		if packages[i].Locations[0].Path == path {
			packages[i].Locations = nil
		}
	}
	return target.Asset(), packages, nil
}

// row is what matching needs of a package.
func row(p seawall.Package) string {
	s := p.Ecosystem + "|" + p.Name + "|" + p.Version
	if p.Source != "" || p.SourceVersion != "" {
		s += "|src " + p.Source + " " + p.SourceVersion
	}
	if p.Module != "" {
		s += "|module " + p.Module
	}
	for _, l := range p.Locations {
		s += "|at " + l.Path + " " + l.Layer
	}
	return s
}

func rows(packages []seawall.Package) []string {
	var out []string
	for _, p := range packages {
		out = append(out, row(p))
	}
	return out
}

// referenceBOM has what scanners of images write, in the library's own types.
func referenceBOM() *cdx.BOM {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &cdx.Component{
		Type: cdx.ComponentTypeContainer, Name: "shop:1", Version: "sha256:" + strings.Repeat("ab", 32),
	}}
	bom.Components = &[]cdx.Component{
		{Type: cdx.ComponentTypeOS, Name: "debian", Version: "12.5"},
		{Type: cdx.ComponentTypeLibrary, Name: "libssl3", Version: "3.0.11-1~deb12u2", PackageURL: "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl",
			Licenses: &cdx.Licenses{{License: &cdx.License{ID: "OpenSSL"}}, {Expression: ""}}},
		{Type: cdx.ComponentTypeLibrary, Name: "libgcc-s1", Version: "12.2.0-14", PackageURL: "pkg:deb/debian/libgcc-s1@12.2.0-14?arch=amd64"},
		{Type: cdx.ComponentTypeApplication, Name: "package-lock.json", Components: &[]cdx.Component{
			{Type: cdx.ComponentTypeLibrary, Group: "@babel", Name: "parser", Version: "7.0.0", PackageURL: "pkg:npm/%40babel/parser@7.0.0"},
		}},
		{Type: cdx.ComponentTypeLibrary, Name: "thing", Version: "1.0", Publisher: "someone"},
		{Type: cdx.ComponentTypeFile, Name: "/etc/passwd"},
	}
	return bom
}

func TestCycloneDXVersions(t *testing.T) {
	want := []string{
		"Debian:12|libssl3|3.0.11-1~deb12u2|src openssl ",
		"Debian:12|libgcc-s1|12.2.0-14", // the document's operating system says which release
		"npm|@babel/parser|7.0.0",
		"|thing|1.0",
	}
	for _, version := range []cdx.SpecVersion{cdx.SpecVersion1_2, cdx.SpecVersion1_3, cdx.SpecVersion1_4, cdx.SpecVersion1_5, cdx.SpecVersion1_6} {
		for _, format := range []cdx.BOMFileFormat{cdx.BOMFileFormatJSON, cdx.BOMFileFormatXML} {
			t.Run(fmt.Sprint(version, format), func(t *testing.T) {
				var buf bytes.Buffer
				if err := cdx.NewBOMEncoder(&buf, format).SetPretty(true).EncodeVersion(referenceBOM(), version); err != nil {
					t.Fatal(err)
				}
				asset, packages, err := open(t, buf.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, rows(packages)); diff != "" {
					t.Errorf("packages (-want +got):\n%s", diff)
				}
				digest := "sha256:" + strings.Repeat("ab", 32)
				wantAsset := seawall.Asset{ID: digest, Kind: seawall.AssetSBOM, Name: "shop:1", Digest: digest, OS: &seawall.OS{ID: "debian", Version: "12.5"}}
				if diff := cmp.Diff(wantAsset, asset); diff != "" {
					t.Errorf("asset (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]string{"OpenSSL"}, packages[0].Licenses); diff != "" {
					t.Error(diff)
				}
				if packages[3].Vendor != "someone" {
					t.Errorf("vendor %q", packages[3].Vendor)
				}
			})
		}
	}
}

// A version of tomorrow with fields of tomorrow is read; version 2 is refused.
func TestCycloneDXFutureVersions(t *testing.T) {
	doc := `{"bomFormat":"CycloneDX","specVersion":"%s","citations":[{"x":[1,{}]}],"components":[{"type":"library","name":"a","version":"1","purl":"pkg:gem/a@1","isExternal":true,"new":{"deep":[[]]}}]}`
	_, packages, err := open(t, fmt.Appendf(nil, doc, "1.7"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"RubyGems|a|1"}, rows(packages)); diff != "" {
		t.Error(diff)
	}
	if _, _, err := open(t, fmt.Appendf(nil, doc, "2.0")); !errors.Is(err, seawall.ErrUsage) {
		t.Errorf("version 2.0: %v", err)
	}
	xml := `<?xml version="1.0"?><bom xmlns="http://cyclonedx.org/schema/bom/1.7"><components><component type="library" isExternal="true"><name>a</name><version>1</version><purl>pkg:gem/a@1</purl><new><deep/></new></component></components></bom>`
	_, packages, err = open(t, []byte(xml))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"RubyGems|a|1"}, rows(packages)); diff != "" {
		t.Error(diff)
	}
}

// What trivy and syft write only into properties.
func TestCycloneDXProperties(t *testing.T) {
	part := func(name, purl string, properties ...string) cdx.Component {
		var list []cdx.Property
		for i := 0; i < len(properties); i += 2 {
			list = append(list, cdx.Property{Name: properties[i], Value: properties[i+1]})
		}
		return cdx.Component{Type: cdx.ComponentTypeLibrary, Name: name, PackageURL: purl, Properties: &list}
	}
	bom := cdx.NewBOM()
	bom.Components = &[]cdx.Component{
		part("libssl3", "pkg:deb/debian/libssl3@3.0.11-1?distro=debian-12.5", "aquasecurity:trivy:SrcName", "openssl", "aquasecurity:trivy:SrcVersion", "3.0.11", "aquasecurity:trivy:SrcRelease", "1~x", "aquasecurity:trivy:LayerDigest", "sha256:aa"),
		part("glibc", "pkg:rpm/redhat/glibc@2.34-100.el9?distro=redhat-9.4", "aquasecurity:trivy:SrcName", "glibc", "aquasecurity:trivy:SrcVersion", "2.34", "aquasecurity:trivy:SrcRelease", "100.el9", "aquasecurity:trivy:SrcEpoch", "0"),
		part("dbus", "pkg:rpm/redhat/dbus@1.12.20-8.el9?epoch=1&distro=redhat-9.4", "aquasecurity:trivy:SrcName", "dbus-src", "aquasecurity:trivy:SrcVersion", "1.12.20", "aquasecurity:trivy:SrcRelease", "9", "aquasecurity:trivy:SrcEpoch", "1"),
		part("nodejs", "pkg:rpm/almalinux/nodejs@18.0-1.module?distro=almalinux-8.9", "aquasecurity:trivy:Modularitylabel", "nodejs:18:8090020240101:rhel8"),
		part("musl", "pkg:apk/alpine/musl@1.2.4-r2?distro=3.18.4", "syft:metadata:originPackage", "musl-origin", "syft:location:0:path", "/lib/apk/db/installed", "syft:location:0:layerID", "sha256:bb"),
		part("left-pad", "pkg:npm/left-pad@1.3.0", "cdx:npm:package:development", "true"),
	}
	var buf bytes.Buffer
	if err := cdx.NewBOMEncoder(&buf, cdx.BOMFileFormatJSON).Encode(bom); err != nil {
		t.Fatal(err)
	}
	_, packages, err := open(t, buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Debian:12|libssl3|3.0.11-1|src openssl 3.0.11-1~x|at  sha256:aa",
		"Red Hat:9|glibc|2.34-100.el9",
		"Red Hat:9|dbus|1:1.12.20-8.el9|src dbus-src 1:1.12.20-9",
		"AlmaLinux:8|nodejs|18.0-1.module|module nodejs:18",
		"Alpine:v3.18|musl|1.2.4-r2|src musl-origin |at lib/apk/db/installed sha256:bb",
		"npm|left-pad|1.3.0",
	}
	if diff := cmp.Diff(want, rows(packages)); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if !packages[5].Dev {
		t.Error("a development dependency lost its mark")
	}
}

// What our own writer adds comes back: owner, places, modules, what is only wanted.
func TestOwnProperties(t *testing.T) {
	doc := `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
	 {"type":"library","name":"python","version":"3.11.2","purl":"pkg:generic/python@3.11.2","supplier":{"name":"us"},"scope":"optional",
	  "properties":[{"name":"seawall:ecosystem","value":"generic"},{"name":"seawall:package:owner","value":"python3.11-minimal"},
	   {"name":"seawall:package:declared","value":"true"},{"name":"seawall:layer:digest","value":"sha256:aa"},{"name":"seawall:layer:digest","value":"sha256:bb"}],
	  "evidence":{"occurrences":[{"location":"usr/bin/python3.11"},{"location":"app/a.jar!lib/b.jar","line":3}]}},
	 {"type":"library","name":"github.com/Azure/go-ntlmssp","version":"v0.0.1","purl":"pkg:golang/github.com/azure/go-ntlmssp@v0.0.1"},
	 {"type":"library","name":"kubelet","version":"1.28.1","purl":"pkg:generic/kubelet@1.28.1","properties":[{"name":"seawall:ecosystem","value":"Kubernetes"}]}]}`
	_, packages, err := open(t, []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	want := []seawall.Package{
		{Name: "python", Version: "3.11.2", Ecosystem: "generic", PURL: "pkg:generic/python@3.11.2", Kind: "sbom", Vendor: "us", Owner: "python3.11-minimal", Dev: true, Declared: true,
			Locations: []seawall.Location{{Path: "usr/bin/python3.11", Layer: "sha256:aa"}, {Path: "app/a.jar", Inner: "lib/b.jar", Line: 3}}},
		{Name: "github.com/Azure/go-ntlmssp", Version: "v0.0.1", Ecosystem: "Go", PURL: "pkg:golang/github.com/azure/go-ntlmssp@v0.0.1", Kind: "sbom"},
		{Name: "kubelet", Version: "1.28.1", Ecosystem: "Kubernetes", PURL: "pkg:generic/kubelet@1.28.1", Kind: "sbom"},
	}
	if diff := cmp.Diff(want, packages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Ownership in SPDX, as syft writes it, in both forms.
func TestSPDXOwnership(t *testing.T) {
	for name, doc := range map[string]string{
		"json": `{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-a","name":"python3-requests","versionInfo":"2.28.1"},{"SPDXID":"SPDXRef-b","name":"requests","versionInfo":"2.28.1"}],
		 "relationships":[{"spdxElementId":"SPDXRef-a","relatedSpdxElement":"SPDXRef-b","relationshipType":"OTHER","comment":"ownership-by-file-overlap: the parent claims the child"}]}`,
		"tag-value": "SPDXVersion: SPDX-2.3\nPackageName: python3-requests\nSPDXID: SPDXRef-a\nPackageVersion: 2.28.1\n\n# next\nPackageName: requests\nSPDXID: SPDXRef-b\nPackageVersion: 2.28.1\n" +
			"Relationship: SPDXRef-a OTHER SPDXRef-b\nRelationshipComment: <text>ownership-by-file-overlap: the parent\nclaims the child</text>\n",
	} {
		_, packages, err := open(t, []byte(doc))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(packages) != 2 || packages[0].Owner != "" || packages[1].Owner != "python3-requests" {
			t.Errorf("%s: %+v", name, packages)
		}
	}
}

func TestPackageURLs(t *testing.T) {
	debian := &seawall.OS{ID: "debian", Version: "12"}
	for _, tc := range []struct {
		purl string
		os   *seawall.OS
		want string
	}{
		{"pkg:deb/debian/curl@7.88.1-10?distro=bookworm", nil, "Debian:12|curl|7.88.1-10"},
		{"pkg:deb/debian/curl@7.88.1-10?distro=debian-12.5&upstream=curl-src%407.88", nil, "Debian:12|curl|7.88.1-10|src curl-src 7.88"},
		{"pkg:deb/debian/curl@1:7.88.1-10", debian, "Debian:12|curl|1:7.88.1-10"},
		{"pkg:deb/debian/curl@7.88.1-10", nil, "Debian|curl|7.88.1-10"},
		{"pkg:deb/ubuntu/curl@7.81.0-1", debian, "Ubuntu|curl|7.81.0-1"}, // another distribution than the document's
		{"pkg:deb/ubuntu/curl@7.81.0-1?distro=jammy", nil, "Ubuntu:22.04|curl|7.81.0-1"},
		{"pkg:deb/ubuntu/curl@7.81.0-1?distro=ubuntu-22.04", nil, "Ubuntu:22.04|curl|7.81.0-1"},
		{"pkg:deb/debian/curl@8?distro=debian-sid", nil, "Debian:sid|curl|8"},
		{"pkg:apk/wolfi/bash@5.2-r1?distro=wolfi-20230201", nil, "Wolfi|bash|5.2-r1"},
		{"pkg:apk/chainguard/bash@5.2-r1", nil, "Chainguard|bash|5.2-r1"},
		{"pkg:apk/alpine/bash@5.2-r1?distro=alpine-3.19.1&upstream=bash-origin", nil, "Alpine:v3.19|bash|5.2-r1|src bash-origin "},
		{"pkg:rpm/rhel/openssl-libs@3.0.7-24.el9?epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm&distro=rhel-9.3", nil, "Red Hat:9|openssl-libs|1:3.0.7-24.el9|src openssl 3.0.7-24.el9"},
		{"pkg:rpm/centos/bash@4.2-1?distro=centos-7", nil, "CentOS:7|bash|4.2-1"},
		{"pkg:rpm/amzn/bash@5-1?distro=amzn-2023", nil, "Amazon Linux:2023|bash|5-1"},
		{"pkg:rpm/opensuse/bash@5-1?distro=opensuse-leap-15.5", nil, "openSUSE:15.5|bash|5-1"},
		{"pkg:rpm/suse/bash@5-1?distro=sles-15.5", nil, "SUSE:15.5|bash|5-1"},
		{"pkg:rpm/fedora/nodejs@20-1?distro=fedora-40&rpmmod=nodejs:20:1:2", nil, "Fedora:40|nodejs|20-1|module nodejs:20"},
		{"pkg:rpm/oraclelinux/bash@5-1?distro=ol-9.3", nil, "Oracle Linux:9|bash|5-1"},
		{"pkg:golang/github.com/gin-gonic/gin@v1.9.0", nil, "Go|github.com/gin-gonic/gin|v1.9.0"},
		{"pkg:golang/stdlib@v1.21.3", nil, "Go|stdlib|1.21.3"},
		{"pkg:golang/stdlib@go1.21.3", nil, "Go|stdlib|1.21.3"},
		{"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1?type=jar", nil, "Maven|org.apache.logging.log4j:log4j-core|2.14.1"},
		{"pkg:maven/log4j-core@2.14.1", nil, "Java|log4j-core|2.14.1"},
		{"pkg:pypi/Zope.Interface@5.0", nil, "PyPI|zope-interface|5.0"},
		{"pkg:cargo/serde@1.0.0", nil, "crates.io|serde|1.0.0"},
		{"pkg:composer/Symfony/http-kernel@5.0.0", nil, "Packagist|symfony/http-kernel|5.0.0"},
		{"pkg:nuget/Newtonsoft.Json@12.0.1", nil, "NuGet|Newtonsoft.Json|12.0.1"},
		{"pkg:swift/github.com/Vapor/vapor@4.0", nil, "SwiftURL|github.com/vapor/vapor|4.0"},
		{"pkg:bitnami/nginx@1.25.1", nil, "Bitnami|nginx|1.25.1"},
		{"pkg:generic/nginx@1.25.1", nil, "generic|nginx|1.25.1"},
		{"pkg:generic/kubelet@1.28.1", nil, "Kubernetes|kubelet|1.28.1"},
		{"pkg:github/actions/checkout@v4", nil, "GitHub Actions|actions/checkout|v4"},
		{"pkg:huggingface/x/y@1", nil, "|named|1"},
		{"not a purl", nil, "|named|"},
	} {
		c := component{name: "named", purl: tc.purl}
		if got := row(*c.pack(tc.os)); got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.purl, got, tc.want)
		}
	}
}

// referenceSPDX has what scanners of images write, in the library's own types.
func referenceSPDX() *spdx.Document {
	ref := func(purl string) []*spdx.PackageExternalReference {
		return []*spdx.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: purl}}
	}
	pack := func(id, name, version string, refs []*spdx.PackageExternalReference) *spdx.Package {
		return &spdx.Package{
			PackageSPDXIdentifier: common.ElementID(id), PackageName: name, PackageVersion: version, PackageExternalReferences: refs,
			PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "MIT", PackageCopyrightText: "NOASSERTION",
		}
	}
	image := pack("image", "shop", "1", ref("pkg:oci/shop@sha256%3A"+strings.Repeat("cd", 32)))
	image.PrimaryPackagePurpose = "CONTAINER"
	system := pack("os", "alpine", "3.18.4", nil)
	system.PrimaryPackagePurpose = "OPERATING-SYSTEM"
	curl := pack("curl", "libcurl", "8.4.0-r0", ref("pkg:apk/alpine/libcurl@8.4.0-r0?arch=x86_64&distro=3.18.4"))
	curl.PackageSourceInfo = "built package from: curl 8.4.0-r0"
	curl.PackageAttributionTexts = []string{"PkgID: libcurl@8.4.0-r0", "LayerDigest: sha256:aa"}
	described := common.ElementID("image")
	return &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: "shop", DocumentNamespace: "https://example.test/shop",
		CreationInfo: &spdx.CreationInfo{Creators: []common.Creator{{CreatorType: "Tool", Creator: "t"}}, Created: "2026-01-01T00:00:00Z"},
		Packages:     []*spdx.Package{image, system, curl, pack("lodash", "lodash", "4.17.15", ref("pkg:npm/lodash@4.17.15")), pack("plain", "plain", "1.0", nil), pack("lock", "package-lock.json", "", nil)},
		Relationships: []*spdx.Relationship{
			{RefA: common.MakeDocElementID("", "DOCUMENT"), RefB: common.MakeDocElementID("", string(described)), Relationship: "DESCRIBES"},
			{RefA: common.MakeDocElementID("", "image"), RefB: common.MakeDocElementID("", "curl"), Relationship: "CONTAINS"},
		},
	}
}

func TestSPDX(t *testing.T) {
	var js, tags, old bytes.Buffer
	if err := spdxjson.Write(referenceSPDX(), &js); err != nil {
		t.Fatal(err)
	}
	if err := tagvalue.Write(referenceSPDX(), &tags); err != nil {
		t.Fatal(err)
	}
	// 2.2 as its own library type: the same packages without purposes.
	d22 := &v2_2.Document{
		SPDXVersion: "SPDX-2.2", DataLicense: "CC0-1.0", SPDXIdentifier: "DOCUMENT", DocumentName: "old", DocumentNamespace: "https://example.test/old",
		CreationInfo: &v2_2.CreationInfo{Creators: []common.Creator{{CreatorType: "Tool", Creator: "t"}}, Created: "2026-01-01T00:00:00Z"},
		Packages: []*v2_2.Package{{PackageSPDXIdentifier: "a", PackageName: "requests", PackageVersion: "2.31.0", PackageDownloadLocation: "NOASSERTION",
			PackageLicenseConcluded: "Apache-2.0", PackageLicenseDeclared: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
			PackageComment:            "two\nlines: with a colon",
			PackageExternalReferences: []*v2_2.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: "pkg:pypi/requests@2.31.0"}}}},
	}
	if err := tagvalue.Write(d22, &old); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"json": js.Bytes(), "tag-value": tags.Bytes()} {
		t.Run(name, func(t *testing.T) {
			asset, packages, err := open(t, data)
			if err != nil {
				t.Fatalf("%v\n%s", err, data)
			}
			want := []string{
				"Alpine:v3.18|libcurl|8.4.0-r0|src curl |at  sha256:aa",
				"npm|lodash|4.17.15",
				"|plain|1.0",
			}
			if diff := cmp.Diff(want, rows(packages)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			digest := "sha256:" + strings.Repeat("cd", 32)
			wantAsset := seawall.Asset{ID: digest, Kind: seawall.AssetSBOM, Name: "shop@1", Digest: digest, OS: &seawall.OS{ID: "alpine", Version: "3.18.4"}}
			if diff := cmp.Diff(wantAsset, asset); diff != "" {
				t.Errorf("asset (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("2.2", func(t *testing.T) {
		asset, packages, err := open(t, old.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, old.Bytes())
		}
		if diff := cmp.Diff([]string{"PyPI|requests|2.31.0"}, rows(packages)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"Apache-2.0"}, packages[0].Licenses); diff != "" {
			t.Error(diff)
		}
		if asset.Name != "old" || asset.ID != "sbom:old" {
			t.Errorf("asset %+v", asset)
		}
	})
}

// npm writes both formats itself: a document no library of ours had a hand in.
func TestNPMWritesSBOM(t *testing.T) {
	npm := testenv.Tool(t, "npm")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"package.json":      `{"name":"shop","version":"1.0.0","dependencies":{"lodash":"4.17.15","@babel/parser":"7.0.0"}}`,
		"package-lock.json": `{"name":"shop","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"shop","version":"1.0.0","dependencies":{"lodash":"4.17.15","@babel/parser":"7.0.0"}},"node_modules/lodash":{"version":"4.17.15","license":"MIT"},"node_modules/@babel/parser":{"version":"7.0.0","license":"MIT"}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, format := range []string{"cyclonedx", "spdx"} {
		cmd := exec.Command(npm, "sbom", "--package-lock-only", "--offline", "--sbom-format", format, "--cache", filepath.Join(dir, "cache"))
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("npm sbom: %v (older npm has no such command)", err)
		}
		_, packages, err := open(t, out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"npm|shop|1.0.0", "npm|@babel/parser|7.0.0", "npm|lodash|4.17.15"}, rows(packages)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestAttestations(t *testing.T) {
	bom := `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"a","purl":"pkg:gem/a@1"}]}`
	digest := strings.Repeat("ef", 32)
	statement := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"registry.test/shop","digest":{"sha256":"` + digest + `"}}],"predicateType":"https://cyclonedx.org/bom","predicate":` + bom + `}`
	encoded := base64.StdEncoding.EncodeToString([]byte(statement))
	quoted, err := json.Marshal(bom)
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{
		"statement": statement,
		"dsse":      `{"payloadType":"application/vnd.in-toto+json","payload":"` + encoded + `","signatures":[{"sig":"AA=="}]}`,
		"bundle":    `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"` + encoded + `","payloadType":"application/vnd.in-toto+json","signatures":[]}}`,
		"text":      strings.Replace(statement, `"predicate":`+bom, `"predicate":{"Data":`+string(quoted)+`}`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			asset, packages, err := open(t, []byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"RubyGems|a|1"}, rows(packages)); diff != "" {
				t.Error(diff)
			}
			if asset.Name != "registry.test/shop" || asset.Digest != "sha256:"+digest {
				t.Errorf("asset %+v", asset)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat(`{"type":"application","name":"x","components":[`, maxDepth+1) + strings.Repeat(`]}`, maxDepth+1)
	for _, tc := range []struct {
		name, doc string
		is        error
		says      string
	}{
		{"empty", " \n", seawall.ErrCorrupt, "empty"},
		{"prose", "hello", seawall.ErrCorrupt, "not a CycloneDX or SPDX document"},
		{"other JSON", `{"a":1}`, seawall.ErrCorrupt, "not a CycloneDX or SPDX document"},
		{"other XML", `<html></html>`, seawall.ErrCorrupt, `"html"`},
		{"cut JSON", "{\"bomFormat\":\"CycloneDX\",\n\"components\":[{", seawall.ErrCorrupt, "line 2"},
		{"wrong type", "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\n\"components\":{}}", seawall.ErrCorrupt, "line 2"},
		{"cut XML", `<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components>`, seawall.ErrCorrupt, "line 1"},
		{"cut text", "SPDXVersion: SPDX-2.3\nPackageComment: <text>no end", seawall.ErrCorrupt, "line 2"},
		{"SPDX 3", `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`, seawall.ErrUsage, "SPDX 3"},
		{"SPDX 1", `{"spdxVersion":"SPDX-1.2"}`, seawall.ErrUsage, "SPDX-1.2"},
		{"syft", `{"schema":{"url":"https://raw.example/anchore/syft/schema"},"artifacts":[]}`, seawall.ErrUsage, "syft"},
		{"deep components", `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[` + deep + `]}`, seawall.ErrBound, "nested"},
		{"many objects", `{"bomFormat":"CycloneDX","components":[` + strings.Repeat("{},", maxObjects) + `{}]}`, seawall.ErrBound, "objects"},
		{"many tags", strings.Repeat("<a/>", maxObjects+1), seawall.ErrBound, "objects"},
		{"many packages", "SPDXVersion: SPDX-2.3\n" + strings.Repeat("PackageName:\n", maxPackages+1), seawall.ErrBound, "line 262146: more than"},
		{"payload", `{"payload":"%%%"}`, seawall.ErrCorrupt, "payload"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := open(t, []byte(tc.doc))
			if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v; want %v naming %q", err, tc.is, tc.says)
			}
		})
	}
	if _, err := (Opener{}).Open(t.Context(), filepath.Join(t.TempDir(), "none"), source.Options{}); !errors.Is(err, seawall.ErrUnreadable) {
		t.Errorf("missing file: %v", err)
	}
	_, err := (Opener{}).Open(t.Context(), t.TempDir(), source.Options{})
	var hinted *seawall.Hinted
	if !errors.Is(err, seawall.ErrUsage) || !errors.As(err, &hinted) {
		t.Errorf("directory: %v", err)
	}
}

func TestStandardInput(t *testing.T) {
	doc := `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"a","purl":"pkg:gem/a@1"}]}`
	target, err := (Opener{}).Open(t.Context(), "-", source.Options{Stdin: strings.NewReader(doc)})
	if err != nil {
		t.Fatal(err)
	}
	facts, _ := target.(seawall.Describer).Facts(t.Context())
	if len(facts) != 1 || facts[0].Package.Name != "a" {
		t.Errorf("facts %v", facts)
	}
}

// FuzzParse: a document or an error, never both and never neither; every
// component has a package with a kind and a place.
func FuzzParse(f *testing.F) {
	var js, xml, sj, tv bytes.Buffer
	if err := errors.Join(
		cdx.NewBOMEncoder(&js, cdx.BOMFileFormatJSON).Encode(referenceBOM()),
		cdx.NewBOMEncoder(&xml, cdx.BOMFileFormatXML).Encode(referenceBOM()),
		spdxjson.Write(referenceSPDX(), &sj),
		tagvalue.Write(referenceSPDX(), &tv),
	); err != nil {
		f.Fatal(err)
	}
	for _, b := range []*bytes.Buffer{&js, &xml, &sj, &tv} {
		f.Add(b.Bytes())
	}
	f.Add([]byte(`{"payload":"e30="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parse(data, 0)
		if (doc == nil) == (err == nil) {
			t.Fatalf("document %v, error %v", doc, err)
		}
		if err != nil {
			return
		}
		for _, fact := range newTarget("x", doc).facts {
			if p := fact.Package; p.Kind != "sbom" || len(p.Locations) == 0 {
				t.Fatalf("package %+v", p)
			}
		}
	})
}

func BenchmarkParseCycloneDX(b *testing.B) {
	bom := cdx.NewBOM()
	var parts []cdx.Component
	for i := range 10_000 {
		parts = append(parts, cdx.Component{Type: cdx.ComponentTypeLibrary, Name: fmt.Sprint("p", i), Version: "1.0", PackageURL: fmt.Sprintf("pkg:npm/p%d@1.0", i)})
	}
	bom.Components = &parts
	var buf bytes.Buffer
	if err := cdx.NewBOMEncoder(&buf, cdx.BOMFileFormatJSON).Encode(bom); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(buf.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(buf.Bytes(), 0); err != nil {
			b.Fatal(err)
		}
	}
}
