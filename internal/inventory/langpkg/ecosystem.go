package langpkg

import (
	"strings"

	"github.com/package-url/packageurl-go"
)

// Ecosystem is a package registry: its OSV name, its package-URL type and how
// names are written in it.
type Ecosystem struct {
	// Name is the OSV ecosystem.
	Name string
	// Type is the package-URL type.
	Type string
	// fold makes a name canonical; nil keeps it.
	fold func(string) string
	// split separates a name into package-URL namespace and name; nil has no namespace.
	split func(string) (namespace, name string)
}

// The ecosystems, each as OSV and the package-URL specification write it.
// Folding: Packagist, SwiftURL and Hex names are lower case, PyPI names follow PEP
// 503; npm keeps its case, for JSONStream and jsonstream are two packages.
func NPM() Ecosystem       { return Ecosystem{"npm", "npm", nil, splitLast} }
func PyPI() Ecosystem      { return Ecosystem{"PyPI", "pypi", foldPyPI, nil} }
func Go() Ecosystem        { return Ecosystem{"Go", "golang", nil, splitLast} }
func Maven() Ecosystem     { return Ecosystem{"Maven", "maven", nil, splitColon} }
func RubyGems() Ecosystem  { return Ecosystem{"RubyGems", "gem", nil, nil} }
func Crates() Ecosystem    { return Ecosystem{"crates.io", "cargo", nil, nil} }
func Packagist() Ecosystem { return Ecosystem{"Packagist", "composer", strings.ToLower, splitLast} }
func NuGet() Ecosystem     { return Ecosystem{"NuGet", "nuget", nil, nil} }
func Pub() Ecosystem       { return Ecosystem{"Pub", "pub", nil, nil} }
func Swift() Ecosystem     { return Ecosystem{"SwiftURL", "swift", strings.ToLower, splitLast} }
func CocoaPods() Ecosystem { return Ecosystem{"CocoaPods", "cocoapods", nil, nil} }
func Hex() Ecosystem       { return Ecosystem{"Hex", "hex", strings.ToLower, nil} }
func Conan() Ecosystem     { return Ecosystem{"ConanCenter", "conan", nil, nil} }
func Julia() Ecosystem     { return Ecosystem{"Julia", "julia", nil, nil} }
func CRAN() Ecosystem      { return Ecosystem{"CRAN", "cran", nil, nil} }
func GitHubActions() Ecosystem {
	return Ecosystem{"GitHub Actions", "github", nil, splitLast}
}

func (e Ecosystem) canonical(name string) string {
	if e.fold == nil {
		return name
	}
	return e.fold(name)
}

func (e Ecosystem) purl(name, version string, qualifiers map[string]string) string {
	var namespace string
	if e.split != nil {
		namespace, name = e.split(name)
	}
	return packageurl.NewPackageURL(e.Type, namespace, name, version, packageurl.QualifiersFromMap(qualifiers), "").ToString()
}

func splitLast(name string) (string, string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

func splitColon(name string) (string, string) {
	group, artifact, found := strings.Cut(name, ":")
	if !found {
		return "", name
	}
	return group, artifact
}

// foldPyPI normalises as PEP 503: lower case, each run of "-", "_" and "."
// becomes one "-".
func foldPyPI(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	run := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-' || c == '_' || c == '.':
			if !run {
				b.WriteByte('-')
			}
			run = true
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		run = false
		b.WriteByte(c)
	}
	return b.String()
}
