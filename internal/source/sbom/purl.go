package sbom

import (
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seawall-security/seawall/internal/seawall"
)

// PackageOf reads a package URL as an SBOM's component would be: with the
// ecosystem, name and source package that advisories are matched by.
func PackageOf(purl string) (*seawall.Package, error) {
	if _, err := packageurl.FromString(purl); err != nil {
		return nil, fmt.Errorf("package URL: %w: %w", err, seawall.ErrUsage)
	}
	return (&component{purl: purl}).pack(nil), nil
}

// pack turns a component into a package. documentOS is the distribution of the
// whole document; nil when it names none.
func (c *component) pack(documentOS *seawall.OS) *seawall.Package {
	p := &seawall.Package{
		Name: c.name, Version: c.version, PURL: c.purl, Kind: "sbom",
		Ecosystem: c.ecosystem, Source: c.source, SourceVersion: c.sourceVersion, Module: c.module,
		Vendor: c.supplier, Licenses: c.licenses, Owner: c.owner, Dev: c.dev, Declared: c.declared, Locations: c.locations,
	}
	u, err := packageurl.FromString(c.purl)
	if err != nil {
		return p // listed under its own name
	}
	if u.Version != "" {
		p.Version = u.Version
	}
	switch u.Type {
	case "deb", "rpm", "apk", "alpm", "portage":
		operatingSystem(p, &u, documentOS)
	default:
		ecosystem, name := language(&u)
		// Package URLs fold the case of module paths, which Go does not.
		if ecosystem != "" && !(ecosystem == "Go" && strings.EqualFold(name, p.Name)) {
			p.Name = name
		}
		if p.Ecosystem == "" {
			p.Ecosystem = ecosystem
		}
		if ecosystem == "Go" && name == "stdlib" {
			p.Version = strings.TrimPrefix(strings.TrimPrefix(p.Version, "v"), "go")
		}
	}
	if p.Source == p.Name {
		p.Source = ""
	}
	if p.SourceVersion == p.Version {
		p.SourceVersion = ""
	}
	return p
}

// operatingSystem fills the fields of a distribution's package from its purl.
// Qualifiers: arch, distro, epoch, upstream, and for modules rpmmod or modularitylabel.
func operatingSystem(p *seawall.Package, u *packageurl.PackageURL, documentOS *seawall.OS) {
	q := u.Qualifiers.Map()
	p.Name, p.Arch = u.Name, q["arch"]
	if u.Type == "portage" && u.Namespace != "" {
		p.Name = u.Namespace + "/" + u.Name
	}
	if epoch := q["epoch"]; epoch != "" && epoch != "0" && !strings.Contains(p.Version, ":") {
		p.Version = epoch + ":" + p.Version
	}
	for _, key := range [...]string{"rpmmod", "modularitylabel"} {
		if m := q[key]; m != "" {
			p.Module = moduleStream(m)
		}
	}
	if up := q["upstream"]; up != "" {
		if u.Type == "rpm" {
			p.Source, p.SourceVersion = sourceRPM(up)
		} else {
			p.Source, p.SourceVersion, _ = strings.Cut(up, "@")
		}
	}
	if p.Ecosystem == "" {
		p.Ecosystem = ecosystemOf(u.Namespace, q["distro"], documentOS)
	}
}

// ecosystemOf names the distribution of a package: by its distro qualifier
// ("debian-12", "3.18.4", "bookworm"), else by the document's operating system
// where that is the same distribution, else by the namespace without a release.
func ecosystemOf(namespace, distro string, documentOS *seawall.OS) string {
	id := distributionID(namespace)
	switch {
	case distro != "":
		name, version := id, distro
		if distro[0] < '0' || distro[0] > '9' {
			if number := releaseNumber(distro); number != "" {
				version = number
			} else if i := strings.LastIndexByte(distro, '-'); i > 0 {
				name, version = distributionID(distro[:i]), distro[i+1:]
				if number := releaseNumber(version); number != "" {
					version = number
				}
			} else {
				name, version = distributionID(distro), ""
			}
		}
		return release(name, version)
	case documentOS != nil && (id == "" || id == documentOS.ID || family(id) == family(documentOS.ID)):
		return release(documentOS.ID, documentOS.Version)
	}
	return release(id, "")
}

// release names an ecosystem; without a version only the family, because a
// missing release is not the rolling one.
func release(id, version string) string {
	e := (seawall.OS{ID: id, Version: version}).Ecosystem()
	if version == "" {
		e, _, _ = strings.Cut(e, ":")
	}
	return e
}

// family puts together the identifiers that share a purl namespace.
func family(id string) string {
	switch {
	case strings.HasPrefix(id, "sle"), strings.HasPrefix(id, "suse"), strings.HasPrefix(id, "opensuse"):
		return "suse"
	case id == "mariner", id == "azurelinux":
		return "azurelinux"
	}
	return id
}

// distribution makes an operating system of the name and version a document gives.
func distribution(name, version string) *seawall.OS {
	if name == "" || name == "none" || name == "unknown" {
		return nil
	}
	return &seawall.OS{ID: distributionID(name), Version: version}
}

// distributionID turns purl namespaces and the names that tools use into os-release identifiers.
func distributionID(name string) string {
	switch name = strings.ToLower(name); name {
	case "redhat", "red hat", "redhat enterprise linux":
		return "rhel"
	case "alma":
		return "almalinux"
	case "oracle", "oraclelinux":
		return "ol"
	case "amazon", "amazonlinux", "amazon linux":
		return "amzn"
	case "rockylinux":
		return "rocky"
	case "suse", "suse linux enterprise server", "sle":
		return "sles"
	case "opensuse", "opensuse.leap", "opensuse leap":
		return "opensuse-leap"
	case "opensuse.tumbleweed", "opensuse tumbleweed":
		return "opensuse-tumbleweed"
	case "cbl-mariner", "cbl mariner":
		return "mariner"
	case "archlinux":
		return "arch"
	}
	return name
}

// releaseNumber turns the code names that some tools write into numbers.
func releaseNumber(codename string) string {
	switch strings.ToLower(codename) {
	case "stretch":
		return "9"
	case "buster":
		return "10"
	case "bullseye":
		return "11"
	case "bookworm":
		return "12"
	case "trixie":
		return "13"
	case "forky":
		return "14"
	case "xenial":
		return "16.04"
	case "bionic":
		return "18.04"
	case "focal":
		return "20.04"
	case "jammy":
		return "22.04"
	case "noble":
		return "24.04"
	}
	return ""
}

// language names the ecosystem and the package of a purl that is not an
// operating system's; "" for types without advisories of their own.
func language(u *packageurl.PackageURL) (ecosystem, name string) {
	full := u.Name
	if u.Namespace != "" {
		full = u.Namespace + "/" + u.Name
	}
	switch u.Type {
	case "npm":
		return "npm", full
	case "pypi":
		return "PyPI", foldPyPI(u.Name)
	case "golang":
		return "Go", full
	case "maven":
		if u.Namespace == "" {
			return "Java", u.Name
		}
		return "Maven", u.Namespace + ":" + u.Name
	case "gem":
		return "RubyGems", u.Name
	case "cargo":
		return "crates.io", u.Name
	case "composer":
		return "Packagist", strings.ToLower(full)
	case "nuget":
		return "NuGet", u.Name
	case "pub":
		return "Pub", u.Name
	case "swift":
		return "SwiftURL", strings.ToLower(strings.TrimSuffix(full, ".git"))
	case "cocoapods":
		return "CocoaPods", u.Name
	case "hex":
		return "Hex", full
	case "conan":
		return "ConanCenter", u.Name
	case "julia":
		return "Julia", u.Name
	case "cran":
		return "CRAN", u.Name
	case "bitnami":
		return "Bitnami", u.Name
	case "github", "githubactions":
		return "GitHub Actions", full
	case "k8s":
		return "Kubernetes", u.Name
	case "generic":
		if kubernetesComponent(u.Name) {
			return "Kubernetes", u.Name
		}
		return "generic", u.Name
	}
	return "", ""
}

// foldPyPI normalises as PEP 503: lower case, each run of "-", "_" and "." is one "-".
func foldPyPI(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return c == '-' || c == '_' || c == '.' })
	return strings.Join(words, "-")
}

// kubernetesComponent reports whether a generic name is a program of Kubernetes.
func kubernetesComponent(name string) bool {
	switch name {
	case "kubelet", "kubectl", "kubeadm", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy":
		return true
	}
	return false
}

// packageURL reports whether a purl names a package, not an image.
func packageURL(purl string) bool { return strings.HasPrefix(purl, "pkg:") && !imageURL(purl) }

func imageURL(purl string) bool {
	return strings.HasPrefix(purl, "pkg:oci/") || strings.HasPrefix(purl, "pkg:docker/")
}

// imageDigest is the digest in the purl of an image.
func imageDigest(purl string) string {
	if !imageURL(purl) {
		return ""
	}
	u, err := packageurl.FromString(purl)
	if err != nil || !strings.HasPrefix(u.Version, "sha256:") {
		return ""
	}
	return u.Version
}

// sourceRPM splits "openssl-3.0.7-24.el9.src.rpm" into name and version-release.
func sourceRPM(file string) (name, version string) {
	stem := strings.TrimSuffix(strings.TrimSuffix(file, ".src.rpm"), ".nosrc.rpm")
	release := strings.LastIndexByte(stem, '-')
	if release <= 0 {
		return stem, ""
	}
	v := strings.LastIndexByte(stem[:release], '-')
	if v <= 0 {
		return stem, ""
	}
	return stem[:v], stem[v+1:]
}

// moduleStream keeps name:stream of a modularity label name:stream:version:context.
func moduleStream(label string) string {
	parts := strings.SplitN(label, ":", 3)
	if len(parts) < 2 {
		return label
	}
	return parts[0] + ":" + parts[1]
}
