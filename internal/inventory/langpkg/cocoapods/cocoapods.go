// Package cocoapods collects the pods of Podfile.lock. A subspec ("Firebase/Core")
// is reported as the pod it belongs to, once. Left out are pods from a path, a
// git repository or a podspec of one's own.
package cocoapods

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// Collectors returns the collectors of this package.
func Collectors() []inventory.Collector { return []inventory.Collector{Lock()} }

// Lock collects Podfile.lock.
func Lock() inventory.Collector {
	return &langpkg.Format{ID: "language/cocoapods-lock", Rev: 1, Wanted: true, Parse: parse, Match: langpkg.Named("Podfile.lock")}
}

func parse(data []byte, out *langpkg.List) error {
	return langpkg.YAML(data, func(doc *langpkg.Node) { read(doc, out) })
}

func read(doc *langpkg.Node, out *langpkg.List) {
	seen := map[string]bool{}
	for key := range doc.Get("EXTERNAL SOURCES").Pairs() {
		seen[pod(key.Name)] = true
	}
	add := func(text string, line int) {
		name, version, ok := strings.Cut(text, " (")
		name = pod(name)
		if version, closed := strings.CutSuffix(version, ")"); ok && closed && version != "" && !seen[name] {
			seen[name] = true
			out.Declared(langpkg.CocoaPods(), langpkg.Dependency{Name: name, Version: version, Line: line})
		}
	}
	for item := range doc.Get("PODS").Items() {
		add(item.Text(), item.Line)
		for key := range item.Pairs() { // a pod with dependencies
			add(key.Name, key.Line)
		}
	}
}

// pod returns the pod a spec belongs to.
func pod(spec string) string {
	name, _, _ := strings.Cut(spec, "/")
	return name
}
