package suppress

import (
	"cmp"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seawall-security/seawall/internal/seawall"
)

// purl is a package URL as a selector: what it does not name matches anything.
type purl struct{ packageurl.PackageURL }

func parsePURL(s string) (purl, error) {
	p, err := packageurl.FromString(s)
	return purl{p}, err
}

// matchesPackage tells whether a finding's package is the one named. A Debian or
// RPM purl with arch=source or arch=src names the source package.
func (p purl) matchesPackage(ref *seawall.PackageRef) bool {
	if ref == nil || ref.PURL == "" {
		return false
	}
	have, err := packageurl.FromString(ref.PURL)
	if err != nil || p.Type != have.Type || p.Namespace != have.Namespace {
		return false
	}
	want := p.Qualifiers.Map()
	if want["arch"] == "source" || want["arch"] == "src" {
		delete(want, "arch")
		have.Name = cmp.Or(ref.Source, have.Name)
		have.Version = cmp.Or(ref.SourceVersion, have.Version)
	}
	if p.Name != have.Name || p.Version != "" && p.Version != have.Version {
		return false
	}
	return matchesQualifiers(want, have.Qualifiers.Map()) && (p.Subpath == "" || p.Subpath == have.Subpath)
}

// matchesQualifiers wants every qualifier asked for. A distribution release also
// stands for its point releases.
func matchesQualifiers(want, have map[string]string) bool {
	for k, v := range want {
		if have[k] != v && (k != "distro" || !strings.HasPrefix(have[k], v+".") && !strings.HasPrefix(v, have[k]+".")) {
			return false
		}
	}
	return true
}

// matchesAsset tells whether an OCI purl names this image. A version is the
// manifest digest; without one the repository or, failing that, the name decides.
func (p purl) matchesAsset(a *seawall.Asset) bool {
	if p.Type != packageurl.TypeOCI || a.Kind != seawall.AssetImage {
		return false
	}
	q := p.Qualifiers.Map()
	if p.Version != "" && !hasDigest(a, p.Version) {
		return false
	}
	repository, tag := splitReference(a.Name)
	if url := q["repository_url"]; url != "" && normalRepository(url) != repository && normalRepository(url)+"/"+p.Name != repository {
		return false
	}
	if t := q["tag"]; t != "" && t != tag {
		return false
	}
	if arch := q["arch"]; arch != "" && (a.Image == nil || !slices.Contains(strings.Split(a.Image.Platform, "/"), arch)) {
		return false
	}
	return p.Version != "" || p.Name == repository[strings.LastIndexByte(repository, '/')+1:]
}

func hasDigest(a *seawall.Asset, digest string) bool {
	if a.Digest == digest {
		return true
	}
	return a.Image != nil && (a.Image.ConfigDigest == digest ||
		slices.ContainsFunc(a.Image.RepoDigests, func(d string) bool { return strings.HasSuffix(d, "@"+digest) }))
}

// splitReference parts an image reference into its repository, with Docker Hub's
// short names written out, and its tag.
func splitReference(ref string) (repository, tag string) {
	ref, digest, _ := strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref, tag = ref[:i], ref[i+1:]
	} else if digest == "" {
		tag = "latest"
	}
	return normalRepository(ref), tag
}

func normalRepository(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "https://"), "/")
	first, rest, slash := strings.Cut(s, "/")
	switch {
	case !slash:
		return "docker.io/library/" + s
	case first == "index.docker.io" || first == "docker.io":
		if !strings.Contains(rest, "/") {
			rest = "library/" + rest
		}
		return "docker.io/" + rest
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		return "docker.io/" + s
	}
	return s
}

// product is what a statement is about: any identifier of it suffices.
type product struct {
	purls []purl
	// names are image references, digests ("sha256:…") or asset names.
	names []string
	// subcomponents narrow the statement to parts of the product; none means all of it.
	subcomponents []product
}

func (p *product) matches(a *seawall.Asset, f *seawall.Finding) bool {
	if p.matchesPackage(f.Package) {
		return len(p.subcomponents) == 0
	}
	if !p.matchesAsset(a) {
		return false
	}
	return len(p.subcomponents) == 0 ||
		slices.ContainsFunc(p.subcomponents, func(s product) bool { return s.matchesPackage(f.Package) })
}

func (p *product) matchesPackage(ref *seawall.PackageRef) bool {
	return slices.ContainsFunc(p.purls, func(u purl) bool { return u.matchesPackage(ref) })
}

func (p *product) matchesAsset(a *seawall.Asset) bool {
	return slices.ContainsFunc(p.purls, func(u purl) bool { return u.matchesAsset(a) }) ||
		slices.ContainsFunc(p.names, func(n string) bool { return matchesName(a, n) })
}

func matchesName(a *seawall.Asset, name string) bool {
	if name == a.ID || name == a.Name || hasDigest(a, name) {
		return true
	}
	if a.Kind != seawall.AssetImage {
		return false
	}
	if ref, digest, ok := strings.Cut(name, "@"); ok {
		repository, _ := splitReference(a.Name)
		wanted, _ := splitReference(ref)
		return wanted == repository && hasDigest(a, digest)
	}
	repository, tag := splitReference(a.Name)
	wanted, wantedTag := splitReference(name)
	return wanted == repository && wantedTag == tag
}
