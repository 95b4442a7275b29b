package maven

import (
	"strings"

	"github.com/seawall-security/seawall/internal/inventory"
	"github.com/seawall-security/seawall/internal/inventory/langpkg"
)

// GradleLock collects gradle.lockfile, buildscript-gradle.lockfile and the
// older gradle/dependency-locks/NAME.lockfile, which have one
// "group:artifact:version=configurations" a line. A line that only test
// configurations use is for development.
// https://docs.gradle.org/current/userguide/dependency_locking.html
func GradleLock() inventory.Collector {
	return &langpkg.Format{ID: "language/gradle-lock", Rev: 1, Wanted: true, Parse: parseGradleLock, Match: func(p string) bool {
		if !strings.HasSuffix(p, ".lockfile") {
			return false
		}
		base := langpkg.Base(p)
		return base == "gradle.lockfile" || base == "buildscript-gradle.lockfile" || strings.Contains(p, "dependency-locks/")
	}}
}

func parseGradleLock(data []byte, out *langpkg.List) error {
	for n, line := range langpkg.Lines(data) {
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		coordinates, configurations, _ := strings.Cut(string(line), "=")
		group, rest, _ := strings.Cut(coordinates, ":")
		artifact, version, ok := strings.Cut(rest, ":")
		if !ok || version == "" {
			continue // "empty=" lists configurations without dependencies
		}
		out.Declared(langpkg.Maven(), langpkg.Dependency{
			Name: group + ":" + artifact, Version: version, Line: n, Dev: onlyTests(configurations),
		})
	}
	return nil
}

func onlyTests(configurations string) bool {
	if configurations == "" {
		return false
	}
	for c := range strings.SplitSeq(configurations, ",") {
		if !strings.HasPrefix(c, "test") {
			return false
		}
	}
	return true
}

// GradleVerification collects gradle/verification-metadata.xml, which lists
// every artifact the build may fetch, plug-ins included.
// https://docs.gradle.org/current/userguide/dependency_verification.html
func GradleVerification() inventory.Collector {
	return &langpkg.Format{
		ID: "language/gradle-verification", Rev: 1, Wanted: true,
		Match: langpkg.Named("verification-metadata.xml"),
		Parse: func(data []byte, out *langpkg.List) error {
			return langpkg.XML(data, func(e *langpkg.Element) {
				if e.Path == "verification-metadata/components/component" && e.Attr("version") != "" {
					out.Declared(langpkg.Maven(), langpkg.Dependency{
						Name: e.Attr("group") + ":" + e.Attr("name"), Version: e.Attr("version"), Line: e.Line,
					})
				}
			})
		},
	}
}
